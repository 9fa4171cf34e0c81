"""The settings, from environment variables. A wrong setting stops the app with a sentence that says why."""

import contextlib
import logging
import os
import socket
import ssl
import sys

import tls

VERSION = os.environ.get("VERSION") or "unknown"  # the image's, see the Dockerfile


def port(name: str, default: int) -> int:
    """Return environment variable `name` as the number of a port; stop the app if it is none."""
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        sys.exit(f"{name} is {text!r}, but it must be a number from 1 to 65535. Correct it in the Deployment's env.")
    return int(text)


def tls_context() -> ssl.SSLContext:
    """Return the TLS context for connections to MySQL. Raises OSError if DB_CA has no certificates."""
    if DB_TLS == "verify":
        context = ssl.create_default_context(cafile=DB_CA or "DB_CA is empty")
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.sslsocket_class = tls.Socket
    return context


def current_tls() -> ssl.SSLContext:
    """Return TLS, which is made again when the Secret mysql-tls was renewed; a file that is no use changes nothing."""
    global TLS, ca_written
    with contextlib.suppress(OSError):
        if DB_TLS == "verify" and ca_written != os.stat(DB_CA).st_mtime_ns:
            ca_written = os.stat(DB_CA).st_mtime_ns
            TLS = tls_context()
            logging.info("DB_CA has changed: new connections to MySQL are verified with it.")
    return TLS


DB_PORT = port("DB_PORT", 3306)
DB_PASSWORD = os.environ.get("DB_PASSWORD") or sys.exit("DB_PASSWORD is empty. Is the key in the Secret set?")
DB_NAME = os.environ.get("DB_NAME") or "userdb"
DB_TLS = os.environ.get("DB_TLS") or "require"
DB_CA = os.environ.get("DB_CA") or ""  # a file: the certificate authority that signed the servers' certificates
if DB_TLS not in ("require", "verify"):
    sys.exit(f"DB_TLS is {DB_TLS!r}, but it must be require (encrypt) or verify (also check the server).")
try:
    TLS = tls_context()
    ca_written = os.stat(DB_CA).st_mtime_ns if DB_TLS == "verify" else 0
except OSError as error:
    sys.exit(f"DB_TLS is verify, but DB_CA={DB_CA} has no certificates: {error}. Is the Secret mysql-tls there?")
POD_NAME = os.environ.get("POD_NAME") or socket.gethostname()
BIND = os.environ.get("BIND") or ("[::]" if socket.has_dualstack_ipv6() else "0.0.0.0")  # noqa: S104 - [::]: IPv4, too
PORT = port("PORT", 8080)
METRICS_PORT = port("METRICS_PORT", 9090)
ACCESS_LOG = os.environ.get("ACCESS_LOG") == "1"

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
logging.info("TLS with MySQL: DB_TLS=%s, the server %s verified.", DB_TLS, "is" if DB_TLS == "verify" else "is not")

# ---- of this app only, from here on ----

APP = "read-app"
DB_HOST = os.environ.get("DB_HOST") or "mysql-read"
DB_USER = os.environ.get("DB_USER") or "readuser"
WRITE_PORT = port("WRITE_PORT", 30000)
MYSQL_SERVICE = os.environ.get("MYSQL_SERVICE") or "mysql"
