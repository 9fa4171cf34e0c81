"""How both apps answer: JSON for programs, pages for browsers, and the security headers."""

import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, current_app, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

import metrics
import settings

SELF = "; ".join(f"{what} 'self'" for what in ("script-src", "style-src", "img-src", "connect-src", "form-action"))
POLICY = f"default-src 'none'; {SELF}; base-uri 'none'; frame-ancestors 'none'"
HEADERS = [
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),  # not no-referrer: with that, browsers hide the origin of our own form, too
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
]


def create_app() -> Flask:
    """Return a Flask app with what both apps have in common."""
    app = Flask("app")  # beside app.py are static/ and templates/
    app.config["MAX_CONTENT_LENGTH"] = 16 * 1024  # bytes; a registration needs less than one
    app.json.sort_keys = app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.register_error_handler(HTTPException, answer_error)
    app.wsgi_app = finished(app.wsgi_app)  # type: ignore[assignment,method-assign]
    app.add_url_rule("/healthz", "healthz", lambda: answer(200, {"message": "This process answers."}))
    return app


def answer(status: int, result: dict[str, Any]) -> Response:
    response: Any = current_app.json.response({"success": status < 400, **result, "app_pod": settings.POD_NAME})
    response.status_code = status
    return response  # type: ignore[no-any-return]


def page(template: str, status: int, **values: Any) -> Response:
    return Response(render_template(template, status=status, app_pod=settings.POD_NAME, **values), status)


def finished(wsgi_app: WSGIApplication) -> WSGIApplication:
    """Return Flask's `wsgi_app`, wrapped: it adds headers to each answer, and counts it in the metrics."""

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began = time.perf_counter()

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            metrics.observe(time.perf_counter() - began, int(status[:3]))
            if not any(name == "Cache-Control" for name, _ in headers):
                headers = [*headers, ("Cache-Control", "no-store")]
            if status.startswith("503"):
                headers = [*headers, ("Retry-After", "2")]
            return start_response(status, headers + HEADERS, exc_info)

        return wsgi_app(environ, start)

    return call


def prefers_html() -> bool:
    """Return whether the client prefers HTML to JSON. Browsers say so; curl and fetch do not."""
    return not request.is_json and request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def answer_error(error: HTTPException) -> HTTPException | Response:
    """Answer wrong requests, and errors in this app, with a sentence."""
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
