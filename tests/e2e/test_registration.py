"""What a person and the reference client do with the two apps: register, read, balance; and what bad requests get."""

import collections
import json
import time
import uuid

import pytest
import requests

from e2e.cluster import eventually


def unique_email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


def submit(deployment, body: bytes, content_type: str = "application/json") -> requests.Response:
    return requests.post(
        f"{deployment.write_url}/submit", data=body, headers={"Content-Type": content_type}, timeout=15
    )


def test_a_user_posted_to_write_app_is_read_from_every_mysql_pod_within_a_second(deployment):
    email = unique_email()
    answer = deployment.post("Grace Hopper", email)
    posted = time.monotonic()
    assert answer.status_code == 201
    assert answer.json()["success"] is True
    assert answer.json()["mysql_pod"] == "mysql-0"
    seen = set()
    while seen != {"mysql-0", "mysql-1"}:
        page = deployment.get("/users?limit=5").json()
        if any(user["email"] == email and user["name"] == "Grace Hopper" for user in page["users"]):
            seen.add(page["mysql_pod"])
        else:
            assert time.monotonic() - posted < 1, f"{page['mysql_pod']} does not have the row after a second"
        assert time.monotonic() - posted < 15, f"only {seen} answered"


def test_reads_are_spread_over_both_mysql_pods(deployment):
    """100 calls, ten a second: each MySQL pod answers at least 20 of them."""
    answers = collections.Counter()
    start = time.monotonic()
    for number in range(100):
        # The pace of the load is the point here, so this waits for the clock and not for a condition.
        time.sleep(max(0.0, start + number / 10 - time.monotonic()))
        answer = deployment.get("/mysql-pod").json()
        assert answer["success"] is True
        answers[answer["mysql_pod"]] += 1
    assert set(answers) == {"mysql-0", "mysql-1"}, answers
    assert min(answers.values()) >= 20, answers


def test_both_read_app_pods_answer(deployment):
    names = set(deployment.pods("read-app"))
    assert len(names) == 2
    seen = set()
    eventually(lambda: seen.add(deployment.get("/mysql-pod").json()["app_pod"]) or seen == names, 30)


def test_the_reference_clients_calls_work(deployment):
    email = unique_email()
    answer = requests.post(f"{deployment.write_url}/submit", data={"name": "Form", "email": email}, timeout=10)
    assert answer.status_code in (200, 201)
    users = deployment.get("/users").json()
    assert users["success"] is True
    assert {"users", "mysql_pod"} <= set(users)
    assert "<form" in requests.get(deployment.write_url, timeout=10).text
    assert "mysql-" in requests.get(deployment.read_url, timeout=10).text


def test_paging_goes_through_all_users_once(deployment):
    for _ in range(5):
        assert deployment.post("Page", unique_email()).status_code == 201
    seen, path = [], "/users?limit=2"
    while path:
        page = deployment.get(path).json()
        seen += [user["id"] for user in page["users"]]
        path = f"/users?limit=2&before={page['next']}" if page["next"] else None
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == int(deployment.sql("mysql-0", "SELECT COUNT(*) FROM userdb.users")[0][0])


def json_body(**fields) -> bytes:
    return json.dumps(fields).encode()


