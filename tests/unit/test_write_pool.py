"""write-app's pool: busy, cut, cleared, exhausted; and what an exception does to a connection."""

import re
import socket
import threading
import time

import pytest


class Writer:
    """A connection to a server that is not there."""

    made = 0
    mysql_pod = "mysql-0"

    def __init__(self, *_):
        type(self).made += 1
        self.opened = time.monotonic()
        self._sock, self.server = socket.socketpair()
        self.mysql, self.open = self, True

    def close(self):
        self.open = False


@pytest.fixture
def pool(write_app, monkeypatch):
    monkeypatch.setattr(Writer, "made", 0)
    monkeypatch.setattr(write_app.pool, "Writer", Writer)
    monkeypatch.setattr(write_app.pool, "WAIT", 0.1)
    pool = write_app.pool.Pool()
    monkeypatch.setattr(write_app.database, "pool", pool)
    return pool


def test_the_connection_used_last_is_lent_first(pool):
    first, second = pool.acquire(), pool.acquire()
    pool.release(first, False)
    pool.release(second, False)
    assert pool.acquire() is second


def test_a_connection_that_was_cut_is_replaced(pool):
    cut = pool.acquire()
    cut.server.close()
    pool.release(cut, False)
    assert pool.acquire() is not cut
    assert not cut.open


def test_no_more_than_size_are_lent_and_the_next_client_is_told_busy(pool, write_app):
    lent = [pool.acquire() for _ in range(write_app.pool.SIZE)]
    with pytest.raises(write_app.errors.Busy):
        pool.acquire()
    assert Writer.made == write_app.pool.SIZE
    pool.release(lent[0], False)
    assert pool.acquire() is lent[0]


def test_a_client_that_waits_gets_the_connection_that_becomes_free(pool, write_app, monkeypatch):
    monkeypatch.setattr(write_app.pool, "WAIT", 10)
    lent = [pool.acquire() for _ in range(write_app.pool.SIZE)]
    threading.Timer(0.05, pool.release, [lent[3], False]).start()
    assert pool.acquire() is lent[3]


def test_when_one_fails_older_ones_are_not_lent_again(pool):
    older, failed = pool.acquire(), pool.acquire()
    pool.release(older, False)
    pool.release(failed, True)
    new = [pool.acquire(), pool.acquire()]
    assert not {older, failed} & set(new)
    assert (older.open, failed.open) == (False, False)
    pool.release(new[0], False)
    assert pool.acquire() is new[0]


def test_a_connection_that_cannot_be_opened_frees_its_place(pool, write_app, monkeypatch):
    def refuse(*_):
        raise ConnectionRefusedError

    monkeypatch.setattr(write_app.pool, "Writer", refuse)
    for _ in range(write_app.pool.SIZE + 1):
        with pytest.raises(ConnectionRefusedError):
            pool.acquire()


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt(), ConnectionResetError()])
def test_a_connection_that_saw_an_unexpected_exception_is_closed(pool, write_app, error):
    with pytest.raises((type(error), write_app.errors.Unavailable)), write_app.database.primary() as writer:
        raise error
    assert not writer.open
    assert pool.acquire() is not writer


def test_a_duplicate_costs_no_connection(pool, write_app):
    with pytest.raises(write_app.database.Duplicate), write_app.database.primary() as writer:
        raise write_app.database.Duplicate("mysql-0")
    assert pool.acquire() is writer


@pytest.mark.parametrize(("code", "busy"), [(1226, True), (1203, True), (1040, True), (1045, False), (2003, False)])
def test_a_server_without_free_connections_is_busy(pool, write_app, monkeypatch, code, busy):
    def refuse(*_):
        raise write_app.errors.pymysql.OperationalError(code, "x")

    monkeypatch.setattr(write_app.pool, "Writer", refuse)
    answer = write_app.client.post("/submit", json={"name": "Ann", "email": "ann@example.org"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert ("busy" in answer.json["message"]) == busy


def test_metrics_count_idle_and_used(pool):
    used, idle = pool.acquire(), pool.acquire()
    pool.release(idle, False)
    assert used.open
    [(_, figures)] = pool.gauges().values()
    assert figures == {("mysql-0", "idle"): 1, ("mysql-0", "used"): 1}


def test_six_pods_fit_into_the_account_and_gunicorn_waits_for_the_longest_request(write_app):
    pool, connection = write_app.pool, write_app.connection
    assert 6 * pool.SIZE <= 120  # MAX_USER_CONNECTIONS of appuser
    longest = pool.WAIT + connection.CONNECT_TIMEOUT + 4 * pool.READ_TIMEOUT  # log in, look, insert, look
    text = (write_app.folder / "gunicorn.conf.py").read_text()
    assert longest < int(re.search(r"graceful_timeout = (\d+)", text)[1]) < longest + 5
