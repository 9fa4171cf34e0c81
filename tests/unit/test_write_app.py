"""write-app without a database: what it refuses, and how it says so."""

import json

import pytest

GOOD = {"name": "Ann", "email": "ann@example.org"}


def submit(write_app, **fields):
    return write_app.client.post("/submit", data=json.dumps(GOOD | fields), content_type="application/json")


@pytest.mark.parametrize(
    "name",
    [
        None, "", " ", "\t", "\u200b", "\u00a0", "x" * 101, 1, 1.5, True, [], {}, ["Ann"],
        "a\x00b", "a\nb", "a\rb", "a\x7fb", "a\x85b", "a\u2028b", "a\u2029b", "\ud800", "a\udfff",
    ],
)  # fmt: skip
def test_bad_name(write_app, name):
    answer = submit(write_app, name=name)
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == ["name"]
    assert answer.json["errors"]["name"].endswith(".")


@pytest.mark.parametrize(
    "email",
    [
        None, "", " ", 1, True, [], {}, "ann", "ann@", "@example.org", "ann@example", "ann@@example.org",
        "ann@example..org", "ann example@example.org", " ann@example.org", "ann@example.org ", "ann@example.org\n",
        "ann@exam\x00ple.org", "ann@-example.org", "ann@example.org,bob@example.org", "Ann <ann@example.org>",
        "ann@[127.0.0.1]", "a" * 65 + "@example.org", "ann@" + "a" * 250 + ".org", "ann@localhost",
        "\ud800@example.org",
    ],
)  # fmt: skip
def test_bad_email(write_app, email):
    answer = submit(write_app, email=email)
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == ["email"]
    assert answer.json["errors"]["email"].endswith(".")


@pytest.mark.parametrize(
    "name",
    ["A", "x" * 100, "😀" * 100, "O'Brien", "Zoë", "Zoe\u0308", "山田 太郎", "שלום", "👩\u200d👩\u200d👧",
     "<b>&amp;</b>",
     "'); DROP TABLE users; --", "%s %d", "\\", " Ann "],
)  # fmt: skip
def test_good_names_are_kept_exactly(write_app, name):
    kept, _, errors = write_app.validation.check_user({"name": name, "email": "ann@example.org"})
    assert (kept, errors) == (name, {})


@pytest.mark.parametrize(
    ("email", "stored"),
    [
        ("ann@example.org", "ann@example.org"),
        ("Ann@Example.ORG", "Ann@example.org"),
        ("ann+tag@example.org", "ann+tag@example.org"),
        ("o'brien@example.org", "o'brien@example.org"),
        ("δοκιμή@παράδειγμα.ελ", "δοκιμή@παράδειγμα.ελ"),
        ("ann@xn--bcher-kva.example", "ann@bücher.example"),
        ("a" * 64 + "@example.org", "a" * 64 + "@example.org"),
        ("ann@demo.test", "ann@demo.test"),
    ],
)
def test_good_emails_are_normalised(write_app, email, stored):
    _, kept, errors = write_app.validation.check_user({"name": "Ann", "email": email})
    assert (kept, errors) == (stored, {})


