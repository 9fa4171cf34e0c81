"""read-app without a database: what it refuses, how it says so, and the parts that need no server."""

import gc
import itertools
import socket
import threading
import time

import pytest
from werkzeug.test import create_environ
from werkzeug.wrappers import Request

GTID = "3e11fa47-71ca-11e1-9e33-c80aa9429562:23"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=-1", "limit=1.5", "limit=abc", "limit=", "limit=٣", "limit=+5", "limit=1e2",
     "limit=99999999999999999999999", "before=0", "before=-1", "before=x", "before=9223372036854775808",
     "before=1%3BDROP%20TABLE%20users", "after=", "after=x", "after=1", f"after={GTID}:", f"after={GTID}-",
     "after=3e11fa47-71ca-11e1-9e33-c80aa9429562", f"after={GTID},", f"after={GTID}'", f"after={GTID}:0",
     "after=" + ",".join([GTID] * 50)],
)  # fmt: skip
def test_bad_query(read_app, query):
    answer = read_app.client.get(f"/users?{query}")
    assert (answer.status_code, answer.json["success"]) == (422, False)
    assert list(answer.json["errors"]) == [query.partition("=")[0]]


@pytest.mark.parametrize(
    "query",
    ["", "limit=1", "limit=200", "before=1", "before=9223372036854775807", f"after={GTID}", f"after={GTID.upper()}",
     f"after={GTID}-30:40", f"after={GTID},{GTID}", f"after={GTID.replace(':', ':tag:')}", "other=1"],
)  # fmt: skip
def test_good_query_without_a_database(read_app, query, caplog):
    read_app.errors.told.clear()
    answer = read_app.client.get(f"/users?{query}")
    assert (answer.status_code, answer.json["success"]) == (503, False)
    assert int(answer.headers["Retry-After"]) > 0
    assert "127.0.0.1" not in answer.text


@pytest.mark.parametrize("path", ["/mysql-pod", "/readyz", "/users", "/"])
def test_unavailable_without_a_database(read_app, path):
    answer = read_app.client.get(path)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert "read-app-0" in answer.text


def test_page_of_a_wrong_query(read_app):
    answer = read_app.client.get("/?before=<script>")
    assert answer.status_code == 422
    assert "before=<script>" not in answer.text


@pytest.mark.parametrize("path", ["/healthz", "/topology", "/dns", "/metrics"])
def test_answers_without_a_database(read_app, path):
    assert read_app.client.get(path).status_code == 200
    assert read_app.client.head(path).status_code == 200


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/users", 405), ("GET", "/x", 404), ("PUT", "/", 405)])
def test_wrong_requests(read_app, method, path, status):
    answer = read_app.client.open(path, method=method)
    assert (answer.status_code, answer.json["success"]) == (status, False)


PAGE = {"users": [{"id": 1, "name": "Zoë", "email": "z@example.org"}], "next": None, "mysql_pod": "mysql-1"}
POLLED = [("/users?limit=1", "users", PAGE), ("/mysql-pod?x", "identity", {"mysql_pod": "mysql-1"})]


@pytest.mark.parametrize(("path", "function", "result"), POLLED)
def test_polled_reads_are_answered_before_flask_and_as_flask_would(read_app, monkeypatch, path, function, result):
    monkeypatch.setattr(read_app.database, function, lambda *_: result)
    with monkeypatch.context() as without:
        without.setattr(read_app.module, "POLLED", {})
        by_flask = read_app.client.get(path)
    monkeypatch.setattr(read_app.module.app, "view_functions", {})
    answer = read_app.client.get(path)
    assert (answer.status, answer.data) == (by_flask.status, by_flask.data)
    assert sorted(answer.headers) == sorted(by_flask.headers)


@pytest.mark.parametrize(("path", "function", "_"), POLLED)
def test_polled_reads_that_fail_as_nobody_expected_are_answered_and_logged(
    read_app, monkeypatch, caplog, path, function, _
):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(read_app.database, function, broken)
    answer = read_app.client.get(path)
    assert (answer.status_code, answer.json["success"], answer.json["app_pod"]) == (500, False, "read-app-0")
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(("path", "function", "_"), POLLED)
def test_polled_reads_that_no_pod_answers_are_tried_for_once(read_app, monkeypatch, path, function, _):
    tries = []

    def away(*_):
        tries.append(function)
        raise read_app.errors.Unavailable

    monkeypatch.setattr(read_app.database, function, away)
    assert read_app.client.get(path).status_code == 503
    assert len(tries) == 1


