"""Connections to the primary, and what is asked of it.

Nothing here is tried again after it may have reached the server: a commit whose answer was lost may have
happened. The caller answers 503, and the client may send the same request again, because an email address
can be registered once only.
"""

import logging
import os
import select
import socket
import ssl
import time
from contextlib import contextmanager

import pymysql
from pymysql.constants import CR, ER
from sqlalchemy import event, exc
from sqlalchemy.pool import QueuePool

import settings

log = logging.getLogger("write-app")

CONNECT_TIMEOUT = 2  # seconds
# Seconds to wait for an answer: longer than rpl_semi_sync_source_timeout, for which a commit may wait for the replica.
READ_TIMEOUT = 10
# Milliseconds for which sent data may stay without a TCP acknowledgement: finds a node that lost power or network.
TCP_USER_TIMEOUT = 3000
POOL_SIZE = 8  # connections for each worker process

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

# One look at semi-sync, and the newest transaction of this very connection.
LOOK = """
SELECT
  (SELECT VARIABLE_VALUE FROM performance_schema.global_status
    WHERE VARIABLE_NAME = 'Rpl_semi_sync_source_status'),
  (SELECT VARIABLE_VALUE FROM performance_schema.global_status
    WHERE VARIABLE_NAME = 'Rpl_semi_sync_source_no_times'),
  (SELECT GTID FROM performance_schema.events_transactions_history
    WHERE THREAD_ID = PS_CURRENT_THREAD_ID() AND GTID LIKE '%:%' ORDER BY EVENT_ID DESC LIMIT 1)
"""


class Unavailable(Exception):
    """The primary cannot take a write now. The reason is in the log."""


class Duplicate(Exception):
    """That email address is registered already."""


def advice(error):
    """Return a sentence for the log that says what is wrong with the database and what to do about it."""
    where = f"{settings.DB_HOST}:{settings.DB_PORT}"
    cause = getattr(error, "original_exception", error)
    code = error.args[0] if error.args else None
    if isinstance(cause, socket.gaierror):
        return f"The name {settings.DB_HOST} does not resolve. Is the pod running? Does DB_HOST name it and the headless Service?"
    if isinstance(cause, ssl.SSLError):
        return f"TLS with {where} failed: {cause.reason or cause}. Does the certificate fit the CA file in DB_CA, and the name?"
    if isinstance(cause, ConnectionRefusedError):
        return f"{where} refuses connections: mysqld is not running there yet. See the pod's log."
    if isinstance(cause, TimeoutError):
        return f"{where} did not answer in time. Is its node up, and does a NetworkPolicy let this pod in?"
    if code in (ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR):
        return (
            f"{where} denies access to user {settings.DB_USER} on {settings.DB_NAME}. Is DB_PASSWORD that of the Secret? "
            "After a change of the Secret restart MySQL first, then this app."
        )
    if code == ER.BAD_DB_ERROR:
        return f"{where} has no database {settings.DB_NAME}. Does DB_NAME say what the StatefulSet creates?"
    if code == ER.NO_SUCH_TABLE:
        return "The table users does not exist. Create it: flask --app app init-db (the init container does that)."
    if code == ER.OPTION_PREVENTS_STATEMENT:
        return f"{where} is read-only: it is not the primary, or has not opened for writes yet. Does DB_HOST name the primary?"
    return f"{where}: {' '.join(str(error).split())}"


def tls_context():
    """Return the SSL context for connections: verifying if the CA file is there, encrypting in any case."""
    if settings.DB_CA and os.path.exists(settings.DB_CA):
        return ssl.create_default_context(cafile=settings.DB_CA)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


TLS = tls_context()


def connect():
    """Open a connection to the primary, resolving its name anew. Raises pymysql.Error."""
    connection = pymysql.connect(
        host=settings.DB_HOST,
        port=settings.DB_PORT,
        user=settings.DB_USER,
        password=settings.DB_PASSWORD,
        database=settings.DB_NAME,
        charset="utf8mb4",
        autocommit=True,
        ssl=TLS,
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        write_timeout=READ_TIMEOUT,
        defer_connect=True,
    )
    try:
        sock = socket.create_connection((settings.DB_HOST, settings.DB_PORT), CONNECT_TIMEOUT)
    except OSError as error:
        failed = pymysql.OperationalError(CR.CR_CONN_HOST_ERROR, f"Cannot connect: {error}")
        failed.original_exception = error
        raise failed from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT)
    connection.connect(sock)
    return connection


def is_cut(connection):
    """Tell without a round trip whether the server closed an idle connection: then there is something to read."""
    return bool(select.select([connection._sock], [], [], 0)[0])


pool = QueuePool(connect, pool_size=POOL_SIZE, max_overflow=0, timeout=3, use_lifo=True, reset_on_return=None)


@event.listens_for(pool, "connect")
def first_look(connection, record):
    """Remember with each new connection who answers it."""
    record.info["mysql_pod"] = query(connection, "SELECT @@hostname")[0]


@event.listens_for(pool, "checkout")
def check(connection, record, proxy):
    """Replace every idle connection when one was cut: the server was restarted, or its pod replaced."""
    if is_cut(connection):
        raise exc.InvalidatePoolError("the server closed the connection")


def query(connection, sql, values=None):
    """Run a statement and return its first row, or None."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


@contextmanager
def primary():
    """Lend a connection to the primary. Any failure becomes Unavailable, and is logged once a reason."""
    try:
        proxy = pool.connect()
    except (pymysql.Error, exc.TimeoutError, OSError) as error:
        raise unavailable(error) from error
    try:
        yield proxy
    except pymysql.err.IntegrityError:
        raise
    except (pymysql.Error, OSError) as error:
        proxy.invalidate(error)
        raise unavailable(error) from error
    finally:
        proxy.close()


def unavailable(error):
    """Log what to do about `error`, and return the exception to raise."""
    log.error("%s", advice(error))
    return Unavailable()


def add_user(name, email):
    """Insert a user. Returns a dictionary with id, mysql_pod and gtid. Raises Duplicate or Unavailable."""
    with primary() as connection:
        try:
            with connection.cursor() as cursor:
                cursor.execute(INSERT, (name, email))
                user_id = cursor.lastrowid
        except pymysql.err.IntegrityError as error:
            raise Duplicate from error
        return {"id": user_id, "mysql_pod": connection.info["mysql_pod"]}


def is_writable():
    """Tell whether the primary answers and takes writes. Raises Unavailable when it does not answer."""
    with primary() as connection:
        return query(connection, "SELECT @@global.read_only")[0] == 0


def init_db():
    """Wait for the primary, for as long as it takes, and create the table. Each new reason to wait is logged once."""
    told = None
    while True:
        try:
            connection = connect()
            with connection, connection.cursor() as cursor:
                cursor.execute(CREATE_TABLE)
            return
        except pymysql.Error as error:
            reason = advice(error)
            if reason != told:
                print(f"Waiting: {reason}", flush=True)
                told = reason
        time.sleep(1)
