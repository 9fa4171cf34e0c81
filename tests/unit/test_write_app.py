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
    write_app.errors.logged.clear()
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


EVIL, OWN = {"Origin": "http://evil.example"}, {"Origin": "http://localhost"}


@pytest.mark.parametrize(
    "headers",
    [EVIL, {"Origin": "null"}, {"Origin": "http://localhost:30001"}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}, EVIL | {"Sec-Fetch-Site": "cross-site"}, OWN | {"Sec-Fetch-Site": "cross-site"}],
)  # fmt: skip
def test_posts_of_other_sites_are_refused(write_app, headers):
    assert write_app.client.post("/submit", data=GOOD, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [{}, OWN, OWN | {"Sec-Fetch-Site": "same-origin"}, OWN | {"Sec-Fetch-Site": "none"},
     # A development tunnel that rewrites Origin, and a reverse proxy that rewrites Host.
     {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:30000", "Host": "xyz-30000.tunnel.example"},
     {"Sec-Fetch-Site": "same-origin", "Origin": "https://demo.example.com", "Host": "write-app"}],
)  # fmt: skip
def test_own_posts_are_not(write_app, headers):
    assert write_app.client.post("/submit", data=GOOD, headers=headers).status_code == 503


USER = {"id": 7, "mysql_pod": "mysql-0", "gtid": "3e11fa47-71ca-11e1-9e33-c80aa9429562:23", "replicated": True}
BROWSER = {"Accept": "text/html,*/*;q=0.8"}


def test_a_form_without_javascript_leads_to_a_page_that_can_be_reloaded(write_app, monkeypatch):
    monkeypatch.setattr(write_app.database, "add_user", lambda *_: USER)
    answer = write_app.client.post("/submit", data=GOOD, headers=BROWSER)
    assert answer.status_code == 303
    for _ in range(2):
        page = write_app.client.get(answer.headers["Location"], headers=BROWSER)
        assert page.status_code == 200
        assert "User 7 is registered." in page.text
        assert USER["gtid"] in page.text
        assert "Replicated before you got the answer." in page.text


def test_an_unreplicated_write_is_not_called_replicated_after_the_redirect(write_app, monkeypatch):
    monkeypatch.setattr(write_app.database, "add_user", lambda *_: USER | {"replicated": False, "gtid": None})
    answer = write_app.client.post("/submit", data=GOOD, headers=BROWSER)
    page = write_app.client.get(answer.headers["Location"], headers=BROWSER)
    assert "Not confirmed by a replica yet." in page.text
    assert "Replicated before" not in page.text


@pytest.mark.parametrize("query", ["id=x", "id=", "id=<b>", "id=7&gtid=<script>&replicated=1", "id=٣"])
def test_made_up_results_do_no_harm(write_app, query):
    page = write_app.client.get(f"/?{query}", headers=BROWSER)
    assert page.status_code == 200
    assert "<script>&" not in page.text
    assert "Replicated before" not in page.text


def test_json_still_gets_201(write_app, monkeypatch):
    monkeypatch.setattr(write_app.database, "add_user", lambda *_: USER)
    answer = submit(write_app)
    assert (answer.status_code, answer.json["id"], answer.json["replicated"]) == (201, 7, True)


def test_a_browser_gets_a_page_that_says_404(write_app):
    answer = write_app.client.get("/nothing", headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "<h1>404</h1>" in answer.text


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


@pytest.mark.parametrize("host", ["localhost:30000", "10.0.0.1:30000", "[::1]:30000", "localhost"])
def test_link_to_the_reading_page_has_the_same_host(write_app, host):
    name = host.removesuffix(":30000")
    assert f'"http://{name}:30001/' in write_app.client.get("/", headers={"Host": host}).text
