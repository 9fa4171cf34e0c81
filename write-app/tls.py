"""TLS sockets that are not confused by what happened to another connection.

When a TLS connection breaks, Python leaves the error in a list that OpenSSL keeps for each thread (seen with Python
3.14 and OpenSSL 3.6; CPython issue 148594). The thread's next read on any other connection, a healthy one, then fails
with the old error: BrokenPipeError. One killed server would cost the connections to all others.
"""

import contextlib
import ssl

spare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Socket(ssl.SSLSocket):
    """An SSLSocket that empties that list after each error. Everything it sends and receives goes through these."""

    def do_handshake(self, *args):
        """As in SSLSocket."""
        return forgetting(super().do_handshake, *args)

    def read(self, *args):
        """As in SSLSocket."""
        return forgetting(super().read, *args)

    def send(self, *args):
        """As in SSLSocket."""
        return forgetting(super().send, *args)


def forgetting(function, *args):
    """Return function(*args). If it raises OSError, empty this thread's list of OpenSSL errors before."""
    try:
        return function(*args)
    except OSError:
        with contextlib.suppress(ssl.SSLError):
            spare.set_ciphers("")  # always refused, after the list was emptied; the module has no plain way
        raise
