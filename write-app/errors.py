"""Database errors: a sentence for the log about each, with its cause and remedy."""

import logging
import socket
import ssl
import time

import pymysql
from pymysql.constants import CR, ER

from settings import APP, DB_NAME, DB_PORT, DB_USER

FULL = (ER.CON_COUNT_ERROR, ER.USER_LIMIT_REACHED, ER.TOO_MANY_USER_CONNECTIONS)
DENIED = (ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR)
logged: dict[str, float] = {}  # reason: when it was logged last


class Unavailable(Exception):
    """The database cannot answer now. The reason is in the log."""


class Busy(Unavailable):
    """All connections are in use: those of this pod, of its account, or of the server."""


def code_of(error: BaseException) -> int:
    """Return MySQL's or PyMySQL's number of an error, 0 if it has none."""
    return next((code for code in error.args[:1] if isinstance(error, pymysql.Error) and isinstance(code, int)), 0)


def log_reason(reason: str) -> None:
    """Log why the database does not answer, each reason once in ten seconds."""
    now = time.monotonic()
    if now - logged.get(reason, -10) >= 10:
        logged[reason] = now
        logging.error("%s", reason)


def advice(error: BaseException, host: str) -> str:
    """Return a sentence for the log: what is wrong with the MySQL pod or Service `host`, and what to do about it."""
    where = f"{host}:{DB_PORT}"
    error = getattr(error, "original_exception", error)
    code = code_of(error)
    if isinstance(error, socket.gaierror):
        return f"The name {host} does not resolve. Is there a Service or pod of that name (kubectl get services,pods)?"
    if isinstance(error, ssl.SSLError):
        return f"TLS with {where} failed: {error}. Is its certificate for this name, and from the authority in DB_CA?"
    if isinstance(error, ConnectionRefusedError):
        return f"{where} refuses connections: mysqld does not run there (yet), or no MySQL pod is ready. See its log."
    if isinstance(error, OSError) or code in (CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST):
        return f"{where} does not answer or cut the connection. Is the pod up, and does a NetworkPolicy allow this pod?"
    if code in FULL:
        return f"{where} gives {DB_USER} no more connections. Do fewer pods of {APP} suffice?"
    if code in DENIED:
        return f"{where} denies {DB_USER} access to {DB_NAME}. If the Secret has changed, restart MySQL, then this app."
    if code == ER.BAD_DB_ERROR:
        return f"{where} has no database {DB_NAME}. Is DB_NAME the one that the StatefulSet creates?"
    if code == ER.NO_SUCH_TABLE:
        return "The table users is missing. write-app's init container creates it (init-db): kubectl get pods"
    if code == ER.OPTION_PREVENTS_STATEMENT:
        return f"{where} is read-only: it has not opened for writes yet (see its log), or DB_HOST names a replica."
    return f"{where} failed: {' '.join(str(error).split())}"
