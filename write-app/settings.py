"""What the environment says, checked once: a wrong setting stops the app with a sentence."""

import os
import socket
import ssl
import sys

import tls


def number(name, default, low, high):
    """Return environment variable `name` as a whole number from `low` to `high`; stop the app if it is none."""
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        sys.exit(
            f"{name} is {text!r}, but it must be a number from {low} to {high}. Correct it in the Deployment's env."
        )
    return int(text)


DB_HOST = os.environ.get("DB_HOST") or "mysql-0.mysql"
DB_PORT = number("DB_PORT", 3306, 1, 65535)
DB_USER = os.environ.get("DB_USER") or "appuser"
DB_PASSWORD = os.environ.get("DB_PASSWORD", "")
DB_NAME = os.environ.get("DB_NAME") or "userdb"
# A file with the certificate authority that signed the servers' certificates. If it is there, certificate and
# name of the server are verified; if not, the connection is encrypted but could be to an impostor.
DB_CA = os.environ.get("DB_CA") or ""
POD_NAME = os.environ.get("POD_NAME") or socket.gethostname()
READ_PORT = number("READ_PORT", 30001, 1, 65535)
WRITE_PORT = number("WRITE_PORT", 30000, 1, 65535)


def tls_context():
    """Return how connections are encrypted: with the server verified, certificate and name, if there is a CA file."""
    if os.path.exists(DB_CA):
        try:
            return ssl.create_default_context(cafile=DB_CA)
        except OSError as error:
            sys.exit(f"{DB_CA} (DB_CA) is no readable file of certificates in PEM format: {error.strerror or error}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


TLS = tls_context()
TLS.sslsocket_class = tls.Socket
