"""A connection to one MySQL server."""

import socket
import time
from typing import Any

import pymysql
from pymysql.cursors import Cursor

import settings

# Seconds. A network policy may drop a new pod's first packets until it knows the pod. A short timeout and another try
# are then faster than the kernel's backoff, which sends the third packet only after three seconds.
CONNECT_TIMEOUT = 1.0
# Milliseconds for which sent data may stay without a TCP acknowledgement: finds a node that lost power or network.
TCP_USER_TIMEOUT = 3000


class Connection:
    """A connection, and which server is at its other end. Everything here raises pymysql.Error or OSError."""

    def __init__(self, host: str, timeout: float, address: str | None = None) -> None:
        """Connect to `address`, or to what the name `host` resolves to. timeout: seconds for each answer."""
        sock = socket.create_connection((address or host, settings.DB_PORT), CONNECT_TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT)
        self.address: str = sock.getpeername()[0]
        account = {"user": settings.DB_USER, "password": settings.DB_PASSWORD, "database": settings.DB_NAME}
        options = {"charset": "utf8mb4", "autocommit": True, "ssl": settings.current_tls(), "defer_connect": True}
        timeouts = {"read_timeout": timeout, "write_timeout": timeout}
        self.mysql = pymysql.connect(host=host, **account, **options, **timeouts)  # type: ignore[call-overload]
        self.mysql.connect(sock)
        self.opened = time.monotonic()
        self.mysql_pod, self.server_id = self.row("SELECT @@hostname, @@server_id")

    def execute(self, sql: str, values: tuple[Any, ...] | None = None) -> Cursor:
        cursor: Cursor = self.mysql.cursor()
        cursor.execute(sql, values)
        return cursor

    def row(self, sql: str, values: tuple[Any, ...] | None = None) -> Any:
        return self.execute(sql, values).fetchone()

    def close(self) -> None:
        if self.mysql.open:
            self.mysql.close()
