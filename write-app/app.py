"""write-app: the registration page. Every write goes to the primary, mysql-0, by its own name."""

import json
import logging
import sys
from urllib.parse import unquote_to_bytes

from flask import Flask, jsonify, render_template, request
from werkzeug.exceptions import BadRequest, HTTPException, UnsupportedMediaType

import database
import settings
from validation import check_user

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

app = Flask(__name__, template_folder=".")
app.config["MAX_CONTENT_LENGTH"] = 16 * 1024  # bytes


@app.get("/")
def index():
    """Show the registration page."""
    return page()


@app.post("/submit")
def submit():
    """Register a user."""
    name, email, errors = check_user(fields := read_fields())
    if errors:
        return answer(422, fields, message="Please correct the marked fields.", errors=errors)
    try:
        user = database.add_user(name, email)
    except database.Duplicate:
        message = "This email address is registered already."
        return answer(409, fields, message=message, errors={"email": message})
    except database.Unavailable:
        return answer(503, fields, message=AWAY)
    return answer(201, {}, message=f"{name} is registered.", **user)


@app.get("/healthz")
def healthz():
    """Tell that this process answers."""
    return answer(200)


@app.get("/readyz")
def readyz():
    """Tell whether a registration would work now."""
    try:
        ready = database.is_writable()
    except database.Unavailable:
        ready = False
    return answer(200) if ready else answer(503, message=AWAY)


@app.cli.command("init-db")
def init_db():
    """Wait for the primary and create the table. Can be run any number of times, and at the same time."""
    database.init_db()
    print("The table users is there.")


AWAY = "The primary database is away at the moment. Nothing was lost: please send it again in a few seconds."


def read_fields():
    """Return what the client sent, from JSON or a form. Raises 400 or 415."""
    body = request.get_data()
    if request.is_json:
        try:
            fields = json.loads(body.decode())
        except (ValueError, RecursionError):
            raise BadRequest("This is not valid JSON in UTF-8.") from None
        if not isinstance(fields, dict):
            raise BadRequest('Please send a JSON object: {"name": "...", "email": "..."}.')
        return fields
    if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
        try:
            unquote_to_bytes(body).decode()
        except ValueError:
            raise BadRequest("The form is not in UTF-8.") from None
        return request.form
    raise UnsupportedMediaType("Please send JSON or a form.")


def wants_page():
    """Tell whether a browser asks, for a person, rather than a program."""
    return not request.is_json and request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def answer(status, fields=None, message=None, **more):
    """Return JSON, or for a form sent by a browser without JavaScript the page that shows the same."""
    result = {"success": status < 400, **({"message": message} if message else {}), **more, "app_pod": settings.POD_NAME}
    response = page(result, fields, status) if request.endpoint == "submit" and wants_page() else jsonify(result)
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = "2"
    return response


def page(result=None, fields=None, status=200):
    """Return the registration page, with the result of a submission if there is one."""
    return app.make_response(
        render_template(
            "index.html",
            result=result,
            fields=fields or {},
            status=status,
            app_pod=settings.POD_NAME,
            settings=settings,
        )
    )


@app.errorhandler(HTTPException)
def http_error(error):
    """Answer wrong requests with a sentence."""
    return answer(error.code, message=error.description)
