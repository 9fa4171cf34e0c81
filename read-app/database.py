"""Reads from MySQL. Each takes one round trip, and is tried again on another pod if it fails."""

import time
from types import TracebackType
from typing import Any

import pymysql
from pymysql.constants import ER

import metrics
from connection import Connection
from errors import Unavailable, advice, code_of, log_reason
from pool import Pool

TRY_FOR = 5.0  # seconds for which a failed read is tried again
WAIT_FOR_GTIDS = 1.5  # seconds for a replica to catch up with the transaction that the client wants to see

READ_ONLY = "SELECT @@global.read_only"
# As text: to parse a datetime only to print it again costs more than the rest of the row.
USERS = """
SELECT id, name, email, CAST(created_at AS CHAR), @@global.read_only
FROM users WHERE id < %s ORDER BY id DESC LIMIT %s
"""
HAS_GTIDS = "SELECT GTID_SUBSET(%s, @@global.gtid_executed)"

pool = Pool()
metrics.Gauges(["mysql_pod", "state"], pool.gauges)


class Behind(Exception):
    """The MySQL pod `args[0]` does not have the transaction that the client wants to see yet."""


class Read:
    """One read, in a loop: each `with` lends a connection to the pod whose turn it is. If its block fails in a way that
    another try may mend, the exception ends there, and the loop goes on. Raises Unavailable or Behind."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.refusals = 0
        self.prefer: str | None = None
        self.pause = 0.01

    def __enter__(self) -> Connection:
        self.connection = pool.acquire(self.began + TRY_FOR, self.prefer)
        self.prefer = None
        return self.connection

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        connection, waited = self.connection, time.monotonic() - self.began
        if error is None:
            pool.release(connection)
            return False
        if isinstance(error, Behind):
            # Ask that pod again later. WAIT_FOR_EXECUTED_GTID_SET would keep the connection from other requests.
            pool.release(connection)
            if waited + self.pause > WAIT_FOR_GTIDS:
                return False
            time.sleep(self.pause)
            self.pause *= 1.5
            self.prefer = connection.mysql_pod
            return True
        expected, code = isinstance(error, pymysql.Error | OSError), code_of(error)
        # Did the connection fail, and not the statement? After any other error, the server's answer may still arrive.
        cut = expected and (code == 0 or code >= 2000 or code == ER.SERVER_SHUTDOWN)
        pool.drop(connection, pod_too=cut)
        if not expected:
            return False
        log_reason(advice(error, connection.mysql_pod))
        self.refusals += not cut
        if self.refusals == 3 or waited > TRY_FOR:
            raise Unavailable from error
        return True


def users(limit: int, before: int, after: str | None = None) -> dict[str, Any]:
    """Return a page of users, newest first, and who answered. Raises Unavailable, or Behind.

    limit: how many users at most; before: only users with a smaller id; after: GTIDs that the pod must have.
    """
    read = Read()
    while True:
        with read as connection:
            if after and not connection.row(HAS_GTIDS, (after,))[0]:
                raise Behind(connection.mysql_pod)
            rows = connection.execute(USERS, (before, limit + 1)).fetchall()
            read_only = rows[0][-1] if rows else connection.row(READ_ONLY)[0]
            break
    found = [
        {"id": number, "name": name, "email": email, "created_at": made.replace(" ", "T") + "Z"}
        for number, name, email, made, _ in rows[:limit]
    ]
    return {
        "users": found,
        "next": found[-1]["id"] if len(rows) > limit else None,
        "mysql_pod": connection.mysql_pod,
        "read_only": bool(read_only),
    }


def identity() -> dict[str, Any]:
    """Return which MySQL pod answers. Raises Unavailable."""
    read = Read()
    while True:
        with read as connection:
            (read_only,) = connection.row(READ_ONLY)
            break
    return {"mysql_pod": connection.mysql_pod, "server_id": connection.server_id, "read_only": bool(read_only)}
