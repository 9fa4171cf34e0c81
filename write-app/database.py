"""The statements that write-app sends to the primary.

Nothing here is tried again after it may have reached the server: a commit whose answer was lost may have happened. The
client gets 503 and may send the same request again, because an email address can be registered once only.
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

pool = Pool()
metrics.Gauges(["mysql_pod", "state"], pool.gauges)


class Duplicate(Exception):
    """The MySQL pod `args[0]` says that this email address is registered already."""


def add_user(name: str, email: str) -> dict[str, Any]:
    """Insert a user. Returns a dictionary with id, mysql_pod, gtid and replicated. Raises Duplicate or Unavailable."""
    with primary() as writer:
        writer.look_before_commit()
        try:
            number = writer.execute("INSERT INTO users (name, email) VALUES (%s, %s)", (name, email)).lastrowid
        except pymysql.IntegrityError as error:
            raise Duplicate(writer.mysql_pod) from error
        gtid, replicated = writer.look_after_commit()
    return {"id": number, "mysql_pod": writer.mysql_pod, "gtid": gtid, "replicated": replicated}


def is_writable() -> bool:
    """Tell whether the primary takes writes. Raises Unavailable when it does not answer."""
    with primary() as writer:
        return bool(writer.row("SELECT @@global.read_only")[0] == 0)


def init_db() -> None:
    """Wait for the primary, for as long as it takes, and create the table."""
    while True:
        try:
            Connection(settings.DB_HOST, READ_TIMEOUT).execute(CREATE_TABLE)
            return
        except (pymysql.Error, OSError) as error:
            log_reason(advice(error, settings.DB_HOST))
        time.sleep(0.3)


@contextmanager
def primary() -> Iterator[Writer]:
    """Lend a connection to the primary. Raises Unavailable for whatever the server or the network does wrong."""
    writer, failed = None, False
    try:
        writer = pool.acquire()
        yield writer
    except (pymysql.Error, OSError) as error:
        failed = True
        log_reason(advice(error, settings.DB_HOST))
        raise (Busy if code_of(error) in FULL else Unavailable) from error
    except BaseException as error:
        failed = not isinstance(error, Duplicate)  # then its state is unknown: the server's answer may still arrive
        raise
    finally:
        if writer:
            pool.release(writer, failed)
