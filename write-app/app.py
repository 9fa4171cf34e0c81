"""write-app: the registration page. Every write goes to the primary, mysql-0, by its own name."""

from collections.abc import Mapping
from typing import Any

from flask import Response, redirect, request, url_for
from prometheus_client import Counter
from werkzeug.wrappers import Response as BaseResponse

import database
import metrics
import settings
import validation
import web
from errors import Busy, Unavailable

AWAY = "The primary database cannot take writes at the moment. Please send the same again in a few seconds."
BUSY = "The primary database is busy. Please send the same again in a few seconds."
REGISTERED = Counter("users_registered", "Users written to the primary.", ["replicated"], registry=metrics.REGISTRY)

app = web.create_app()
app.before_request(validation.refuse_other_sites)


@app.get("/")
def index() -> Response:
    """Show the registration page, or the registration that /submit redirected from."""
    user = request.args.to_dict()
    if not user.get("id", "").isdigit():
        return answer(200, {}, {})
    known = {"message": f"User {user['id']} is registered.", "replicated": user.get("replicated") == "True"}
    return answer(200, user | {"success": True} | known, {})


@app.post("/submit")
def submit() -> BaseResponse:
    fields = validation.read_fields()
    name, email, errors = validation.check_user(fields)
    if errors:
        return answer(422, {"message": "Please correct the marked fields.", "errors": errors}, fields)
    try:
        user = database.add_user(name, email)
    except database.Duplicate as duplicate:
        message = "This email address is registered already."
        result = {"message": message, "errors": {"email": message}, "mysql_pod": duplicate.args[0]}
        return answer(409, result, fields)
    except Unavailable as error:
        return answer(503, {"message": BUSY if isinstance(error, Busy) else AWAY}, fields)
    REGISTERED.labels(str(user["replicated"]).lower()).inc()
    if web.prefers_html():  # a page that can be reloaded without registering again (Post/Redirect/Get)
        return redirect(url_for("index", **user, app_pod=settings.POD_NAME), 303)
    return web.answer(201, {"message": f"{name} is registered.", **user})


@app.get("/readyz")
def readyz() -> Response:
    try:
        writable = database.is_writable()
    except Unavailable:
        writable = False
    return web.answer(200, {"message": "The primary takes writes."}) if writable else web.answer(503, {"message": AWAY})


@app.cli.command("init-db")
def init_db() -> None:
    """Wait for the primary and create the table. Several pods can run this at once, any number of times."""
    database.init_db()
    print("The table users is there.")


def answer(status: int, result: dict[str, Any], fields: Mapping[str, Any]) -> Response:
    """Return the page, with the result of a submission and the text typed; or JSON to a program that posted."""
    if request.method == "POST" and not web.prefers_html():
        return web.answer(status, result)
    read_url = web.page_on_port(settings.READ_PORT)
    return web.page("index.html", status, result=result, fields=fields, read_url=read_url)
