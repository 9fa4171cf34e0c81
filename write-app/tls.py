"""TLS sockets for PyMySQL, for two faults of Python's own.

When a TLS connection breaks, Python leaves the error in a list that OpenSSL keeps for each thread (seen with Python
3.14 and OpenSSL 3.6; CPython issue 148594). The thread's next read on any other connection, a healthy one, then fails
with the old error: BrokenPipeError. One killed server would cost the connections to all others.

A socket with a timeout makes Python poll before every write, and read in vain and poll before every read, and each of
that lets another thread go first. The kernel can keep the time by itself: 5 to 7 % less CPU for a read of 50 users.
"""

import contextlib
import os
import socket
import ssl
import struct

spare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Socket(ssl.SSLSocket):
    """An SSLSocket without them. Everything it sends and receives goes through these methods.

    A timeout raises SSLWantReadError or SSLWantWriteError, as a socket that does not wait would: both are OSErrors.
    """

    def do_handshake(self, *args):
        """As in SSLSocket; from then on the kernel keeps the time."""
        forgetting(super().do_handshake, *args)
        if seconds := self.gettimeout():
            timeval = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
            self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
            self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
            self.settimeout(0)  # Python is not to wait,
            os.set_blocking(self.fileno(), True)  # but the kernel

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
