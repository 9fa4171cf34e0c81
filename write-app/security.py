"""What browsers are told, and which form posts are refused."""

from urllib.parse import urlsplit

from flask import request
from werkzeug.exceptions import Forbidden

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with that, browsers hide the origin of our own form, too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def refuse_other_sites():
    """Raise 403 for a post that a page of another origin made. Programs that say nothing of an origin are let in."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    # Browsers send Sec-Fetch-Site only to https and localhost, but Origin with every post.
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site not in (None, "same-origin", "none") or (origin is not None and urlsplit(origin).netloc != request.host):
        raise Forbidden("This form may be sent from its own page only.")


def add_headers(response):
    """Add the security headers, and keep answers out of caches; files under /static/ are revalidated instead."""
    response.headers.update(HEADERS)
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response
