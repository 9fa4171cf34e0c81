"""What the environment says, checked once: a wrong setting stops the app with a sentence, not with a traceback later."""

import os
import socket
import sys


def number(name, default, low, high):
    """Return environment variable `name` as a whole number from `low` to `high`; stop the app if it is none."""
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        sys.exit(f"{name} is {text!r}, but it must be a number from {low} to {high}. Correct it in the Deployment's env.")
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
