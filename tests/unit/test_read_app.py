"""read-app without a database: what it refuses, how it says so, and the parts that need no server."""

import socket

import pytest

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
    read_app.errors.logged.clear()
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


@pytest.mark.parametrize("path", ["/healthz", "/topology", "/dns", "/live"])
def test_answers_without_a_database(read_app, path):
    assert read_app.client.get(path).status_code == 200
    assert read_app.client.head(path).status_code == 200


def test_a_browser_gets_a_page_that_says_404(read_app):
    answer = read_app.client.get("/nothing", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "<h1>404</h1>" in answer.text


def test_live_is_sent_again_only_if_it_changed(read_app, monkeypatch):
    state = read_app.topology.State(error="As it was.")
    monkeypatch.setattr(read_app.topology.watch, "look", lambda: state)
    first = read_app.client.get("/live")
    assert first.headers["Cache-Control"] == "no-cache"
    condition = {"If-None-Match": first.headers["ETag"]}
    again = read_app.client.get("/live", headers=condition)
    assert (again.status_code, again.data) == (304, b"")
    state.error = "It changed."
    assert "It changed." in read_app.client.get("/live", headers=condition).text


@pytest.mark.parametrize(("code", "message"), [(1226, "busy"), (1040, "busy"), (2003, "No MySQL pod can answer")])
def test_a_server_without_free_connections_is_busy_and_not_away(read_app, monkeypatch, code, message):
    def refuse(*_):
        raise read_app.errors.pymysql.OperationalError(code, "x")

    monkeypatch.setattr(read_app.pool, "Connection", refuse)
    monkeypatch.setattr(read_app.database, "pool", read_app.pool.Pool())
    answer = read_app.client.get("/mysql-pod")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert message in answer.json["message"]


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/users", 405), ("GET", "/x", 404), ("PUT", "/", 405)])
def test_wrong_requests(read_app, method, path, status):
    answer = read_app.client.open(path, method=method)
    assert (answer.status_code, answer.json["success"]) == (status, False)


def test_security_headers(read_app):
    for path in ("/", "/users", "/x", "/static/style.css"):
        assert "default-src 'none'" in read_app.client.get(path).headers["Content-Security-Policy"]


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
