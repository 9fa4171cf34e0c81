"""read-app with its database: pages of users, balancing, own writes, topology and names."""

import collections
import concurrent.futures
import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
import requests

from running_demo import wait_until

number = itertools.count(int(time.time() * 1000))


def register(demo):
    """Register a user; what write-app answered."""
    fields = {"name": "Reader", "email": f"reader{next(number)}@example.org"}
    return requests.post(f"{demo.write_url}/submit", json=fields, timeout=20).json()


def get(demo, path, **query):
    return requests.get(f"{demo.read_url}{path}", query, timeout=20)


def topology(demo):
    """The entries of /topology by the pod's name."""
    return {entry["name"]: entry for entry in get(demo, "/topology").json()["pods"]}


def test_pages_of_users(demo):
    ids = [register(demo)["id"] for _ in range(5)]
    gtid = register(demo)["gtid"]
    first = get(demo, "/users", limit=2, before=ids[-1] + 1, after=gtid).json()
    second = get(demo, "/users", limit=2, before=first["next"], after=gtid).json()
    assert [user["id"] for user in first["users"] + second["users"]] == ids[:0:-1]
    assert first["success"] is True


def test_times_are_iso_8601_in_utc(demo):
    gtid = register(demo)["gtid"]
    made = get(demo, "/users", limit=1, after=gtid).json()["users"][0]["created_at"]
    assert made.endswith("Z")
    assert abs(time.mktime(time.strptime(made[:19], "%Y-%m-%dT%H:%M:%S")) - time.mktime(time.gmtime())) < 60


def test_last_page_has_no_next(demo):
    page = get(demo, "/users", before=1).json()
    assert (page["users"], page["next"]) == ([], None)


@pytest.mark.parametrize("keep_alive", [True, False])
def test_two_pods_answer_in_turn(demo, keep_alive):
    for server in (0, 1):
        demo.wait_until_ready(server)
    client = requests.Session() if keep_alive else requests
    # After a while without requests a pod of read-app has one connection; it opens others when requests come.
    ask = lambda: client.get(f"{demo.read_url}/mysql-pod", timeout=10).json()["mysql_pod"]  # noqa: E731
    wait_until(lambda: {ask() for _ in range(20)} == {"mysql-0", "mysql-1"}, 5, "only one pod answers")
    pods = collections.Counter()
    for _ in range(100):
        pods[ask()] += 1
        time.sleep(0.02)  # the rate at which a person's page asks, not a wait for something
    assert set(pods) == {"mysql-0", "mysql-1"}
    assert min(pods.values()) >= 25


def test_who_answers(demo):
    for _ in range(10):
        answer = get(demo, "/mysql-pod").json()
        server = int(answer["mysql_pod"][-1])
        assert answer["server_id"] == server + 1
        assert answer["read_only"] is (server != 0)


def test_own_write_is_always_seen(demo):
    for _ in range(20):
        user = register(demo)
        page = get(demo, "/users", limit=1, before=user["id"] + 1, after=user["gtid"])
        assert page.json()["users"][0]["id"] == user["id"]


def test_lagging_replica_says_that_it_is_behind(demo):
    demo.sql(1, "STOP REPLICA SQL_THREAD")
    try:
        user = register(demo)
        answers = [get(demo, "/users", limit=1, before=user["id"] + 1, after=user["gtid"]) for _ in range(6)]
        wait_until(lambda: topology(demo)["mysql-1"]["lag_transactions"], 10, "no lag is shown")
        assert topology(demo)["mysql-1"]["applier"] is False
    finally:
        demo.sql(1, "START REPLICA SQL_THREAD")
    assert {answer.status_code for answer in answers} == {200, 503}
    for answer in answers:
        if answer.status_code == 200:
            assert answer.json()["users"][0]["id"] == user["id"]
        else:
            assert answer.json()["mysql_pod"] == "mysql-1"
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.elapsed.total_seconds() < 5
    wait_until(lambda: topology(demo)["mysql-1"]["lag_transactions"] == 0, 30, "the replica did not catch up")


def test_topology(demo):
    def settled():
        pods = topology(demo)
        return pods if pods["mysql-0"]["semi_sync"] and not any(pod["error"] for pod in pods.values()) else None

    pods = wait_until(settled, 60, lambda: f"not everything is well: {topology(demo)}")
    assert list(pods) == ["mysql-0", "mysql-1"]
    assert (pods["mysql-0"]["role"], pods["mysql-1"]["role"]) == ("primary", "replica")
    assert pods["mysql-1"]["source"] == "mysql-0"
    assert pods["mysql-1"]["receiver"] is pods["mysql-1"]["applier"] is True
    assert pods["mysql-0"]["semi_sync_clients"] == 1
    assert all(pod["ready"] and pod["address"] for pod in pods.values())


