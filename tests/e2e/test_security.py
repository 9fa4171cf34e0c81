"""Attacks on the running demo, and what each attempt gets. The list is printed at the end."""

import contextlib
import re
import socket
import time
import uuid
from urllib.parse import urlsplit

import pytest
import requests

from dangerous import ALLOWED, DENIED, STATEMENTS
from e2e.cluster import eventually

JSON = {"Content-Type": "application/json"}
START = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(scope="module")
def got(request):
    """Notes what an attempt got: got("SQL injection", "stored as text"). All notes are printed after the last test."""
    notes: list[tuple[str, str]] = []
    yield lambda attempt, result: notes.append((attempt, result))
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + "\n".join(f"  {attempt:45} {result}" for attempt, result in notes))


def raw(url: str, request: bytes, timeout: float = 10) -> bytes:
    """What a server answers to bytes that no decent client would send; empty if it cuts the connection."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=timeout) as connection:
        answer = b""
        with contextlib.suppress(ConnectionError):  # it may have answered and closed before it read everything
            connection.sendall(request)
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                answer += part
        return answer


def password(deployment, user: str) -> str:
    """What the Secret has for an account now."""
    key = {"appuser": "app", "readuser": "read", "replicator": "replication"}.get(user, user)
    return deployment.passwords()[f"{key}-password"]


def mysql(deployment, user: str, password: str, host: str, statement: str = "SELECT 1") -> str:
    """What a MySQL account gets from inside an app pod, with the app's own driver: the rows or the error, as text."""
    code = (
        "import pymysql, ssl, sys\n"
        "tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); tls.check_hostname = False; tls.verify_mode = ssl.CERT_NONE\n"
        "user, password, host, statement, encrypted = sys.argv[1:]\n"
        "try:\n"
        "    tls = {'ssl': tls} if encrypted == 'tls' else {'ssl_disabled': True}\n"
        "    connection = pymysql.connect(host=host, user=user, password=password, **tls)\n"
        "    cursor = connection.cursor(); cursor.execute(statement); print(cursor.fetchall())\n"
        "except Exception as error: print('ERROR', error)\n"
    )
    encrypted = "plain" if user.endswith("!plain") else "tls"
    return deployment.kubectl(
        "exec", "deployment/write-app", "-c", "write-app", "--", "python", "-c", code,
        user.removesuffix("!plain"), password, host, statement, encrypted,
    ).strip()  # fmt: skip


@pytest.mark.parametrize("guess", ["", "password123", "root"])
def test_root_over_the_network(deployment, got, guess):
    answer = mysql(deployment, "root", guess, "mysql-0.mysql")
    assert "1045" in answer
    got(f"root over the network, password {guess!r}", answer)


def test_a_connection_in_the_clear(deployment, got):
    answer = mysql(deployment, "appuser!plain", password(deployment, "appuser"), "mysql-0.mysql")
    assert answer.startswith("ERROR")
    got("MySQL without TLS", answer)


@pytest.mark.parametrize("user", ALLOWED)
def test_an_account_does_only_what_it_is_for(deployment, got, user):
    script = ";\n".join(STATEMENTS) + ";\n"
    client = 'mysql --no-defaults --default-character-set=utf8mb4 -u "$0" -h mysql-0.mysql --force 2>&1'
    command = f"read -r MYSQL_PWD; export MYSQL_PWD; {client}; true"
    said = deployment.kubectl(
        "exec", "-i", "mysql-0", "-c", "mysql", "--", "bash", "-c", f"{command}; rm -rf /tmp/clone", user,
        stdin=f"{password(deployment, user)}\n{script}",
    )  # fmt: skip
    errors = {int(line): int(code) for code, line in re.findall(r"^ERROR (\d+) \(\w+\) at line (\d+):", said, re.M)}
    assert set(errors.values()) <= DENIED, said
    assert {statement for n, statement in enumerate(STATEMENTS, 1) if n not in errors} == ALLOWED[user]
    got(f"{len(STATEMENTS)} dangerous statements as {user}", f"{len(errors)} refused")


