"""How both apps answer: JSON for programs, pages for browsers, and what browsers are told of security."""

from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

import metrics
import settings

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # not no-referrer: with that, browsers hide the origin of our own form, too
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_app() -> Flask:
    """Return a Flask app with what both apps have in common."""
    app = Flask("app")  # beside app.py are static/ and templates/
    app.config["MAX_CONTENT_LENGTH"] = 16 * 1024  # bytes; a registration needs less than one
    app.json.sort_keys = app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.before_request(metrics.begin)
    app.after_request(metrics.end)
    app.register_error_handler(HTTPException, answer_error)
    app.after_request(add_headers)
    app.add_url_rule("/healthz", "healthz", lambda: answer(200, {"message": "This process answers."}))
    return app


def answer(status: int, result: dict[str, Any]) -> Response:
    response = current_app.make_response({"success": status < 400, **result, "app_pod": settings.POD_NAME})
    response.status_code = status
    return response


def page(template: str, status: int, **values: Any) -> Response:
    return Response(render_template(template, status=status, app_pod=settings.POD_NAME, **values), status)


def add_headers(response: Response) -> Response:
    """Add the security headers. Keep answers out of caches, unless they say otherwise, as files in /static/ do."""
    response.headers.extend(HEADERS.items())
    response.headers.setdefault("Cache-Control", "no-store")
    if response.status_code == 503:
        response.headers["Retry-After"] = "2"
    return response


def prefers_html() -> bool:
    """Tell whether the client would rather have a page: browsers say so, curl and fetch do not."""
    return not request.is_json and request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def answer_error(error: HTTPException) -> HTTPException | Response:
    """Answer wrong requests, and our own mistakes, with a sentence."""
    status, message = error.code or 500, error.description or ""
    if status < 400:
        return error
    response = page("error.html", status, message=message) if prefers_html() else answer(status, {"message": message})
    if isinstance(error, MethodNotAllowed):
        response.allow.update(error.valid_methods or [])
    return response


def page_on_port(port: int) -> str:
    """Return the address of the other app's page: the host by which this one was reached, and another port."""
    host = urlsplit(f"//{request.host}").hostname or "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
