"""Connections to whatever MySQL pods the Service mysql-read has.

Kubernetes balances when a connection is opened, and picks the pod at random. To spread single requests and still be
fast, the pool keeps a few connections to every pod that it was given, and the pods take turns. While requests come, one
thread opens a connection every 0.7 s and retires old ones, so that pods that join or leave mysql-read are noticed
within seconds. Between visits it opens one now and then, so that the first request after an hour finds a connection
that is seconds old.
"""

import threading
import time
from collections import Counter, deque

import settings
from connection import Connection
from errors import FULL, Busy, Unavailable, advice, code_of, log_reason
from metrics import Figures

READ_TIMEOUT = 1.5  # seconds; the queries take milliseconds
PER_POD = 8  # connections kept to each MySQL pod, of the 60 that it gives this account (MAX_USER_CONNECTIONS)
MAX_AGE = 10.0  # seconds; after that, a pod that left mysql-read receives no reads
OPEN_EVERY = 0.7  # seconds, while requests come
IDLE_AFTER = 10.0  # seconds without a request
OPEN_EVERY_IDLE = 12.0  # seconds: with two pods of read-app, one new connection in six


class Pool:
    def __init__(self) -> None:
        self.changed = threading.Condition()  # a connection is free, or was dropped
        self.kept: list[Connection] = []  # in the order in which they were opened; others are closed when released
        self.idle: dict[str, deque[Connection]] = {}  # by MySQL pod, the next in turn first
        self.opening = 0  # how many connections are being opened because requests wait
        self.wanted = threading.Event()  # set while requests come
        self.asked = 0.0  # when the last request came (time.monotonic)
        self.address: str | None = None  # of mysql-read, until connecting to it fails
        self.refreshing = False
        self.full = False  # the server refused the last connection because it has too many

    def acquire(self, deadline: float, prefer: str | None = None) -> Connection:
        """Return a connection: to the pod `prefer` if one to it is free, or else to the pod whose turn it is.

        Waits for one until `deadline` (of time.monotonic): a server that was killed is back within seconds. Raises
        Unavailable.
        """
        with self.changed:
            self.asked = time.monotonic()
            if not self.wanted.is_set():
                self.wake()
            while not (pods := [pod for pod, free in self.idle.items() if free]):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise Busy if self.full else Unavailable
                while len(self.kept) + self.opening < PER_POD:  # several, because a connection to a frozen pod hangs
                    self.opening += 1
                    threading.Thread(target=self.open, kwargs={"extra": True}, daemon=True).start()
                self.changed.wait(remaining)
            pod = prefer if prefer in pods else pods[0]
            free = self.idle[pod] = self.idle.pop(pod)  # now this pod is the last in turn
            return free.pop()  # the one used last: few connections are in use, and their threads' caches stay warm

    def release(self, connection: Connection) -> None:
        with self.changed:
            keep = connection in self.kept
            if keep:
                self.idle.setdefault(connection.mysql_pod, deque()).append(connection)
            self.changed.notify()
        if not keep:
            connection.close()

    def drop(self, connection: Connection, pod_too: bool) -> None:
        """Close a connection in use. `pod_too`: also close the free connections to its pod, which may be dead."""
        with self.changed:
            dead = [connection, *(self.idle.pop(connection.mysql_pod, ()) if pod_too else ())]
            self.kept = [each for each in self.kept if each not in dead]
            self.changed.notify_all()
        for each in dead:
            each.close()

    def add(self, connection: Connection) -> None:
        """Add a new connection to the pool, and retire those that it replaces."""
        retired = []
        with self.changed:
            self.kept.append(connection)
            self.idle.setdefault(connection.mysql_pod, deque()).append(connection)
            newer: Counter[str] = Counter()
            for each in reversed(self.kept.copy()):
                newer[each.mysql_pod] += 1
                if newer[each.mysql_pod] > PER_POD or each.opened < time.monotonic() - MAX_AGE:
                    self.kept.remove(each)
                    if each in (free := self.idle.get(each.mysql_pod, deque())):
                        free.remove(each)
                        retired.append(each)
        for each in retired:
            each.close()

    def wake(self) -> None:
        """Tell the refresher that requests come again after a pause. The caller holds the lock."""
        self.wanted.set()
        if not self.refreshing:
            self.refreshing = True
            threading.Thread(target=self.refresh, daemon=True).start()

    def refresh(self) -> None:
        """Open connections forever: many when requests begin to come, then one at a time, and few when idle."""
        while True:
            for _ in range(PER_POD):
                self.open()
            while time.monotonic() - self.asked < IDLE_AFTER:
                time.sleep(OPEN_EVERY)
                self.open(self.address)
            self.wanted.clear()
            while not self.wanted.wait(OPEN_EVERY_IDLE):
                self.open(self.address)  # known, so DNS is not asked

    def open(self, address: str | None = None, extra: bool = False) -> None:
        """Open a connection and add it, or log why that failed. `extra`: because requests wait."""
        try:
            connection = Connection(settings.DB_HOST, READ_TIMEOUT, address)
        except Exception as error:  # also an unexpected one: the threads that open connections must go on
            self.address, self.full = None, code_of(error) in FULL
            log_reason(advice(error, settings.DB_HOST))
            time.sleep(0.1)
        else:
            self.address, self.full = connection.address, False
            self.add(connection)
        with self.changed:
            self.opening -= extra
            self.changed.notify_all()

    def gauges(self) -> Figures:
        with self.changed:
            idle = {id(each) for free in self.idle.values() for each in free}
            found = Counter((each.mysql_pod, "idle" if id(each) in idle else "used") for each in self.kept)
        return {"db_pool_connections": ("Connections to MySQL.", found)}
