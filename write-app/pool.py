"""Connections to the primary, kept open between requests.

At most SIZE for each pod, opened when needed: commits that run at the same time share one flush to disk. The one that
was used last is lent first, so that a lone visitor's writes use one connection, and few are kept busy.
"""

import threading
from collections import Counter, deque
from select import select

import settings
from errors import Busy, log_reason
from metrics import Figures
from semi_sync import Writer

SIZE = 20  # six pods fit into MySQL's limit for this account, MAX_USER_CONNECTIONS 120
WAIT = 6.0  # seconds for a free one: longer than the first commit waits for a replica that is gone
READ_TIMEOUT = 8.0  # seconds for an answer: longer than rpl_semi_sync_source_timeout, for which a commit may wait


class Pool:
    """Lends Writers."""

    def __init__(self) -> None:
        self.free = threading.Semaphore(SIZE)
        self.idle: deque[Writer] = deque()
        self.used: set[Writer] = set()

    def acquire(self) -> Writer:
        """Return a connection that was not cut, a new one if need be. Raises Busy, pymysql.Error or OSError."""
        if not self.free.acquire(timeout=WAIT):
            log_reason(f"All {SIZE} connections to {settings.DB_HOST} are busy: it is slow, or waits for its replica.")
            raise Busy
        try:
            while writer := self.take():
                if not select([writer.mysql._sock], [], [], 0)[0]:  # what a server sends by itself is that it closes
                    break
                writer.close()
            writer = writer or Writer(settings.DB_HOST, READ_TIMEOUT)
        except BaseException:
            self.free.release()
            raise
        self.used.add(writer)
        return writer

    def release(self, writer: Writer) -> None:
        """Take back a connection; one that was closed is not lent again."""
        self.used.discard(writer)
        if writer.mysql.open:
            self.idle.append(writer)
        self.free.release()

    def clear(self) -> None:
        """Close the connections that no request uses: one failed, and the others may lead to the same dead server."""
        while writer := self.take():
            writer.close()

    def take(self) -> Writer | None:
        """Return the idle connection that was used last, or None."""
        try:
            return self.idle.pop()
        except IndexError:
            return None

    def gauges(self) -> Figures:
        """Return how many connections are idle and used, for metrics.Gauges."""
        found = Counter((writer.mysql_pod, "idle") for writer in self.idle)
        found.update((writer.mysql_pod, "used") for writer in self.used)
        return {"db_pool_connections": ("Connections to MySQL.", found)}
