"""read-app: the reading page. Reads are spread over all ready MySQL pods, through the Service mysql-read."""

import logging
import sys
from urllib.parse import urlsplit

from flask import Flask, Request, render_template, request
from werkzeug.exceptions import HTTPException

import database
import metrics
import names
import security
import settings
import topology
from errors import Behind, Unavailable
from validation import check_users_query

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

AWAY = "No MySQL pod can answer at the moment. Please try again in a few seconds."

app = Flask(__name__, template_folder=".")
app.config["MAX_CONTENT_LENGTH"] = 16 * 1024  # bytes; no request here needs a body
app.json.sort_keys = False
app.json.ensure_ascii = False


@app.get("/")
def index():
    """Show the reading page. It takes limit, before and after like /users."""
    status, result = read_users(request.args, limit=8)
    html = render_template(
        "index.html",
        result=result,
        topology=topology.look(),
        names=names.table(),
        app_pod=settings.POD_NAME,
        write_url=write_url(),
    )
    return html, status, {"Retry-After": "2"} if status == 503 else {}


@app.get("/live")
def live():
    """Return the part of the page that changes by itself. pods=N: it has seen N; those that are gone are drawn."""
    return render_template(
        "live.html", topology=topology.look(), names=names.table(), seen=request.args.get("pods", 1, type=int)
    )


@app.get("/users")
def users():
    """Return a page of users, newest first."""
    return answer(*read_users(request.args))


@app.get("/mysql-pod")
def mysql_pod():
    """Tell which MySQL pod answered: the load-balancing lesson for curl."""
    return answer(200, database.identity())


@app.get("/topology")
def show_topology():
    """Return the state of every MySQL pod."""
    return answer(200, topology.look())


@app.get("/dns")
def show_dns():
    """Return what the names of the demo resolve to, inside the pod."""
    return answer(200, {"names": names.table()})


@app.get("/healthz")
def healthz():
    """Tell that this process answers."""
    return answer(200, {"message": "This process answers."})


@app.get("/readyz")
def readyz():
    """Tell whether a MySQL pod answers."""
    return answer(200, {"message": "Reads work."} | database.identity())


def read_users(query, limit=50):
    """Return (status, result) of the page of users that the query string asks for; limit: users, if it does not say."""
    limit, before, after, errors = check_users_query(query, limit)
    if errors:
        return 422, {"message": " ".join(errors.values()), "errors": errors}
    try:
        return 200, database.users(limit, before, after)
    except Unavailable:
        return 503, {"message": AWAY}
    except Behind as behind:
        message = f"{behind.mysql_pod} does not have that transaction yet. Please try again in a few seconds."
        return 503, {"message": message, "mysql_pod": behind.mysql_pod}


def answer(status, result):
    """Return JSON."""
    response = app.json.response(complete(status, result))
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = "2"
    return response


def complete(status, result):
    """Add what every answer has."""
    return {"success": status < 400, **result, "app_pod": settings.POD_NAME}


def write_url():
    """Return the address of the registration page: the same host by which this one was reached, another port."""
    host = urlsplit(f"//{request.host}").hostname or "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.WRITE_PORT}/"


@app.errorhandler(Unavailable)
def unavailable(error):
    """Answer that no MySQL pod can."""
    return answer(503, {"message": AWAY})


@app.errorhandler(HTTPException)
def http_error(error):
    """Answer wrong requests, and our own mistakes, with a sentence."""
    if error.code < 400:
        return error
    response = answer(error.code, {"message": error.description})
    if error.code == 405:
        response.allow.update(error.valid_methods)
    return response


POLLED = {"/users": read_users, "/mysql-pod": lambda query: (200, database.identity())}


def answer_polled(flask_app):
    """Wrap Flask's WSGI app: answer GET of what programs ask for all the time before it, byte for byte as it would.

    Flask's routing, contexts and response objects take longer than all the rest of such a read (docs/performance.md).
    The routes above answer HEAD, refuse other methods, and make a 500 of an exception that nobody expected.
    """

    def wsgi_app(environ, start_response):
        read = POLLED.get(environ["PATH_INFO"])
        if read is None or environ["REQUEST_METHOD"] != "GET":
            return flask_app(environ, start_response)
        try:
            # populate_request: environ would refer back to it, which only the garbage collector ends (8 MB under load)
            query = Request(environ, populate_request=False).args if environ["QUERY_STRING"] else {}
            status, result = read(query)
        except Unavailable as error:
            return unavailable(error)(environ, start_response)
        except Exception:
            return flask_app(environ, start_response)  # asks again: a read changes nothing
        if status != 200:
            return answer(status, result)(environ, start_response)
        body = (app.json.dumps(complete(status, result), separators=(",", ":")) + "\n").encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return wsgi_app


app.wsgi_app = answer_polled(app.wsgi_app)
metrics.count_requests(app, topology.look)
app.wsgi_app = security.with_headers(app.wsgi_app)
