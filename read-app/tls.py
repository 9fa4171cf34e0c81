"""TLS sockets that do not fail because of an error on another connection (CPython issue 148594).

When a TLS connection breaks, Python 3.14 may leave the error in a list that OpenSSL keeps for each thread. The thread's
next read on another connection, a healthy one, then fails with that error. All connections of a gevent worker share one
thread, so one killed server would break them all. This file can go when Python is fixed.
"""

import contextlib
import ssl
from collections.abc import Callable
from typing import Any

spare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def clearing(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return `method` with one change: if it raises OSError, this thread's list of OpenSSL errors is emptied first."""

    def call(*args: Any, **more: Any) -> Any:
        try:
            return method(*args, **more)
        except OSError:
            with contextlib.suppress(ssl.SSLError):
                spare.set_ciphers("")  # always refused, after the list was emptied; the module has no plain way
            raise

    return call


class Socket(ssl.SSLSocket):
    """An SSLSocket that empties that list after each error. All that it sends and receives goes through these."""

    do_handshake = clearing(ssl.SSLSocket.do_handshake)
    read = clearing(ssl.SSLSocket.read)
    send = clearing(ssl.SSLSocket.send)