def test_polled_reads_leave_nothing_to_the_garbage_collector(read_app, monkeypatch):
    monkeypatch.setattr(read_app.database, "users", lambda *_: PAGE)
    gc.collect()
    gc.disable()
    try:
        read_app.module.app.wsgi_app(create_environ("/users?limit=1"), lambda *_: None)
        assert not [each for each in gc.get_objects() if isinstance(each, Request)]
    finally:
        gc.enable()


def test_security_headers(read_app):
    for path in ("/", "/users", "/x", "/static/style.css"):
        assert "default-src 'none'" in read_app.client.get(path).headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("gtids", "count"),
    [("", 0), ("u:1", 1), ("u:1-3", 3), ("u:1-3:5", 4), ("u:1,v:2-3", 3), ("u:tag:1-2", 2), ("u:1:tag:2-4:9", 5)],
)
def test_count_transactions(read_app, gtids, count):
    assert read_app.topology.count(gtids) == count


class Reader:
    """A connection to a server that is not there."""

    def __init__(self, mysql_pod, opened=0.0):
        self.mysql_pod, self.opened, self.closed = mysql_pod, opened, False

    def close(self):
        self.closed = True


@pytest.fixture
def pool(read_app, monkeypatch):
    pool = read_app.pool.Pool()
    monkeypatch.setattr(pool, "start", lambda: None)
    monkeypatch.setattr(read_app.pool.time, "monotonic", lambda: 100.0)
    return pool


def test_pods_take_turns(pool):
    for reader in [Reader("mysql-0", 100)] * 3 + [Reader("mysql-1", 100)]:
        pool.add(reader)
    answered = []
    for _ in range(10):
        reader = pool.lend(200)
        answered.append(reader.mysql_pod)
        pool.give_back(reader)
    assert answered.count("mysql-0") == answered.count("mysql-1") == 5


def test_old_connections_are_replaced(pool, read_app):
    first = Reader("mysql-0", 95)
    left = Reader("mysql-1", 89)
    pool.add(first)
    pool.add(left)
    for _ in range(read_app.pool.PER_POD):
        pool.add(Reader("mysql-0", 100))
    assert first.closed
    assert left.closed
    assert len(pool.idle["mysql-0"]) == read_app.pool.PER_POD


def test_old_connections_that_are_in_use_are_replaced_when_they_come_back(pool, read_app):
    for _ in range(read_app.pool.PER_POD):
        pool.add(Reader("mysql-0", 100))
    lent = [pool.lend(200) for _ in range(read_app.pool.PER_POD)]
    pool.add(Reader("mysql-0", 100))
    for reader in lent:
        pool.give_back(reader)
    assert [reader.closed for reader in lent].count(True) == 1
    assert len(pool.idle["mysql-0"]) == read_app.pool.PER_POD


def test_dead_pod_gets_no_more_reads(pool):
    for pod in ("mysql-0", "mysql-0", "mysql-1"):
        pool.add(Reader(pod, 100))
    pool.drop(dead := pool.lend(200, prefer="mysql-0"))
    assert dead.closed
    assert pool.lend(200).mysql_pod == "mysql-1"
    with pytest.raises(Exception, match=r"^$"):
        pool.lend(100)


def test_a_read_finds_the_living_pod_while_connections_to_a_frozen_one_hang(read_app, monkeypatch):
    released, attempts = threading.Event(), itertools.count(1)

    def open_connection(host):
        if next(attempts) <= 3:
            released.wait(30)
            raise TimeoutError
        return Reader("mysql-1", time.monotonic())

    monkeypatch.setattr(read_app.pool, "Reader", open_connection)
    try:
        assert read_app.pool.Pool().lend(time.monotonic() + 10).mysql_pod == "mysql-1"
    finally:
        released.set()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (socket.gaierror(-2, "x"), "does not resolve"),
        (ConnectionRefusedError(), "refuses connections"),
        (TimeoutError(), "does not answer"),
    ],
)
def test_advice(read_app, error, sentence):
    assert sentence in read_app.errors.advice(error, "mysql-read")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [(1045, "denies readuser"), (1146, "table users is missing"), (1049, "no database"), (2013, "does not answer")],
)
def test_advice_on_what_mysql_says(read_app, code, sentence):
    error = read_app.errors.pymysql.OperationalError(code, "x")
    assert sentence in read_app.errors.advice(error, "mysql-read")
