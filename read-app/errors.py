"""What can be wrong with the database, and what to do about it."""

import logging
import socket
import ssl
import time

import pymysql
from pymysql.constants import CR, ER

import settings

log = logging.getLogger("read-app")
told = {}  # reason: when it was logged last


class Unavailable(Exception):
    """No MySQL pod can answer now. The reason is in the log."""


class Behind(Exception):
    """The MySQL pod `mysql_pod` still lacks the transaction that the client wants to see."""

    def __init__(self, mysql_pod):
        super().__init__(mysql_pod)
        self.mysql_pod = mysql_pod


def is_cut(error):
    """Tell whether it is the connection that failed, and not the statement."""
    if isinstance(error, pymysql.Error):
        code = error.args[0] if error.args else 0
        return not isinstance(code, int) or code == 0 or code >= 2000 or code == ER.SERVER_SHUTDOWN
    return isinstance(error, OSError)


def log_error(error, host):
    """Log what to do about `error`, each reason once in ten seconds."""
    reason = advice(error, host)
    now = time.monotonic()
    if now - told.get(reason, -10) >= 10:
        told[reason] = now
        log.error("%s", reason)


def advice(error, host):
    """Return a sentence for the log: what is wrong with the MySQL pod or Service `host`, and what to do about it."""
    where = f"{host}:{settings.DB_PORT}"
    error = getattr(error, "original_exception", error)
    code = error.args[0] if isinstance(error, pymysql.Error) and error.args else None
    if isinstance(error, socket.gaierror):
        return f"The name {host} does not resolve. Is there a Service or pod of that name (kubectl get services,pods)?"
    if isinstance(error, ssl.SSLError):
        return (
            f"TLS with {where} failed: {getattr(error, 'verify_message', '') or error.reason}. "
            "Was the server's certificate made for this name, by the authority in the file that DB_CA names?"
        )
    if isinstance(error, ConnectionRefusedError):
        return f"{where} refuses connections: no MySQL pod is ready there. See: kubectl describe pods"
    if isinstance(error, OSError) or code in (CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST):
        return (
            f"{where} does not answer or cut the connection. Is the pod up, and does a NetworkPolicy let this pod in?"
        )
    if code in (ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR):
        return (
            f"{where} denies {settings.DB_USER} access to {settings.DB_NAME}. Is DB_PASSWORD the one in the Secret? "
            "After a change of the Secret, restart MySQL first, then this app."
        )
    if code == ER.BAD_DB_ERROR:
        return f"{where} has no database {settings.DB_NAME}. Is DB_NAME the one that the StatefulSet creates?"
    if code == ER.NO_SUCH_TABLE:
        return "The table users is missing. write-app's init container creates it; has it run (kubectl get pods)?"
    return f"{where} failed: {' '.join(str(error).split())}"
