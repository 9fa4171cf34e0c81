"""read-app: the reading page. Reads are spread over all ready MySQL pods, through the Service mysql-read."""

from collections.abc import Mapping
from typing import Any

from flask import Response, request

import database
import settings
import topology
import web
from errors import Busy, Unavailable
from validation import check_users_query

AWAY = "No MySQL pod can answer at the moment. Please try again in a few seconds."
BUSY = "The MySQL pods are busy. Please try again in a few seconds."

app = web.create_app()


@app.get("/")
def index() -> Response:
    """Show the reading page. It takes limit, before and after like /users."""
    status, result = read_users(request.args, limit=8)
    write_url = web.page_on_port(settings.WRITE_PORT)
    return web.page("index.html", status, result=result, write_url=write_url, **topology.watch.look().drawn(1))


@app.get("/live")
def live() -> Response:
    """Return the part of the page that changes by itself. pods=N: it has seen N pods; those that are gone are drawn."""
    response = web.page("live.html", 200, **topology.watch.look().drawn(request.args.get("pods", 1, type=int)))
    response.headers["Cache-Control"] = "no-cache"  # the browser asks whether it has changed; usually it has not
    response.add_etag()
    response.make_conditional(request)
    return response


@app.get("/users")
def users() -> Response:
    return web.answer(*read_users(request.args))


@app.get("/mysql-pod")
def mysql_pod() -> Response:
    """Return which MySQL pod answered, to watch load balancing with curl."""
    return web.answer(200, database.identity())


@app.get("/topology")
def show_topology() -> Response:
    state = topology.watch.look()
    pods = [pod.entry() for pod in state.pods]
    return web.answer(200, {"pods": pods, "error": state.error, "age_seconds": state.age()})


@app.get("/dns")
def show_dns() -> Response:
    state = topology.watch.look()
    return web.answer(200, {"names": state.names, "age_seconds": state.age()})


@app.get("/readyz")
def readyz() -> Response:
    return web.answer(200, {"message": "Reads work."} | database.identity())


def read_users(query: Mapping[str, str], limit: int = 50) -> tuple[int, dict[str, Any]]:
    """Return (status, result) of the page of users that the query string asks for. `limit` is its default."""
    limit, before, after, errors = check_users_query(query, limit)
    if errors:
        return 422, {"message": " ".join(errors.values()), "errors": errors}
    try:
        return 200, database.users(limit, before, after)
    except Unavailable as error:
        return 503, {"message": BUSY if isinstance(error, Busy) else AWAY}
    except database.Behind as behind:
        message = f"{behind} does not have that transaction yet. Please try again in a few seconds."
        return 503, {"message": message, "mysql_pod": behind.args[0]}


@app.errorhandler(Unavailable)
def unavailable(error: Unavailable) -> Response:
    return web.answer(503, {"message": BUSY if isinstance(error, Busy) else AWAY})
