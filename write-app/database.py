"""What is asked of the primary.

Nothing here is tried again after it may have reached the server: a commit whose answer was lost may have
happened. The caller answers 503, and the client may send the same request again, because an email address
can be registered once only.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql

import metrics
import settings
from connection import Connection
from errors import FULL, Busy, Unavailable, advice, code_of, log_reason
from pool import READ_TIMEOUT, Pool
from semi_sync import Writer

# No two different texts are equal in this collation, and the index compares them in lower case: two addresses are one
# if they differ in letter case, and in nothing else.
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS users (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name       VARCHAR(100) NOT NULL,
  email      VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL,
  created_at DATETIME(3) NOT NULL DEFAULT (UTC_TIMESTAMP(3)),
  UNIQUE KEY email ((LOWER(email)))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
"""
INSERT = "INSERT INTO users (name, email) VALUES (%s, %s)"

pool = Pool()
metrics.Gauges(["mysql_pod", "state"], pool.gauges)


class Duplicate(Exception):
    """That email address is registered already, says `mysql_pod`."""

    def __init__(self, mysql_pod: str) -> None:
        super().__init__(mysql_pod)
        self.mysql_pod = mysql_pod


def add_user(name: str, email: str) -> dict[str, Any]:
    """Insert a user. Returns a dictionary with id, mysql_pod, gtid and replicated. Raises Duplicate or Unavailable."""
    with primary() as writer:
        writer.look_before_commit()
        try:
            number = writer.execute(INSERT, (name, email)).lastrowid
        except pymysql.IntegrityError as error:
            raise Duplicate(writer.mysql_pod) from error
        gtid, replicated = writer.look_after_commit()
    return {"id": number, "mysql_pod": writer.mysql_pod, "gtid": gtid, "replicated": replicated}


def is_writable() -> bool:
    """Tell whether the primary takes writes. Raises Unavailable when it does not answer."""
    with primary() as writer:
        return bool(writer.row("SELECT @@global.read_only")[0] == 0)


def init_db() -> None:
    """Wait for the primary, for as long as it takes, and create the table. Each new reason to wait is printed once."""
    printed = None
    while True:
        try:
            connection = Connection(settings.DB_HOST, READ_TIMEOUT)
            connection.execute(CREATE_TABLE)
            connection.close()
            return
        except (pymysql.Error, OSError) as error:
            reason = advice(error, settings.DB_HOST)
        if reason != printed:
            print(f"Waiting for the primary: {reason}", flush=True)
            printed = reason
        time.sleep(0.3)


@contextmanager
def primary() -> Iterator[Writer]:
    """Lend a connection to the primary. Raises Unavailable for whatever the server or the network does wrong."""
    writer = None
    try:
        writer = pool.acquire()
        yield writer
    except BaseException as error:
        if writer and not isinstance(error, Duplicate):
            writer.close()  # in an unknown state: an answer may still be on its way
        if not isinstance(error, pymysql.Error | OSError):
            raise
        # The next request starts with a new connection, and resolves the name again.
        pool.clear()
        log_reason(advice(error, settings.DB_HOST))
        raise (Busy if code_of(error) in FULL else Unavailable) from error
    finally:
        if writer:
            pool.release(writer)
