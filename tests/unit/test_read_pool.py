"""read-app's pool and its reading loop: turns, age, dead pods, frozen pods, and quiet when no request comes."""

import itertools
import threading
import time
from types import SimpleNamespace

import pytest


class Connection:
    """A connection to a server that is not there."""

    address = "10.0.0.1"
    server_id = 1

    def __init__(self, mysql_pod, opened=0.0):
        self.mysql_pod, self.opened, self.closed = mysql_pod, opened, False

    def row(self, *_):
        return (1,)

    def close(self):
        self.closed = True


@pytest.fixture
def pool(read_app, monkeypatch):
    pool = read_app.pool.Pool()
    monkeypatch.setattr(pool, "wake", lambda: None)
    monkeypatch.setattr(read_app.pool.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(read_app.database, "pool", pool)
    return pool


def counted(pool):
    return pool.gauges()["db_pool_connections"][1]


def test_pods_take_turns(pool):
    for connection in [Connection("mysql-0", 100)] * 3 + [Connection("mysql-1", 100)]:
        pool.add(connection)
    answered = []
    for _ in range(10):
        connection = pool.acquire(200)
        answered.append(connection.mysql_pod)
        pool.release(connection)
    assert answered == ["mysql-0", "mysql-1"] * 5


def test_old_connections_are_replaced(pool, read_app):
    first = Connection("mysql-0", 95)
    left = Connection("mysql-1", 89)
    pool.add(first)
    pool.add(left)
    for _ in range(read_app.pool.PER_POD):
        pool.add(Connection("mysql-0", 100))
    assert first.closed
    assert left.closed
    assert len(pool.idle["mysql-0"]) == read_app.pool.PER_POD


def test_old_connections_that_are_in_use_are_replaced_when_they_come_back(pool, read_app):
    for _ in range(read_app.pool.PER_POD):
        pool.add(Connection("mysql-0", 100))
    lent = [pool.acquire(200) for _ in range(read_app.pool.PER_POD)]
    pool.add(Connection("mysql-0", 100))
    for connection in lent:
        pool.release(connection)
    assert [connection.closed for connection in lent].count(True) == 1
    assert len(pool.idle["mysql-0"]) == read_app.pool.PER_POD


def test_dead_pod_gets_no_more_reads_and_has_no_more_metrics(pool, read_app):
    for pod in ("mysql-0", "mysql-0", "mysql-1"):
        pool.add(Connection(pod, 100))
    pool.drop(dead := pool.acquire(200, prefer="mysql-0"), pod_too=True)
    assert dead.closed
    assert counted(pool) == {("mysql-1", "idle"): 1}
    assert pool.acquire(200).mysql_pod == "mysql-1"
    with pytest.raises(read_app.errors.Unavailable):
        pool.acquire(100)


def test_metrics_count_idle_and_used(pool):
    for pod in ("mysql-0", "mysql-0", "mysql-1"):
        pool.add(Connection(pod, 100))
    pool.acquire(200)
    assert counted(pool) == {("mysql-0", "idle"): 1, ("mysql-0", "used"): 1, ("mysql-1", "idle"): 1}


def test_a_connection_that_saw_an_unexpected_exception_is_closed(pool, read_app):
    for _ in range(2):
        pool.add(Connection("mysql-0", 100))
    with pytest.raises(ZeroDivisionError), read_app.database.Read() as connection:
        raise ZeroDivisionError
    assert connection.closed
    assert counted(pool) == {("mysql-0", "idle"): 1}


def test_a_read_that_was_cut_is_answered_by_another_pod(pool, read_app, monkeypatch):
    pool.add(dead := Connection("mysql-0", 100))
    pool.add(Connection("mysql-1", 100))

    def cut(*_):
        raise read_app.errors.pymysql.OperationalError(2013, "Lost connection")

    monkeypatch.setattr(dead, "row", cut)
    assert read_app.database.identity()["mysql_pod"] == "mysql-1"
    assert dead.closed


def test_a_read_that_is_refused_three_times_is_not_asked_again(pool, read_app, monkeypatch):
    asked = []

    def refuse(*_):
        asked.append(1)
        raise read_app.errors.pymysql.ProgrammingError(1146, "no table")

    monkeypatch.setattr(Connection, "row", refuse)
    for _ in range(5):
        pool.add(Connection("mysql-0", 100))
    with pytest.raises(read_app.errors.Unavailable):
        read_app.database.identity()
    assert len(asked) == 3
    assert counted(pool) == {("mysql-0", "idle"): 2}


def test_a_pod_that_is_behind_is_asked_again_until_it_has_the_transaction(read_app, monkeypatch):
    pool = read_app.pool.Pool()
    monkeypatch.setattr(pool, "wake", lambda: None)
    monkeypatch.setattr(read_app.database, "pool", pool)
    pool.add(behind := Connection("mysql-1", time.monotonic()))
    pool.add(Connection("mysql-0", time.monotonic()))
    answers = iter([(0,), (0,), (1,), (1,)])
    monkeypatch.setattr(behind, "row", lambda *_: next(answers))
    monkeypatch.setattr(behind, "execute", lambda *_: SimpleNamespace(fetchall=list), raising=False)
    assert read_app.database.users(1, 2, "gtid")["mysql_pod"] == "mysql-1"
    monkeypatch.setattr(behind, "row", lambda *_: (0,))
    pool.acquire(time.monotonic() + 1, prefer="mysql-0")
    with pytest.raises(read_app.database.Behind):
        read_app.database.users(1, 2, "gtid")


def test_a_read_finds_the_living_pod_while_connections_to_a_frozen_one_hang(read_app, monkeypatch):
    released, attempts = threading.Event(), itertools.count(1)

    def open_connection(*_):
        if next(attempts) <= 3:
            released.wait(30)
            raise TimeoutError
        return Connection("mysql-1", time.monotonic())

    monkeypatch.setattr(read_app.pool, "Connection", open_connection)
    try:
        assert read_app.pool.Pool().acquire(time.monotonic() + 10).mysql_pod == "mysql-1"
    finally:
        released.set()


def test_an_idle_pool_opens_one_connection_now_and_then_without_dns_and_wakes_at_once(read_app, monkeypatch):
    opened, waits = [], []

    class End(Exception):
        pass

    def open_connection(host, timeout, address=None):
        opened.append(address)
        return Connection("mysql-0", time.monotonic())

    pool = read_app.pool.Pool()
    pool.asked = time.monotonic() - read_app.pool.IDLE_AFTER
    monkeypatch.setattr(read_app.pool, "Connection", open_connection)

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 4:
            raise End
        return len(waits) == 3  # a request comes

    monkeypatch.setattr(pool.wanted, "wait", wait)
    with pytest.raises(End):
        pool.refresh()
    many = read_app.pool.PER_POD
    # By name at first, by address while no request comes, and by name when one has come.
    assert opened == [None] * many + ["10.0.0.1"] * 2 + [None] * many
    assert waits == [read_app.pool.OPEN_EVERY_IDLE] * 4
    assert read_app.pool.OPEN_EVERY_IDLE >= 2 * 5  # two pods, and one connection in five seconds


def test_the_first_request_after_an_hour_gets_a_connection_that_is_there(read_app, monkeypatch):
    pool = read_app.pool.Pool()
    pool.add(kept := Connection("mysql-0", time.monotonic()))
    monkeypatch.setattr(read_app.pool, "Connection", lambda *_: pytest.fail("it waited for a new one"))
    monkeypatch.setattr(pool, "wake", lambda: None)
    assert pool.acquire(time.monotonic()) is kept
