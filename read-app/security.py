"""What browsers are told."""

HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]
HEADERS_NO_STORE = [*HEADERS, ("Cache-Control", "no-store")]


def with_headers(wsgi_app):
    """Wrap a WSGI app: add the security headers, and keep answers out of caches. Files in /static/ are revalidated."""

    def app(environ, start_response):
        def start(status, headers, exc_info=None):
            more = HEADERS if environ["PATH_INFO"].startswith("/static/") else HEADERS_NO_STORE
            return start_response(status, headers + more, exc_info)

        return wsgi_app(environ, start)

    return app
