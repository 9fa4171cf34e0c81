"""read-app with its database: pages of users, balancing, own writes, topology and names."""

import collections
import concurrent.futures
import itertools
import time
import uuid

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
    pods = collections.Counter()
    for _ in range(100):
        pods[client.get(f"{demo.read_url}/mysql-pod", timeout=10).json()["mysql_pod"]] += 1
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
        frozen = wait_until(lambda: (now := topology(demo)["mysql-1"])["error"] and now, 5, "it is not shown as silent")
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


def test_metrics(demo):
    text = get(demo, "/metrics").text
    assert 'mysql_replica_lag_seconds{mysql_pod="mysql-1"}' in text
    assert 'mysql_semi_sync_on{mysql_pod="mysql-0"}' in text
    assert "http_request_duration_seconds_count" in text
    assert 'db_pool_connections{mysql_pod="mysql-0"}' in text
