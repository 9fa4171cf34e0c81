"""The TLS sockets of both apps: data arrives, a silent server times out, and one broken connection breaks no other."""

import _ssl
import ctypes
import socket
import ssl
import threading
import time

import pytest

pytestmark = pytest.mark.timeout(30)  # without a timeout of the sockets, they wait without end


@pytest.fixture(params=["read_app", "write_app"])
def connect(request):
    """A function that returns (server's end, app's end) of a new TLS connection. Its timeout is half a second."""
    tls = request.getfixturevalue(request.param).tls
    server, client = (ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.sslsocket_class = tls.Socket
    for context in (server, client):  # without certificates
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aNULL:@SECLEVEL=0")
    ends = []

    def new():
        here, there = socket.socketpair()
        there.settimeout(0.5)
        accepted = []
        thread = threading.Thread(target=lambda: accepted.append(server.wrap_socket(here, server_side=True)))
        thread.start()
        app = client.wrap_socket(there)
        thread.join()
        ends.extend([*accepted, app])
        return accepted[0], app

    yield new
    for end in ends:
        end.close()


def test_what_was_sent_arrives(connect):
    server, app = connect()
    threading.Timer(0.2, lambda: server.sendall(b"x" * 100_000)).start()
    with app.makefile("rb") as file:
        assert file.read(100_000) == b"x" * 100_000
    app.sendall(b"y" * 10)
    assert server.recv(10) == b"y" * 10


def test_a_read_from_a_silent_server_ends(connect):
    _, app = connect()
    began = time.monotonic()
    with app.makefile("rb") as file, pytest.raises(TimeoutError):
        file.read(1)
    assert 0.4 < time.monotonic() - began < 5


def test_a_write_to_a_server_that_reads_nothing_ends(connect):
    _, app = connect()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        app.sendall(b"x" * 50_000_000)
    assert time.monotonic() - began < 10


def test_a_broken_connection_does_not_break_another(connect):
    """CPython issue 148594; red without tls.py on Python 3.14 with OpenSSL 3.6."""
    (dead_server, dead), (server, app) = connect(), connect()
    dead_server.close()
    with pytest.raises(OSError, match=r"Broken pipe|EOF"):
        dead.sendall(b"x")
    # The answer is not there when the healthy connection begins to read: that is when Python asks OpenSSL for errors.
    threading.Timer(0.1, server.sendall, [b"y"]).start()
    assert app.recv(1) == b"y"


@pytest.mark.parametrize("app", ["read_app", "write_app"])
def test_an_error_leaves_nothing_in_openssls_list(request, app):
    openssl = ctypes.CDLL(_ssl.__file__)  # with the libraries that it needs
    openssl.ERR_peek_error.restype = ctypes.c_ulong

    def fail(_):
        openssl.ERR_new()
        openssl.ERR_set_error(2, 32, None)  # a system error: EPIPE
        raise BrokenPipeError

    try:
        with pytest.raises(BrokenPipeError):
            request.getfixturevalue(app).tls.clearing(fail)(None)
        assert openssl.ERR_peek_error() == 0
    finally:
        openssl.ERR_clear_error()
