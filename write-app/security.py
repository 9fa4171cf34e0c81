"""What browsers are told, and which form posts are refused."""

from flask import request
from werkzeug.exceptions import Forbidden

HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    # Not no-referrer: with that, browsers hide the origin of our own form, too.
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]
HEADERS_NO_STORE = [*HEADERS, ("Cache-Control", "no-store")]


def refuse_other_sites():
    """Raise 403 for a post that a page of another origin made. Programs that say nothing of an origin are let in."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    # Browsers send Sec-Fetch-Site only to https and localhost, but Origin with every post.
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site not in (None, "same-origin", "none") or (origin is not None and origin.partition("://")[2] != request.host):
        raise Forbidden("This form may be sent from its own page only.")


def with_headers(wsgi_app):
    """Wrap a WSGI app: add the security headers, and keep answers out of caches. Files in /static/ are revalidated."""

    def app(environ, start_response):
        def start(status, headers, exc_info=None):
            more = HEADERS if environ["PATH_INFO"].startswith("/static/") else HEADERS_NO_STORE
            return start_response(status, headers + more, exc_info)

        return wsgi_app(environ, start)

    return app
