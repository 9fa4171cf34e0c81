"""Connections to the primary, and what is asked of it.

Nothing here is tried again after it may have reached the server: a commit whose answer was lost may have
happened. The caller answers 503, and the client may send the same request again, because an email address
can be registered once only.
"""

import logging
import select
import socket
import ssl
import time
from contextlib import contextmanager

import pymysql
from pymysql.constants import CR, ER
from sqlalchemy import event, exc
from sqlalchemy.pool import QueuePool

import metrics
import settings

log = logging.getLogger("write-app")

CONNECT_TIMEOUT = 2  # seconds
# Seconds to wait for an answer: longer than rpl_semi_sync_source_timeout, for which a commit may wait for the replica.
READ_TIMEOUT = 10
# Milliseconds for which sent data may stay without a TCP acknowledgement: finds a node that lost power or network.
TCP_USER_TIMEOUT = 3000
# Connections of each worker process, opened when needed. Commits that run at the same time share one flush to disk.
POOL_SIZE = 20
POOL_TIMEOUT = 3  # seconds to wait for a free one

# as_ci: Ann@x.org and ann@x.org are one address, but jose@x.org and josé@x.org are two.
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS users (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name       VARCHAR(100) NOT NULL,
  email      VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_ci NOT NULL UNIQUE,
  created_at DATETIME(3) NOT NULL DEFAULT (UTC_TIMESTAMP(3))
) DEFAULT CHARACTER SET utf8mb4
"""

INSERT = "INSERT INTO users (name, email) VALUES (%s, %s)"

# A look at semi-sync: how often it was switched off, and whether it is on, such as '0,ON'. The server reads them in
# this order, and that matters: read the other way round, '0,ON' could be said of the moment after it was switched off.
SEMI_SYNC = """
SELECT {}, GROUP_CONCAT(VARIABLE_VALUE ORDER BY VARIABLE_NAME) FROM performance_schema.global_status
WHERE VARIABLE_NAME IN ('Rpl_semi_sync_source_no_times', 'Rpl_semi_sync_source_status')
"""
FIRST_LOOK = SEMI_SYNC.format("@@hostname")
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
    with primary() as connection:
        if not connection.info["semi_sync"].endswith(",ON"):
            # It was off when this connection looked last; a replica may be back since.
            connection.info["semi_sync"] = query(connection, FIRST_LOOK)[1]
        try:
            with connection.cursor() as cursor:
                cursor.execute(INSERT, (name, email))
                user = {"id": cursor.lastrowid, "mysql_pod": connection.info["mysql_pod"]}
        except pymysql.IntegrityError as error:
            raise Duplicate(connection.info["mysql_pod"]) from error
        gtid, replicated = look_back(connection)
    return user | {"gtid": gtid, "replicated": replicated}


def look_back(connection):
    """Return the GTID of the transaction just committed on `connection`, and whether a replica had acknowledged it.

    It had if semi-sync was on during the whole commit. That is so if it was on in the look before, on this same
    connection, and has not been switched off since: another connection's look could be one at the server before a
    restart. When in doubt the answer is no. The commit has happened, so a failure here fails nothing.
    """
    before = connection.info["semi_sync"]
    try:
        gtid, now = query(connection, LOOK)
    except (pymysql.Error, OSError) as error:
        connection.invalidate(error)
        return None, False
    replicated = now == before and now.endswith(",ON")
    connection.info["semi_sync"] = now
    return gtid, replicated


def is_writable():
    """Tell whether the primary takes writes. Raises Unavailable when it does not answer."""
    with primary() as connection:
        return query(connection, "SELECT @@global.read_only")[0] == 0


def init_db():
    """Wait for the primary, for as long as it takes, and create the table. Each new reason to wait is printed once."""
    told = None
    while True:
        try:
            with connect() as connection:
                query(connection, CREATE_TABLE)
            return
        except (pymysql.Error, OSError) as error:
            reason = advice(error)
        if reason != told:
            print(f"Waiting for the primary: {reason}", flush=True)
            told = reason
        time.sleep(1)


def query(connection, sql):
    """Run a statement and return its first row, or None."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()


@contextmanager
def primary():
    """Lend a connection to the primary. Raises Unavailable for whatever the server or the network does wrong."""
    try:
        connection = pool.connect()
    except (pymysql.Error, exc.SQLAlchemyError, OSError) as error:
        raise unavailable(error) from error
    metrics.IN_USE.inc()
    try:
        yield connection
    except (pymysql.Error, OSError) as error:
        # Whatever went wrong, the next one starts with a new connection, and resolves the name anew.
        connection.invalidate(error)
        raise unavailable(error) from error
    finally:
        connection.close()
        metrics.IN_USE.dec()


def connect():
    """Open a connection to the primary. Raises pymysql.Error or OSError."""
    sock = socket.create_connection((settings.DB_HOST, settings.DB_PORT), CONNECT_TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT)
    connection = pymysql.connect(
        host=settings.DB_HOST,
        user=settings.DB_USER,
        password=settings.DB_PASSWORD,
        database=settings.DB_NAME,
        charset="utf8mb4",
        autocommit=True,
        ssl=settings.TLS,
        read_timeout=READ_TIMEOUT,
        write_timeout=READ_TIMEOUT,
        defer_connect=True,
    )
    connection.connect(sock)
    return connection


# use_lifo: a lone visitor's writes use one connection, and few are kept busy. No reset: everything is autocommitted.
pool = QueuePool(
    connect, pool_size=POOL_SIZE, max_overflow=0, timeout=POOL_TIMEOUT, use_lifo=True, reset_on_return=None
)


@event.listens_for(pool, "connect")
def first_look(connection, record):
    """Remember with each new connection who answers it, and the state of semi-sync before its first commit."""
    record.info["mysql_pod"], record.info["semi_sync"] = query(connection, FIRST_LOOK)
    record.info["counted"] = True
    metrics.OPEN.inc()


@event.listens_for(pool, "close")
def closed(connection, record):
    """Count an open connection less."""
    if record.info.pop("counted", False):
        metrics.OPEN.dec()


@event.listens_for(pool, "checkout")
def check(connection, record, proxy):
    """Replace all idle connections when one was cut: the server was restarted, or its pod replaced.

    This takes no round trip: an idle connection has something to read only if the server closed it.
    """
    poll = select.poll()
    poll.register(connection._sock, select.POLLIN)
    if poll.poll(0):
        raise exc.InvalidatePoolError("the server closed the connection")


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
    if isinstance(error, exc.TimeoutError):
        return f"All {POOL_SIZE} connections to {where} are busy: the primary is slow, or waits for its replica."
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