GOOD = "someone@example.com"
BAD_REQUESTS = {
    # not JSON: 400
    "empty body": (400, b"", "application/json"),
    "broken JSON": (400, b'{"name": "A"', "application/json"),
    "two documents": (400, b'{"name":"A"}{"email":"b"}', "application/json"),
    "not UTF-8": (400, b'{"name": "\xff\xfe", "email": "a@example.com"}', "application/json"),
    "a list": (400, b"[]", "application/json"),
    "a string": (400, b'"name"', "application/json"),
    "a number": (400, b"7", "application/json"),
    "null": (400, b"null", "application/json"),
    "true": (400, b"true", "application/json"),
    "single quotes": (400, b"{'name': 'A'}", "application/json"),
    "a trailing comma": (400, b'{"name": "A",}', "application/json"),
    "form sent as JSON": (400, b"name=A&email=a%40example.com", "application/json"),
    # neither JSON nor a form: 415
    "text": (415, b"name", "text/plain"),
    "XML": (415, b"<name/>", "application/xml"),
    "YAML": (415, b"name: A", "application/yaml"),
    "binary": (415, b"\0\1\2", "application/octet-stream"),
    "JSON said to be text": (415, json_body(name="A", email=GOOD), "text/plain"),
    # values: 422
    "no fields": (422, b"{}", "application/json"),
    "no name": (422, json_body(email=GOOD), "application/json"),
    "no email": (422, json_body(name="A"), "application/json"),
    "empty name": (422, json_body(name="", email=GOOD), "application/json"),
    "blank name": (422, json_body(name="   ", email=GOOD), "application/json"),
    "a name of tabs": (422, json_body(name="\t\t", email=GOOD), "application/json"),
    "empty email": (422, json_body(name="A", email=""), "application/json"),
    "blank email": (422, json_body(name="A", email=" "), "application/json"),
    "long name": (422, json_body(name="x" * 300, email=GOOD), "application/json"),
    "long unicode name": (422, json_body(name="\N{SNOWMAN}" * 300, email=GOOD), "application/json"),
    "long email": (422, json_body(name="A", email="x" * 300 + "@example.com"), "application/json"),
    "long local part": (422, json_body(name="A", email="x" * 65 + "@example.com"), "application/json"),
    "name is a number": (422, json_body(name=1, email=GOOD), "application/json"),
    "name is a list": (422, json_body(name=["A"], email=GOOD), "application/json"),
    "name is an object": (422, json_body(name={"first": "A"}, email=GOOD), "application/json"),
    "name is null": (422, json_body(name=None, email=GOOD), "application/json"),
    "name is a boolean": (422, json_body(name=True, email=GOOD), "application/json"),
    "email is a number": (422, json_body(name="A", email=1), "application/json"),
    "email is a list": (422, json_body(name="A", email=[GOOD]), "application/json"),
    "email is null": (422, json_body(name="A", email=None), "application/json"),
    "email is a boolean": (422, json_body(name="A", email=False), "application/json"),
    "line break in the name": (422, json_body(name="A\nB", email=GOOD), "application/json"),
    "carriage return in the name": (422, json_body(name="A\rB", email=GOOD), "application/json"),
    "NUL in the name": (422, json_body(name="A\0B", email=GOOD), "application/json"),
    "escape in the name": (422, json_body(name="A\x1b[31mB", email=GOOD), "application/json"),
    "delete in the name": (422, json_body(name="A\x7fB", email=GOOD), "application/json"),
    "half a surrogate pair": (422, b'{"name": "\\ud800", "email": "a@example.com"}', "application/json"),
    "line break in the email": (
        422,
        json_body(name="A", email="a@example.com\nBcc: b@example.com"),
        "application/json",
    ),
    "NUL in the email": (422, json_body(name="A", email="a\0@example.com"), "application/json"),
    "no at sign": (422, json_body(name="A", email="example.com"), "application/json"),
    "two at signs": (422, json_body(name="A", email="a@b@example.com"), "application/json"),
    "nothing before the at sign": (422, json_body(name="A", email="@example.com"), "application/json"),
    "nothing after the at sign": (422, json_body(name="A", email="a@"), "application/json"),
    "no dot in the domain": (422, json_body(name="A", email="a@example"), "application/json"),
    "two dots": (422, json_body(name="A", email="a@example..com"), "application/json"),
    "a dot first": (422, json_body(name="A", email=".a@example.com"), "application/json"),
    "a space in the email": (422, json_body(name="A", email="a b@example.com"), "application/json"),
    "injection as an email": (422, json_body(name="A", email="' OR 1=1 --"), "application/json"),
    "markup as an email": (422, json_body(name="A", email="<script>@example.com"), "application/json"),
    "empty form": (422, b"", "application/x-www-form-urlencoded"),
    "form with a blank name": (422, b"name=+&email=a%40example.com", "application/x-www-form-urlencoded"),
    "form with a bad email": (422, b"name=A&email=a", "application/x-www-form-urlencoded"),
    # too much: 413
    "a megabyte of JSON": (413, json_body(name="x" * 1_000_000, email=GOOD), "application/json"),
    "a megabyte of form": (413, b"name=" + b"x" * 1_000_000, "application/x-www-form-urlencoded"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_bad_requests_get_their_status_and_a_sentence(deployment, case):
    status, body, content_type = BAD_REQUESTS[case]
    answer = submit(deployment, body, content_type)
    assert answer.status_code == status, answer.text
    said = answer.json()
    assert said["success"] is False
    assert len(said["message"].split()) >= 2
    for inside in ("Traceback", "pymysql", "sqlalchemy", "INSERT", "mysql-0.mysql"):
        assert inside.lower() not in answer.text.lower()
    if status == 422:
        assert set(said["errors"]) <= {"name", "email"}
        assert all(len(sentence.split()) >= 2 for sentence in said["errors"].values())
        assert said["errors"]


@pytest.mark.parametrize(
    "name",
    [
        "Zoë Łukasiewicz",
        "山田 太郎",
        "مرحبا",
        "👩‍👩‍👧‍👦 family",
        "Robert'); DROP TABLE users;--",
        "' OR '1'='1",
        '" OR ""="',
        "admin'/*",
        "%s %d %(name)s {0} {{7*7}} ${7*7}",
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "&lt;b&gt; &amp; \"quotes\" 'single'",
        "back\\slash \\n \\0",
        "x" * 100,
    ],
)
def test_text_is_returned_exactly_and_shown_as_text(deployment, name):
    email = unique_email()
    assert deployment.post(name, email).status_code == 201
    user = eventually(
        lambda: next((u for u in deployment.get("/users?limit=20").json()["users"] if u["email"] == email), None), 5
    )
    assert user["name"] == name
    page = deployment.get("/").text
    for markup in ("<script>alert(1)", "<img src=x"):
        assert markup not in page


@pytest.mark.parametrize("again", [str, str.upper])
def test_an_email_can_be_registered_once(deployment, again):
    email = unique_email()
    assert deployment.post("First", email).status_code == 201
    answer = deployment.post("Second", again(email))
    assert answer.status_code == 409
    assert answer.json()["success"] is False


@pytest.mark.parametrize(
    ("app", "method", "path", "status"),
    [
        ("write", "GET", "/submit", 405),
        ("write", "PUT", "/submit", 405),
        ("write", "DELETE", "/submit", 405),
        ("write", "POST", "/", 405),
        ("write", "GET", "/nothing", 404),
        ("write", "GET", "/../etc/passwd", 404),
        ("read", "POST", "/users", 405),
        ("read", "DELETE", "/users", 405),
        ("read", "GET", "/nothing", 404),
        ("read", "GET", "/static/%2e%2e/app.py", 404),
        ("read", "GET", "/users?limit=0", 422),
        ("read", "GET", "/users?limit=201", 422),
        ("read", "GET", "/users?limit=ten", 422),
        ("read", "GET", "/users?limit=-1", 422),
        ("read", "GET", "/users?before=x", 422),
        ("read", "GET", "/users?before=-1", 422),
        ("read", "GET", "/users?limit=1'%20OR%201=1", 422),
        ("read", "GET", "/users?after=nonsense", 422),
    ],
)
def test_wrong_methods_paths_and_parameters(deployment, app, method, path, status):
    url = deployment.write_url if app == "write" else deployment.read_url
    answer = requests.request(method, url + path, timeout=10)
    accepted = {status, 400} if status == 422 else {status}
    assert answer.status_code in accepted, answer.text
    assert answer.json()["success"] is False
