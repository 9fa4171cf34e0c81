"""What is asked of the primary.

Nothing here is tried again after it may have reached the server: a commit whose answer was lost may have
happened. The caller answers 503, and the client may send the same request again, because an email address
can be registered once only.
"""

import logging
import socket
import ssl
import time
from contextlib import contextmanager

import pymysql
from pymysql.constants import CR, ER

import metrics
import settings
from pool import SEMI_SYNC, SIZE, Busy, Pool, connect

log = logging.getLogger("write-app")

# as_ci: Ann@x.org and ann@x.org are one address, but jose@x.org and josé@x.org are two.
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS users (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name       VARCHAR(100) NOT NULL,
  email      VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_ci NOT NULL UNIQUE,
  created_at DATETIME(3) NOT NULL DEFAULT (UTC_TIMESTAMP(3))
) DEFAULT CHARACTER SET utf8mb4
"""

LOOK_AGAIN = 1.0  # seconds

INSERT = "INSERT INTO users (name, email) VALUES (%s, %s)"

# The newest transaction of this very connection.
LOOK = SEMI_SYNC.format(
    "(SELECT GTID FROM performance_schema.events_transactions_history"
    " WHERE THREAD_ID = PS_CURRENT_THREAD_ID() AND GTID LIKE '%:%' ORDER BY EVENT_ID DESC LIMIT 1)"
)


class Unavailable(Exception):
    """The primary cannot take a write now. The reason is in the log."""


class Duplicate(Exception):
    """That email address is registered already, says `mysql_pod`."""

    def __init__(self, mysql_pod):
        super().__init__(mysql_pod)
        self.mysql_pod = mysql_pod


def add_user(name, email):
    """Insert a user. Returns a dictionary with id, mysql_pod, gtid and replicated. Raises Duplicate or Unavailable."""
    with primary() as writer:
        if not writer.semi_sync.endswith(",ON") or time.monotonic() - writer.looked > LOOK_AGAIN:
            # It was off when this connection looked last, or that was long ago: a replica may have come back since.
            writer.look()
        try:
            number = writer.execute(INSERT, (name, email))
        except pymysql.IntegrityError as error:
            raise Duplicate(writer.mysql_pod) from error
        gtid, replicated = look_back(writer)
    return {"id": number, "mysql_pod": writer.mysql_pod, "gtid": gtid, "replicated": replicated}


def look_back(writer):
    """Return the GTID of the transaction just committed by `writer`, and whether a replica had acknowledged it.

    It had if semi-sync was on during the whole commit. That is so if it was on in the look before, on this same
    connection, and has not been switched off since: another connection's look could be one at the server before a
    restart. When in doubt the answer is no. The commit has happened, so a failure here fails nothing.
    """
    before = writer.semi_sync
    try:
        gtid = writer.look(LOOK)
    except (pymysql.Error, OSError):
        writer.close()
        return None, False
    return gtid, writer.semi_sync == before and before.endswith(",ON")


def is_writable():
    """Tell whether the primary takes writes. Raises Unavailable when it does not answer."""
    with primary() as writer:
        return writer.row("SELECT @@global.read_only")[0] == 0


def init_db():
    """Wait for the primary, for as long as it takes, and create the table. Each new reason to wait is printed once."""
    told = None
    while True:
        try:
            with connect() as connection, connection.cursor() as cursor:
                cursor.execute(CREATE_TABLE)
            return
        except (pymysql.Error, OSError) as error:
            reason = advice(error)
        if reason != told:
            print(f"Waiting for the primary: {reason}", flush=True)
            told = reason
        time.sleep(0.3)


@contextmanager
def primary():
    """Lend a connection to the primary. Raises Unavailable for whatever the server or the network does wrong."""
    try:
        writer = pool.lend()
    except (Busy, pymysql.Error, OSError) as error:
        raise unavailable(error) from error
    metrics.IN_USE.inc()
    try:
        yield writer
    except (pymysql.Error, OSError) as error:
        # Whatever went wrong, the next one starts with a new connection, and resolves the name anew.
        writer.close()
        pool.clear()
        raise unavailable(error) from error
    finally:
        pool.give_back(writer)
        metrics.IN_USE.dec()


pool = Pool()
told = {}  # reason: when it was logged last


def unavailable(error):
    """Log what to do about `error`, each reason once in ten seconds, and return the exception to raise."""
    reason = advice(error)
    now = time.monotonic()
    if now - told.get(reason, -10) >= 10:
        told[reason] = now
        log.error("%s", reason)
    return Unavailable()


def advice(error):
    """Return a sentence for the log that says what is wrong with the database, and what to do about it."""
    where = f"{settings.DB_HOST}:{settings.DB_PORT}"
    error = getattr(error, "original_exception", error)
    code = error.args[0] if isinstance(error, pymysql.Error) and error.args else None
    if isinstance(error, socket.gaierror):
        return (
            f"The name {settings.DB_HOST} does not resolve. Is that pod there (kubectl get pods)? "
            "Is DB_HOST its name and that of the headless Service?"
        )
    if isinstance(error, ssl.SSLError):
        return (
            f"TLS with {where} failed: {getattr(error, 'verify_message', '') or error.reason}. "
            "Was the server's certificate made for this name, by the authority in the file that DB_CA names?"
        )
    if isinstance(error, ConnectionRefusedError):
        return f"{where} refuses connections: mysqld does not run there (yet). See that pod's log."
    if isinstance(error, Busy):
        return f"All {SIZE} connections to {where} are busy: the primary is slow, or waits for its replica."
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
        return "The table users is missing. Create it with: flask --app app init-db (as the init container does)."
    if code == ER.OPTION_PREVENTS_STATEMENT:
        return f"{where} is read-only: it has not opened for writes yet (see its log), or DB_HOST names a replica."
    return f"{where} failed: {' '.join(str(error).split())}"
