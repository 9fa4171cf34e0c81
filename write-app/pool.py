"""Connections to the primary, kept open between requests.

At most SIZE for each worker process, opened when needed: commits that run at the same time share one flush to disk.
The one that was used last is lent first, so that a lone visitor's writes use one connection, and few are kept busy.
"""

import select
import socket
import threading
import time
from collections import deque

import pymysql

import metrics
import settings

SIZE = 20
WAIT = 8  # seconds for a free one: longer than the first commit waits for a replica that is gone
# Seconds. A new pod's first packets may be dropped, until a network policy lets it be reached, and the kernel sends the
# third only after three seconds: to try anew is faster.
CONNECT_TIMEOUT = 1
# Seconds to wait for an answer: longer than rpl_semi_sync_source_timeout, for which a commit may wait for the replica.
READ_TIMEOUT = 10
# Milliseconds for which sent data may stay without a TCP acknowledgement: finds a node that lost power or network.
TCP_USER_TIMEOUT = 3000

# A look at semi-sync: how often it was switched off, and whether it is on, such as '0,ON'. The server reads them in
# this order, and that matters: read the other way round, '0,ON' could be said of the moment after it was switched off.
SEMI_SYNC = """
SELECT {}, GROUP_CONCAT(VARIABLE_VALUE ORDER BY VARIABLE_NAME) FROM performance_schema.global_status
WHERE VARIABLE_NAME IN ('Rpl_semi_sync_source_no_times', 'Rpl_semi_sync_source_status')
"""
FIRST_LOOK = SEMI_SYNC.format("@@hostname")


class Busy(Exception):
    """All connections are in use, and none became free in time."""


class Writer:
    """A connection to the primary: who answers it, and what it saw of semi-sync when it looked last.

    Raises pymysql.Error or OSError.
    """

    def __init__(self):
        self.connection = connect()
        self.mysql_pod = self.look()
        self.open = True
        metrics.OPEN.inc()

    def execute(self, sql, values=None):
        """Run a statement, and return the id of the row that it inserted."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.lastrowid

    def row(self, sql):
        """Return the first row of a query, or None."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()

    def look(self, question=FIRST_LOOK):
        """Remember what `question` says of semi-sync, and when, and return the other thing that it asks for."""
        found, self.semi_sync = self.row(question)
        self.looked = time.monotonic()
        return found

    def was_cut(self):
        """Tell whether the server closed it while it was idle: only then is there something to read. No round trip."""
        poll = select.poll()
        poll.register(self.connection._sock, select.POLLIN)
        return bool(poll.poll(0))

    def close(self):
        """Close it, also when it is broken or closed already."""
        if self.open:
            self.open = False
            metrics.OPEN.dec()
        if self.connection.open:
            self.connection.close()


class Pool:
    """Lends Writers."""

    def __init__(self):
        self.free = threading.Semaphore(SIZE)
        self.idle = deque()

    def lend(self):
        """Return a connection that was not cut, a new one if need be. Raises Busy, pymysql.Error or OSError."""
        if not self.free.acquire(timeout=WAIT):
            raise Busy
        try:
            for writer in iter(self.take, None):
                if not writer.was_cut():
                    return writer
                writer.close()
            return Writer()
        except BaseException:
            self.free.release()
            raise

    def give_back(self, writer):
        """Take back a connection; one that was closed is not lent again."""
        if writer.open:
            self.idle.append(writer)
        self.free.release()

    def clear(self):
        """Close the connections that nobody uses: one failed, and the others may lead to the same dead server."""
        for writer in iter(self.take, None):
            writer.close()

    def take(self):
        """Return the idle connection that was used last, or None."""
        try:
            return self.idle.pop()
        except IndexError:
            return None


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
