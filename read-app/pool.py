"""Connections to whatever MySQL pods the Service mysql-read has.

Kubernetes balances when a connection is opened, and picks the pod at random. To spread single requests and
still be fast, each worker process keeps a few connections to every pod that it was given and lends them in
turn: pod by pod, and of one pod the connection that rested longest. One thread opens a new one twice a second
and retires old ones, so that pods that join or leave mysql-read are noticed within seconds, and no request
waits for a connection to be opened. Only when a pod has died are there requests without a connection: then
several threads open some at the same time, because a pod that is frozen keeps each of them waiting.
"""

import itertools
import socket
import threading
import time
from collections import Counter, deque

import pymysql

import metrics
import settings
from errors import Unavailable, log_error

CONNECT_TIMEOUT = 1.0  # seconds
READ_TIMEOUT = 1.5  # seconds; the queries take milliseconds
OPEN_EVERY = 0.5  # seconds
PER_POD = 4  # connections kept to each MySQL pod
MAX_AGE = 10.0  # seconds; a pod that left mysql-read gets no reads after that
HELPERS = 4  # threads that open connections when there are too few


class Reader:
    """A connection, and what is known of the server at its other end. Raises pymysql.Error or OSError."""

    def __init__(self, host, read_timeout=READ_TIMEOUT):
        sock = socket.create_connection((host, settings.DB_PORT), CONNECT_TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.address = sock.getpeername()[0]
        self.connection = pymysql.connect(
            host=host,
            user=settings.DB_USER,
            password=settings.DB_PASSWORD,
            database=settings.DB_NAME,
            charset="utf8mb4",
            autocommit=True,
            ssl=settings.TLS,
            read_timeout=read_timeout,
            write_timeout=read_timeout,
            defer_connect=True,
        )
        self.connection.connect(sock)
        self.opened = time.monotonic()
        self.mysql_pod, self.server_id = self.row("SELECT @@hostname, @@server_id")

    def rows(self, sql, values=None):
        """Return the rows of a query, as tuples."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall()

    def row(self, sql, values=None):
        """Return the only row of a query."""
        return self.rows(sql, values)[0]

    def close(self):
        """Close the connection, also a broken one."""
        if self.connection.open:
            self.connection.close()


class Pool:
    """Lends Readers, to one MySQL pod after the other."""

    def __init__(self):
        lock = threading.Lock()
        self.changed = threading.Condition(lock)  # a connection is free, or was dropped
        self.needed = threading.Condition(lock)  # somebody waits, and there are hardly any connections
        self.kept = []  # all connections, in the order in which they were opened; one that is not in it is to be closed
        self.idle = {}  # MySQL pod: the connections that nobody uses, the one that rested longest first
        self.turn = {}  # MySQL pod: the number of its last turn
        self.turns = itertools.count(1)
        self.lent = 0  # connections in use
        self.waiting = 0  # threads that wait for one
        self.started = False

    def start(self):
        """Open connections from now on, in the background. Does nothing the second time."""
        with self.changed:
            if not self.started:
                self.started = True
                for target in (self.refresh, *[self.help] * HELPERS):
                    threading.Thread(target=target, name=target.__name__, daemon=True).start()

    def refresh(self):
        """Open connections for ever: at first as many as two pods get, then one at a time."""
        for number in itertools.count():
            if not self.open() or number >= 2 * PER_POD:
                time.sleep(OPEN_EVERY)

    def help(self):
        """Open connections for ever, while requests wait and there are fewer than one pod gets."""
        while True:
            with self.needed:
                self.needed.wait_for(self.is_short)
            if not self.open():
                time.sleep(OPEN_EVERY / 5)

    def is_short(self):
        """Tell whether requests wait and new connections would help. To be called with the lock held."""
        return self.waiting and self.lent + sum(map(len, self.idle.values())) < PER_POD

    def open(self):
        """Open one connection and take it in. Returns whether that worked."""
        try:
            reader = Reader(settings.DB_HOST)
        except (pymysql.Error, OSError) as error:
            log_error(error, settings.DB_HOST)
            return False
        self.add(reader)
        return True

    def add(self, reader):
        """Take in a new connection, and retire those that it replaces."""
        with self.changed:
            self.kept.append(reader)
            self.put(reader)
            too_old = time.monotonic() - MAX_AGE
            newer = Counter()
            for each in reversed(self.kept.copy()):
                if newer[each.mysql_pod] == PER_POD or each.opened < too_old:
                    self.retire(each)
                else:
                    newer[each.mysql_pod] += 1
            for pod, readers in self.idle.items():
                metrics.CONNECTIONS.labels(pod).set(len(readers))

    def retire(self, reader):
        """Close a connection, now or when it is given back. To be called with the lock held."""
        self.kept.remove(reader)
        if reader in self.idle.get(reader.mysql_pod, ()):
            self.idle[reader.mysql_pod].remove(reader)
            reader.close()

    def put(self, reader):
        """Make a connection free to be lent. To be called with the lock held."""
        self.idle.setdefault(reader.mysql_pod, deque()).append(reader)
        if self.waiting:
            self.changed.notify()

    def lend(self, deadline, prefer=None):
        """Return a connection: to the pod `prefer` if that has a free one, or else to the pod whose turn it is.

        Waits for one until `deadline` (of time.monotonic): a server that was killed is back within seconds. Raises
        Unavailable.
        """
        if not self.started:
            self.start()
        with self.changed:
            self.waiting += 1
            try:
                while not (pods := [pod for pod, readers in self.idle.items() if readers]):
                    remaining = deadline - time.monotonic()
                    if remaining <= 0:
                        raise Unavailable
                    if self.is_short():
                        self.needed.notify_all()
                    self.changed.wait(remaining)
            finally:
                self.waiting -= 1
            pod = prefer if prefer in pods else min(pods, key=lambda each: self.turn.get(each, 0))
            self.turn[pod] = next(self.turns)
            self.lent += 1
            return self.idle[pod].popleft()

    def give_back(self, reader):
        """Take back a connection that works."""
        with self.changed:
            self.lent -= 1
            if reader in self.kept:
                self.put(reader)
            else:
                reader.close()
                self.changed.notify()

    def drop(self, reader):
        """Close a connection that was cut or did not answer, and the free ones to the same pod: it may be dead."""
        with self.changed:
            self.lent -= 1
            dead = (reader, *self.idle.pop(reader.mysql_pod, ()))
            self.kept = [each for each in self.kept if each not in dead]
            for each in dead:
                each.close()
            self.changed.notify_all()