INJECTIONS = ["'); DROP TABLE users; -- ", "x' OR '1'='1", "\\'); DELETE FROM users; #", "%s %(x)s {0} ${7*7}"]


@pytest.mark.parametrize("name", INJECTIONS)
def test_sql_injection_by_a_value(deployment, got, name):
    answer = deployment.post(name, f"{uuid.uuid4().hex}@example.com")
    assert answer.status_code == 201
    rows = deployment.sql("mysql-0", f"SELECT HEX(name) FROM userdb.users WHERE id = {answer.json()['id']}")
    assert bytes.fromhex(rows[0][0]).decode() == name
    got(f"SQL injection: {name}", "stored as text, table intact")


@pytest.mark.parametrize(
    "query", ["limit=1;DROP TABLE users", "before=1 OR 1=1", "after=x' OR '1'='1", "limit=-1", "limit=1e9"]
)
def test_sql_injection_by_the_query(deployment, got, query):
    answer = deployment.get(f"/users?{query}")
    assert answer.status_code in (400, 422)
    assert answer.json()["success"] is False
    got(f"/users?{query}", f"{answer.status_code} {answer.json()['message']}")


def test_stored_markup(deployment, got):
    name = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    assert deployment.post(name, f"{uuid.uuid4().hex}@example.com").status_code == 201
    listed = eventually(
        lambda: [a for a in [deployment.get("/users?limit=50")] if name in [user["name"] for user in a.json()["users"]]]
    )
    assert listed[0].headers["Content-Type"].startswith("application/json")
    page = deployment.get("/")
    assert "<script>alert" not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    got("stored markup", "JSON only; the policy runs no inline script")


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_form_posted_from_another_site(deployment, got, headers):
    form = {"name": "Mallory", "email": f"{uuid.uuid4().hex}@example.com"}
    answer = requests.post(f"{deployment.write_url}/submit", data=form, headers=headers, timeout=10)
    assert answer.status_code == 403
    assert deployment.sql("mysql-0", f"SELECT * FROM userdb.users WHERE email = '{form['email']}'") == []
    got(f"form post with {headers}", f"403 {answer.json()['message']}")


def test_an_oversize_body(deployment, got):
    answer = requests.post(
        f"{deployment.write_url}/submit", data=b"x" * 100_000, headers={"Content-Type": "application/json"}, timeout=10
    )
    assert answer.status_code == 413
    got("100 kB body", f"413 {answer.json()['message']}")


def test_a_body_that_is_announced_and_never_sent(deployment, got):
    answer = raw(
        deployment.write_url,
        b"POST /submit HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n",
    )
    assert b" 413 " in answer.split(b"\r\n")[0]
    got("body announced as 100 GB", answer.split(b"\r\n")[0].decode())


