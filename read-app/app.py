"""read-app: the reading page. Reads are spread over all MySQL pods that are ready, through the Service mysql-read."""

import logging
import sys

from flask import Flask, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, UnprocessableEntity

import database
import settings

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

app = Flask(__name__, template_folder=".")
AWAY = "No database pod can answer at the moment. Please try again in a few seconds."


@app.get("/")
def index():
    """Show the reading page."""
    try:
        result = read_users()
    except database.Unavailable:
        result = {"message": AWAY, "users": []}
    return render_template("index.html", result=result, app_pod=settings.POD_NAME, settings=settings)


@app.get("/users")
def users():
    """Return a page of users, newest first."""
    return answer(200, **read_users())


@app.get("/mysql-pod")
def mysql_pod():
    """Tell which MySQL pod answered."""
    return answer(200, **database.query("SELECT 1")[1])


@app.get("/healthz")
def healthz():
    """Tell that this process answers."""
    return answer(200)


@app.get("/readyz")
def readyz():
    """Tell whether a MySQL pod answers."""
    database.query("SELECT 1")
    return answer(200)


def read_users():
    """Return a page of users as the query string asks."""
    limit, before = number("limit", 50, 200), number("before", 2**63 - 1, 2**63 - 1)
    rows, identity = database.query(
        "SELECT id, name, email, created_at FROM users WHERE id < %s ORDER BY id DESC LIMIT %s", (before, limit + 1)
    )
    found = [
        {"id": i, "name": name, "email": email, "created_at": made.isoformat(timespec="milliseconds") + "Z"}
        for i, name, email, made in rows[:limit]
    ]
    return {"users": found, "next": found[-1]["id"] if len(rows) > limit else None, **identity}


def number(name, default, most):
    """Return a whole number from 1 to `most` from the query string. Raises 422."""
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise UnprocessableEntity(f"{name} must be a whole number from 1 to {most}.")
    return int(text)


def answer(status, **more):
    """Return JSON."""
    response = jsonify({"success": status < 400, **more, "app_pod": settings.POD_NAME})
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = "2"
    return response


@app.errorhandler(database.Unavailable)
def unavailable(error):
    """Answer that no MySQL pod can."""
    return answer(503, message=AWAY)


@app.errorhandler(HTTPException)
def http_error(error):
    """Answer wrong requests with a sentence."""
    return answer(error.code, message=error.description)
