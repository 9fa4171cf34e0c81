"""Connections to the primary, kept open between requests.

At most SIZE for each pod, opened when needed: commits that run at the same time share one flush to disk. The one that
was used last is lent first, so that a lone visitor's writes use one connection, and few are kept busy.
"""

import queue
import time
from select import select

import settings
from errors import Busy, log_reason
from metrics import Figures
from semi_sync import Writer

SIZE = 20  # six pods fit into MySQL's limit for this account, MAX_USER_CONNECTIONS 120
WAIT = 6.0  # seconds for a free one: longer than the first commit waits for a replica that is gone
READ_TIMEOUT = 8.0  # seconds for an answer: longer than rpl_semi_sync_source_timeout, for which a commit may wait


class Pool:
    def __init__(self) -> None:
        self.idle: queue.LifoQueue[Writer | None] = queue.LifoQueue()  # None: a connection that is not open yet
        for _ in range(SIZE):
            self.idle.put(None)
        self.failed = 0.0  # when a connection last failed; older ones may lead to the same dead server

    def acquire(self) -> Writer:
        """Return a connection that is not cut, a new one if necessary. Raises Busy, pymysql.Error or OSError."""
        try:
            writer = self.idle.get(timeout=WAIT)
        except queue.Empty:
            log_reason(f"All {SIZE} connections to {settings.DB_HOST} are busy: it is slow or waits for its replica.")
            raise Busy from None
        try:
            # A server sends something unasked only when it closes the connection.
            if writer and (writer.opened < self.failed or select([writer.mysql._sock], [], [], 0)[0]):
                writer.close()
                writer = None
            return writer or Writer(settings.DB_HOST, READ_TIMEOUT)
        except BaseException:
            self.idle.put(None)
            raise

    def release(self, writer: Writer, failed: bool) -> None:
        """Take back a connection. Close it if it failed, and do not lend older ones again."""
        if failed:
            self.failed = time.monotonic()
            writer.close()
        self.idle.put(writer if writer.mysql.open else None)

    def gauges(self) -> Figures:
        idle, used = sum(writer is not None for writer in self.idle.queue), SIZE - self.idle.qsize()
        return {
            "db_pool_connections": ("Connections to MySQL.", {("mysql-0", "idle"): idle, ("mysql-0", "used"): used})
        }