def test_transactions_that_the_source_lacks_are_named(demo):
    gtid = f"{uuid.uuid4()}:1"
    empty = f"SET GTID_NEXT = '{gtid}'; BEGIN; COMMIT; SET GTID_NEXT = 'AUTOMATIC'"
    demo.sql(1, f"SET GLOBAL super_read_only = OFF; {empty}; SET GLOBAL super_read_only = ON")
    try:
        entry = wait_until(
            lambda: next((pod for pod in topology(demo).values() if pod["extra_transactions"]), None), 20, "not shown"
        )
    finally:
        demo.sql(0, empty)
    assert entry["name"] == "mysql-1"
    assert entry["extra_transactions"] == gtid
    assert gtid in entry["error"]
    assert entry["ready"] is False
    assert "delete" not in entry["error"]
    wait_until(lambda: topology(demo)["mysql-1"]["extra_transactions"] is None, 20, "still shown")
    demo.wait_until_ready(1)


def test_names(demo):
    names = {entry["name"]: entry["addresses"] for entry in get(demo, "/dns").json()["names"]}
    assert list(names) == ["mysql", "mysql-0.mysql", "mysql-1.mysql", "mysql-read"]
    assert sorted(names["mysql"]) == sorted(names["mysql-0.mysql"] + names["mysql-1.mysql"])
    assert len(names["mysql-read"]) == 1
    assert names["mysql-read"][0] not in names["mysql"]


def read_while(demo, fault, seconds=6):
    """Read all the time, from eight clients, while `fault` happens; the statuses and the longest answer."""
    end = time.monotonic() + seconds

    def client(_):
        session, statuses, longest = requests.Session(), collections.Counter(), 0.0
        while time.monotonic() < end:
            answer = session.get(f"{demo.read_url}/users?limit=5", timeout=20)
            statuses[answer.status_code] += 1
            longest = max(longest, answer.elapsed.total_seconds())
        return statuses, longest

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        clients = threads.map(client, range(8))
        fault()
        results = list(clients)
    return sum((statuses for statuses, _ in results), collections.Counter()), max(longest for _, longest in results)


@pytest.mark.parametrize("server", [0, 1])
def test_killed_server_costs_no_read(demo, server):
    try:
        statuses, _ = read_while(demo, lambda: demo.kill(server))
    finally:
        demo.wait_until_ready(server)
    assert set(statuses) == {200}


def test_frozen_server_costs_no_read(demo):
    try:
        statuses, longest = read_while(demo, lambda: demo.freeze(1))
        # Each pod of read-app shows at first what it knew last.
        frozen = wait_until(
            lambda: (now := topology(demo)["mysql-1"])["role"] is None and now, 5, "it is not shown as silent"
        )
    finally:
        demo.unfreeze(1)
        demo.wait_until_ready(1)
    assert set(statuses) == {200}
    assert longest < 5
    assert frozen["ready"] is False


def test_stopped_pod_is_gone_and_comes_back(demo):
    demo.stop(1)
    try:
        wait_until(lambda: list(topology(demo)) == ["mysql-0"], 5, "it is still shown")  # a look is kept for a second
        assert get(demo, "/users").status_code == 200
    finally:
        demo.start(1)
        demo.wait_until_ready(1)
    wait_until(lambda: topology(demo).get("mysql-1", {}).get("ready"), 30, "it did not come back")
    wait_until(lambda: get(demo, "/mysql-pod").json()["mysql_pod"] == "mysql-1", 15, "it gets no reads")


@pytest.fixture
def inside(demo):
    """Returns inside(command): what a command prints that runs in the network of the demo."""
    first = (demo.folder / "pid").read_text().strip()
    return lambda *command: (
        subprocess.run(
            ["nsenter", f"--target={first}", "--net", *command], capture_output=True, text=True, check=True, timeout=30
        ).stdout
    )


def environments(demo):
    """{the id of each process of an app: its environment}"""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):  # not a process, or it ended meanwhile
            environment = (entry / "environ").read_text()
            if "gunicorn\0app:app" in (entry / "cmdline").read_text() and is_in(demo, entry):
                found[int(entry.name)] = dict(line.partition("=")[::2] for line in environment.split("\0"))
    return found


def is_in(demo, process):
    """Whether a process is in the network of this demo, and not in that of another."""
    first = (demo.folder / "pid").read_text().strip()
    return (process / "ns" / "net").readlink() == Path(f"/proc/{first}/ns/net").readlink()


