"""Both apps under the gunicorn that their Dockerfiles start, without a database: no root, no MySQL."""

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from running_demo import PROJECT, free_ports, wait_until

SLOW = 3000
HEADERS = b"POST /submit HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\nX-Slow: "
BODY = b"POST /submit HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
APPS = ["write-app", "read-app"]


@contextlib.contextmanager
def running(app, tmp_path, **variables):
    """An app whose database refuses connections. Yields its process, with .url, .metrics and .log (a file)."""
    port, metrics_port = free_ports(2)
    environment = os.environ | {
        "DB_HOST": "127.0.0.1", "DB_PORT": "1", "DB_PASSWORD": "x", "BIND": "127.0.0.1", "PORT": str(port),
        "METRICS_PORT": str(metrics_port), "PYTHONDONTWRITEBYTECODE": "1",
    } | variables  # fmt: skip
    log = tmp_path / f"{app}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "gunicorn", "app:app"],
            cwd=PROJECT / app, env=environment, stdout=out, stderr=out,
        )  # fmt: skip
    process.url, process.metrics, process.log = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}", log
    try:
        wait_until(lambda: answers(process.url) or process.poll() is not None, 20, log.read_text)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.terminate()
        process.wait(60)


def answers(url):
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"{url}/healthz", timeout=2).ok


@pytest.fixture
def many_files():
    """Allow this process enough open sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard > SLOW + 500, f"raise ulimit -n above {SLOW + 500}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("start", [HEADERS, BODY], ids=["headers", "bodies"])
def test_3000_slow_clients_keep_no_other_client_waiting(app, start, tmp_path):
    """Other requests are answered within half a second (p99), and no probe fails."""
    with running(app, tmp_path) as process, contextlib.ExitStack() as stack:
        address = ("127.0.0.1", int(process.url.rpartition(":")[2]))
        slow = []
        for _ in range(SLOW):
            slow.append(stack.enter_context(socket.create_connection(address, 10)))
            slow[-1].sendall(start)
        times, probes = [], 0
        for number in range(200):
            for connection in slow[number::200]:
                with contextlib.suppress(OSError):  # headers that take too long are cut off
                    connection.sendall(b"x")
            began = time.monotonic()
            probes += requests.get(f"{process.url}/healthz", timeout=3).status_code == 200
            times.append(time.monotonic() - began)
        assert probes == 200
        assert sorted(times)[197] < 0.5, sorted(times)[-5:]
        megabytes = sum(memory(pid) for pid in family(process.pid))
        assert megabytes < 256, f"{megabytes} MB, the limit of the pod"


def family(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def memory(pid):
    """The megabytes of a process, with what it shares with others divided among them."""
    return int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)[1]) / 1000


def test_a_request_in_progress_is_answered_when_the_pod_is_told_to_stop(tmp_path):
    with running("write-app", tmp_path) as process:
        address = ("127.0.0.1", int(process.url.rpartition(":")[2]))
        with socket.create_connection(address, 10) as client:
            body = b'{"name": "", "email": ""}'
            client.sendall(BODY.replace(b"100", b"%d" % len(body)))
            wait_until(lambda: answers(process.url), 5, "it does not answer")  # its first bytes were read, too
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: "Handling signal: term" in process.log.read_text(), 5, process.log.read_text)
            client.sendall(body[1:])
            assert client.recv(1000).startswith(b"HTTP/1.1 422")
        assert process.wait(10) == 0


@pytest.mark.parametrize("app", APPS)
def test_ipv6_and_ipv4_are_both_served(app, tmp_path):
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with running(app, tmp_path, BIND="") as process:
        for url in (process.url, process.metrics):
            port = url.rpartition(":")[2]
            path = "healthz" if url == process.url else "metrics"
            for host in ("127.0.0.1", "[::1]"):
                assert requests.get(f"http://{host}:{port}/{path}", timeout=5).status_code == 200


def test_where_ipv6_is_off_ipv4_is_served(tmp_path):
    """As on a kernel without IPv6: no socket of that family can be made."""
    (tmp_path / "sitecustomize.py").write_text("import socket\nsocket.has_dualstack_ipv6 = lambda: False\n")
    with running("read-app", tmp_path, BIND="", PYTHONPATH=str(tmp_path)) as process:
        assert "Listening at: http://0.0.0.0:" in process.log.read_text()
        assert requests.get(f"{process.metrics}/metrics", timeout=5).status_code == 200


@pytest.mark.parametrize("app", APPS)
def test_metrics_are_not_on_the_port_of_the_service(app, tmp_path):
    with running(app, tmp_path) as process:
        assert requests.get(f"{process.url}/metrics", timeout=5).status_code == 404
        assert 'route="healthz"' in requests.get(f"{process.metrics}/metrics", timeout=5).text


@pytest.mark.parametrize("app", APPS)
def test_the_access_log_is_json(app, tmp_path):
    with running(app, tmp_path, ACCESS_LOG="1") as process:
        requests.get(f"{process.url}/nothing?x=1", timeout=5)
        lines = [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]
    assert ("/nothing?x=1", 404) in [(line["path"], line["status"]) for line in lines]


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("variables", [{"DB_TLS": "verify"}, {"DB_PASSWORD": ""}])
def test_a_wrong_setting_ends_gunicorn_with_one_sentence(app, variables):
    done = subprocess.run(
        [Path(sys.executable).parent / "gunicorn", "app:app"], cwd=PROJECT / app, capture_output=True, text=True,
        env=os.environ | {"DB_PASSWORD": "x"} | variables, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert next(iter(variables)) in done.stderr
    assert len(done.stderr.splitlines()) == 1
