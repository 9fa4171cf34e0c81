"""TLS sockets that are not confused by what happened to another connection.

When a TLS connection breaks, Python may leave the error in a list that OpenSSL keeps for each thread (seen with Python
3.14 and OpenSSL 3.6; CPython issue 148594). The thread's next read on any other connection, a healthy one, then fails
with the old error: BrokenPipeError. All connections of a gevent worker share one thread, so that one killed server
would break the connections to all others. This file can go when the oldest Python in use has that issue fixed.
"""

import contextlib
import functools
import ssl
from collections.abc import Callable
from typing import Any

spare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def clearing(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return `method` with one change: if it raises OSError, this thread's list of OpenSSL errors is emptied first."""

    @functools.wraps(method)
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