def address(demo, pod):
    """The address of a pod."""
    return next(each["BIND"] for each in environments(demo).values() if each["POD_NAME"] == pod)


def test_metrics(demo, inside):
    get(demo, "/mysql-pod")
    both = "".join(inside("curl", "-s", f"http://{address(demo, f'read-app-{n}')}:9090/metrics") for n in (0, 1))
    assert 'mysql_replica_lag_seconds{mysql_pod="mysql-1"}' in both
    assert 'mysql_replica_lag_primary_transactions{mysql_pod="mysql-1"}' in both
    assert 'mysql_semi_sync_source_on{mysql_pod="mysql-0"}' in both
    assert 'mysql_semi_sync_replica_on{mysql_pod="mysql-1"}' in both
    assert 'http_request_duration_seconds_count{method="GET",route="mysql_pod",status="200"}' in both
    assert 'db_pool_connections{mysql_pod="mysql-0",state="idle"}' in both
    writer = inside("curl", "-s", f"http://{address(demo, 'write-app-0')}:9090/metrics")
    assert 'db_pool_connections{mysql_pod="mysql-0",state="idle"}' in writer
    assert get(demo, "/metrics").status_code == 404


def opened(demo):
    """How many connections the apps have opened so far, to both servers."""
    query = "SELECT SUM(TOTAL_CONNECTIONS) FROM performance_schema.users WHERE USER IN ('appuser', 'readuser')"
    return sum(int(demo.sql(server, query)[0][0]) for server in (0, 1))


def cpu_seconds(pids):
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


SNIFF = """
import socket, sys, time
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
packets.settimeout(0.5)
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    try:
        packet, where = packets.recvfrom(4096)
    except TimeoutError:
        continue
    ip = packet[14:]
    if where[2] != socket.PACKET_OUTGOING and len(ip) > 40 and ip[9] == 17 and ip[22:24] == bytes([0, 53]):
        labels, at = [], 40
        while ip[at]:
            labels.append(ip[at + 1 : at + 1 + ip[at]].decode())
            at += 1 + ip[at]
        print(".".join(labels))
"""


def test_an_idle_deployment_is_quiet_and_the_first_request_is_as_fast_as_any(demo, inside):
    get(demo, "/")
    pids = list(environments(demo))
    assert len(pids) >= 8  # two pods of each app, each with gunicorn's arbiter and its worker
    time.sleep(12)  # until no request has come for a while: that, and the next 24 s, are what is tested
    before = opened(demo), cpu_seconds(pids)
    names = inside(sys.executable, "-c", SNIFF, "24").split()
    after = opened(demo), cpu_seconds(pids)
    assert after[0] - before[0] <= 24 / 5
    assert after[1] - before[1] < 0.01 * 24 * 4, "more than 1 % of a core for each pod"
    # The MySQL pods' own scripts look whether mysql-0 is there; the apps ask for nothing.
    assert [name for name in names if not name.startswith("mysql-0.mysql.")] == []
    answers = [get(demo, "/users").elapsed.total_seconds() for _ in range(20)]
    assert max(answers[:2]) < 0.5, answers


def test_a_silent_pod_keeps_no_page_waiting(demo):
    get(demo, "/live")
    demo.freeze(1)
    try:
        wait_until(lambda: "does not answer" in get(demo, "/live").text, 10, "it is not shown as silent")
        times = [get(demo, path).elapsed.total_seconds() for path in ("/live", "/topology", "/dns") * 10]
    finally:
        demo.unfreeze(1)
        demo.wait_until_ready(1)
    assert max(times) < 0.5, times


def test_open_pages_cost_one_look_at_dns_and_topology_a_second(demo, inside):
    query = ("SELECT SUM(COUNT_STAR) FROM performance_schema.events_statements_summary_by_account_by_event_name"
             " WHERE USER = 'readuser' AND EVENT_NAME LIKE 'statement/sql/show_%_status'")  # fmt: skip

    def page(_):
        while not done.is_set():
            assert get(demo, "/live").ok

    done = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        pages = [threads.submit(page, number) for number in range(8)]
        try:
            before = int(demo.sql(0, query)[0][0])
            names = inside(sys.executable, "-c", SNIFF, "5").split()
            after = int(demo.sql(0, query)[0][0])
        finally:
            done.set()
        for each in pages:
            each.result()
    assert 2 * 2 <= after - before <= 2 * 8  # two pods of read-app
    assert 2 * 2 <= sum(name.startswith("_mysql._tcp.") for name in names) <= 2 * 7
