"""write-app: the registration page. Every write goes to the primary, mysql-0, by its own name."""

import json
import logging
import sys
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Flask, render_template, request
from werkzeug.exceptions import BadRequest, HTTPException, UnsupportedMediaType

import database
import metrics
import security
import settings
from validation import check_user

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

AWAY = "The primary database cannot take writes at the moment. Please send the same again in a few seconds."

app = Flask(__name__, template_folder=".")
app.config["MAX_CONTENT_LENGTH"] = 16 * 1024  # bytes; a registration needs less than one
app.json.sort_keys = False
app.json.ensure_ascii = False
app.before_request(security.refuse_other_sites)


@app.get("/")
def index():
    """Show the registration page."""
    return page()


@app.post("/submit")
def submit():
    """Register a user."""
    fields = read_fields()
    name, email, errors = check_user(fields)
    if errors:
        return answer(422, "Please correct the marked fields.", fields, errors=errors)
    try:
        user = database.add_user(name, email)
    except database.Duplicate as duplicate:
        message = "This email address is registered already."
        return answer(409, message, fields, errors={"email": message}, mysql_pod=duplicate.mysql_pod)
    except database.Unavailable:
        return answer(503, AWAY, fields)
    metrics.REGISTERED.labels(str(user["replicated"]).lower()).inc()
    return answer(201, f"{name} is registered.", **user)


@app.get("/healthz")
def healthz():
    """Tell that this process answers."""
    return answer(200, "This process answers.")


@app.get("/readyz")
def readyz():
    """Tell whether a registration would be written now."""
    try:
        writable = database.is_writable()
    except database.Unavailable:
        writable = False
    return answer(200, "The primary takes writes.") if writable else answer(503, AWAY)


@app.cli.command("init-db")
def init_db():
    """Wait for the primary and create the table. Can be run any number of times, by several pods at once."""
    database.init_db()
    print("The table users is there.")


def read_fields():
    """Return what the client sent, as a mapping, from JSON or a form. Raises 400, 413 or 415."""
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
            raise BadRequest("This form is not in UTF-8.") from None
        return request.form
    raise UnsupportedMediaType("Please send JSON (Content-Type: application/json) or a form.")


def answer(status, message, fields=None, **more):
    """Return JSON, or to a browser that sent the form without JavaScript the page that shows the same."""
    result = {"success": status < 400, "message": message, **more, "app_pod": settings.POD_NAME}
    wants_page = request.path == "/submit" and not request.is_json and prefers_html()
    response = page(result, fields, status) if wants_page else app.json.response(result)
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = "2"
    return response


def prefers_html():
    """Tell whether the client would rather have a page: browsers say so, curl and fetch do not."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def page(result=None, fields=None, status=200):
    """Return the registration page, with the result of a submission and the text typed if there is one."""
    html = render_template(
        "index.html",
        result=result,
        fields=fields or {},
        status=status,
        app_pod=settings.POD_NAME,
        read_url=read_url(),
    )
    return app.make_response((html, status))


def read_url():
    """Return the address of the reading page: the same host by which this one was reached, another port."""
    host = urlsplit(f"//{request.host}").hostname or "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.READ_PORT}/"


@app.errorhandler(HTTPException)
def http_error(error):
    """Answer wrong requests, and our own mistakes, with a sentence."""
    if error.code < 400:
        return error
    response = answer(error.code, error.description)
    if error.code == 405:
        response.allow.update(error.valid_methods)
    return response


metrics.count_requests(app)
app.wsgi_app = security.with_headers(app.wsgi_app)