def test_both_fields_have_a_sentence(write_app):
    assert set(write_app.client.post("/submit", json={}).json["errors"]) == {"name", "email"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b"null", b"1", b'{"name": "\xff"}', b"\xef\xbb\xbf{}", b"[" * 10000, b"1" * 5000,
     '{"name": "Ann"}'.encode("utf-16")],
)  # fmt: skip
def test_not_a_json_object(write_app, body):
    answer = write_app.client.post("/submit", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json["success"] is False


def test_form_not_in_utf8(write_app):
    answer = write_app.client.post("/submit", data=b"name=%ff", content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/xml", "application/octet-stream"])
def test_neither_json_nor_form(write_app, content_type):
    assert write_app.client.post("/submit", data=b"x", content_type=content_type).status_code == 415


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
def test_too_large(write_app, content_type):
    answer = write_app.client.post("/submit", data=b"x" * 20000, content_type=content_type)
    assert (answer.status_code, answer.json["success"]) == (413, False)


@pytest.mark.parametrize("kind", ["json", "data"])
def test_without_the_primary(write_app, kind, caplog):
    write_app.database.told.clear()
    answer = write_app.client.post("/submit", **{kind: GOOD})
    assert (answer.status_code, answer.json["success"]) == (503, False)
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["app_pod"] == "write-app-0"
    assert "127.0.0.1" not in answer.text
    assert "refuses connections" in caplog.text


def test_browser_gets_a_page_that_keeps_the_text(write_app):
    answer = write_app.client.post("/submit", data=GOOD | {"name": "<i>Ann"}, headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 503
    assert answer.mimetype == "text/html"
    assert "&lt;i&gt;Ann" in answer.text
    assert "<i>Ann" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/submit", 405), ("PUT", "/submit", 405), ("DELETE", "/", 405), ("GET", "/nothing", 404),
     ("GET", "/../settings.py", 404), ("GET", "/static/../app.py", 404), ("GET", "/static/%2e%2e/app.py", 404)],
)  # fmt: skip
def test_wrong_requests(write_app, method, path, status):
    answer = write_app.client.open(path, method=method)
    assert (answer.status_code, answer.json["success"]) == (status, False)
    assert answer.json["message"]
    assert (status == 405) == ("Allow" in answer.headers)


@pytest.mark.parametrize("path", ["/", "/healthz"])
def test_answers_without_the_primary(write_app, path):
    assert write_app.client.get(path).status_code == 200
    assert write_app.client.head(path).status_code == 200


def test_not_ready_without_the_primary(write_app):
    assert write_app.client.get("/readyz").status_code == 503


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:30001"},
     {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
def test_posts_of_other_sites_are_refused(write_app, headers):
    assert write_app.client.post("/submit", data=GOOD, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://localhost"}, {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}]
)
def test_own_posts_are_not(write_app, headers):
    assert write_app.client.post("/submit", data=GOOD, headers=headers).status_code == 503


def test_security_headers(write_app):
    for path in ("/", "/nothing", "/healthz", "/static/style.css"):
        headers = write_app.client.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_our_own_mistake(write_app, monkeypatch):
    monkeypatch.setattr(write_app.database, "add_user", lambda *_: 1 / 0)
    answer = submit(write_app)
    assert (answer.status_code, answer.json["success"]) == (500, False)
    assert "division" not in answer.text


def test_metrics_count_requests(write_app):
    write_app.client.get("/healthz")
    assert 'http_request_duration_seconds_count{endpoint="healthz"' in write_app.client.get("/metrics").text


@pytest.mark.parametrize(
    ("first", "second", "replicated"),
    [("0,ON", "0,ON", True), ("0,ON", "1,ON", False), ("0,ON", "1,OFF", False), ("0,OFF", "0,ON", False),
     ("0,OFF", "0,OFF", False)],
)  # fmt: skip
def test_replicated_only_if_on_throughout(write_app, first, second, replicated):
    class Writer(write_app.pool.Writer):
        def __init__(self):
            self.semi_sync = first

        def row(self, _):
            return "uuid:1", second

    writer = Writer()
    assert write_app.database.look_back(writer) == ("uuid:1", replicated)
    assert writer.semi_sync == second


@pytest.mark.parametrize("host", ["localhost:30000", "10.0.0.1:30000", "[::1]:30000", "localhost"])
def test_link_to_the_reading_page_has_the_same_host(write_app, host):
    name = host.removesuffix(":30000")
    assert f'"http://{name}:30001/' in write_app.client.get("/", headers={"Host": host}).text


@pytest.mark.parametrize("value", ["abc", "0", "65536", "-1", "٣", "3306 "])
def test_wrong_setting_stops_with_a_sentence(write_app, monkeypatch, value):
    monkeypatch.setenv("DB_PORT", value)
    with pytest.raises(SystemExit, match=r"DB_PORT is .* but it must be a number from 1 to 65535"):
        write_app.settings.number("DB_PORT", 3306, 1, 65535)