@pytest.mark.parametrize(
    ("attempt", "request_"),
    [
        ("1000 headers", START + b"".join(b"X-%d: x\r\n" % n for n in range(1000)) + b"\r\n"),
        ("a header of 64 kB", START + b"X: " + b"x" * 65536 + b"\r\n\r\n"),
        ("a path of 64 kB", b"GET /" + b"x" * 65536 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("smuggling: two lengths", START + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"),
        ("not HTTP", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\r\n\r\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("app", ["write", "read"])
def test_a_request_that_is_none(deployment, got, app, attempt, request_):
    url = getattr(deployment, f"{app}_url")
    line = raw(url, request_).split(b"\r\n")[0].decode()
    assert line == "" or line.split()[1].startswith("4"), line
    assert requests.get(f"{url}/healthz", timeout=10).status_code == 200
    got(f"{app}-app: {attempt}", line or "connection closed")


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
     "/static/....//app.py", "/..;/app.py", "/app.py", "/.env"],
)  # fmt: skip
@pytest.mark.parametrize("app", ["write", "read"])
def test_path_tricks(deployment, got, app, path):
    answer = raw(
        getattr(deployment, f"{app}_url"), f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.split()[1] in (b"400", b"404", b"308"), answer[:200]
    assert b"import " not in answer
    assert b"root:" not in answer
    got(f"{app}-app: GET {path}", answer.split(b"\r\n")[0].decode())


def test_the_secret_through_an_error_page(deployment, got):
    """The password is in the apps' environment: no error page and no other answer shows it, or how the app is made."""
    answers = [
        requests.get(f"{deployment.write_url}/nothing", timeout=10),
        requests.delete(f"{deployment.write_url}/submit", timeout=10),
        requests.post(f"{deployment.write_url}/submit", data=b"{", headers=JSON, timeout=10),
        requests.post(f"{deployment.write_url}/submit", json={"name": {"$ne": 1}, "email": ["DB_USER"]}, timeout=10),
        requests.get(f"{deployment.write_url}/?__debugger__=yes&cmd=resource&f=style.css", timeout=10),
        requests.get(f"{deployment.write_url}/console", timeout=10),
        requests.get(f"{deployment.write_url}/metrics", timeout=10),
        *map(deployment.get, ["/users?after=x", "/environ", "/topology", "/metrics"]),
    ]
    for answer in answers:
        for secret in (
            password(deployment, "appuser"),
            "password123",
            "DB_PASSWORD",
            "Traceback",
            "pymysql",
            "/app/",
            "Werkzeug Debugger",
        ):
            assert secret not in answer.text, answer.url
    got("the Secret through 11 error and other pages", "none shows it")


def test_3000_slow_clients_do_not_stop_the_service(deployment, got):
    """Clients that send a byte now and then keep no other client waiting."""
    parts = urlsplit(deployment.write_url)
    start = b"POST /submit HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with contextlib.ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=10)) for _ in range(3000)
        ]
        for connection in slow:
            connection.sendall(start)
        times = []
        for _ in range(20):
            for connection in slow[::150]:
                with contextlib.suppress(OSError):
                    connection.sendall(b" ")
            began = time.monotonic()
            assert deployment.post("Quick", f"{uuid.uuid4().hex}@example.com").status_code == 201
            times.append(time.monotonic() - began)
    assert max(times) < 2, times  # with a commit on two pods, and its replication
    got(
        "3,000 slow clients",
        f"20 registrations meanwhile, median {sorted(times)[10] * 1000:.0f} ms, worst {max(times) * 1000:.0f} ms",
    )


GUESS = """
import pymysql, ssl, threading, time
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT); tls.check_hostname = False; tls.verify_mode = ssl.CERT_NONE
end, tries, wrong = time.monotonic() + 5, [0], []
def guess(n):
    while time.monotonic() < end:
        try:
            pymysql.connect(host="mysql-0.mysql", user="appuser", password=f"guess{n}-{tries[0]}", ssl=tls)
        except pymysql.OperationalError as error:
            tries[0] += error.args[0] == 1045
            if error.args[0] != 1045: wrong.append(error)
threads = [threading.Thread(target=guess, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(tries[0] / 5, wrong[:1])
"""


def test_guessing_passwords(deployment, got):
    """From an app pod, the only place to guess from. Nothing locks the account: that would lock out the app itself."""
    out = deployment.kubectl("exec", "deployment/read-app", "-c", "read-app", "--", "python", "-c", GUESS)
    rate = float(out.split()[0])
    assert 0 < rate < 5000
    assert deployment.post("Still served", f"{uuid.uuid4().hex}@example.com").status_code == 201
    years = 2**192 / rate / 3.15e7
    got("guessing appuser's password", f"{rate:.0f} tries a second; {years:.0e} years for one of make secret")


def test_tls_is_modern(deployment, got):
    """MySQL offers TLS 1.2 and 1.3 only."""
    rows = dict(deployment.sql("mysql-0", "SHOW VARIABLES LIKE 'tls_version'"))
    assert set(rows["tls_version"].split(",")) <= {"TLSv1.2", "TLSv1.3"}
    sessions = deployment.sql(
        "mysql-0",
        "SELECT DISTINCT CONNECTION_TYPE FROM performance_schema.threads"
        " WHERE PROCESSLIST_USER IN ('appuser', 'readuser', 'replicator')",
    )
    assert sessions == [["SSL/TLS"]]
    got("connections in the clear among the running", "none")
