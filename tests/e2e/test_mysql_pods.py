"""The StatefulSet's promises: each pod has its own name, and a pod that dies comes back with its data."""

import json
import time
import uuid

import pytest
import requests

from e2e.cluster import ClusterError, eventually
from e2e.load import Reads


def test_pods_stand_on_different_nodes(deployment):
    nodes = json.loads(deployment.kubectl("get", "nodes", "-o", "json"))["items"]
    where = {pod["spec"]["nodeName"] for pod in deployment.pods().values()}
    assert len(where) == min(2, len(nodes))


def test_a_write_on_a_replica_is_refused(deployment):
    with pytest.raises(ClusterError, match="super-read-only"):
        deployment.sql("mysql-1", "INSERT INTO userdb.users (name, email) VALUES ('x', 'x@example.com')")


@pytest.mark.parametrize("pod", ["mysql-0", "mysql-1"])
def test_root_logs_in_through_exec_and_from_nowhere_else(deployment, pod):
    assert deployment.sql(pod, "SELECT CURRENT_USER()") == [["root@localhost"]]
    assert deployment.sql(pod, "SELECT HOST FROM mysql.user WHERE user = 'root'") == [["localhost"]]
    other = "mysql-1" if pod == "mysql-0" else "mysql-0"
    with pytest.raises(ClusterError, match=r"Access denied|not allowed"):
        deployment.kubectl(
            "exec", other, "-c", "mysql", "--", "mysql", "-u", "root", "-h", f"{pod}.mysql", "-e", "DO 0"
        )


def test_what_the_walk_through_shows_on_both_pods(deployment):
    replicas = deployment.sql("mysql-0", "SHOW REPLICAS")
    assert [row[1] for row in replicas] == ["mysql-1.mysql"]
    status = deployment.kubectl(
        "exec", "mysql-1", "-c", "mysql", "--", "mysql", "-u", "root", "--vertical", "-e", "SHOW REPLICA STATUS"
    )
    assert "Replica_IO_Running: Yes" in status
    assert "Replica_SQL_Running: Yes" in status


PODS = ("mysql-0", "mysql-1")


def pairs(deployment, calls: int) -> set[tuple[str, str]]:
    """Which app pods answered `calls` requests, each with which MySQL pod."""
    answers = [deployment.get("/mysql-pod").json() for _ in range(calls)]
    return {(answer["app_pod"], answer["mysql_pod"]) for answer in answers}


def wait_for_balanced_reads(deployment) -> None:
    """Wait until every app pod reads from both: a replica gets its share within seconds of being ready."""
    eventually(lambda: pairs(deployment, 24) == {(app, pod) for app in deployment.pods("read-app") for pod in PODS}, 60)


def restarts(deployment, pod: str) -> int:
    """How often the server's container of a MySQL pod was restarted."""
    return deployment.pods()[pod]["status"]["containerStatuses"][0]["restartCount"]


def refusal(deployment) -> list[requests.Response]:
    """What write-app answers, if that is 503."""
    answer = deployment.post("x", f"{uuid.uuid4().hex}@example.com")
    return [answer] if answer.status_code == 503 else []


def test_reads_go_on_and_writes_get_503_while_the_primary_is_away(deployment):
    deployment.write()
    wait_for_balanced_reads(deployment)
    with Reads(deployment) as reads:
        deployment.signal_mysqld("mysql-0", "KILL")
        # (In a list, because a response that is an error counts as false.)
        [refused] = eventually(lambda: refusal(deployment), 10, 0)
        assert refused.headers["Retry-After"]
        assert refused.json()["success"] is False
        eventually(deployment.write, 60)
    assert reads.done
    assert not reads.failed
    eventually(lambda: deployment.whole(2))


def broken(deployment) -> int:
    """How many of read-app's connections to the primary ended without a goodbye: it gave them up, or they were cut."""
    ended = """SELECT SUM(TOTAL_CONNECTIONS - CURRENT_CONNECTIONS)
        FROM performance_schema.accounts WHERE USER = 'readuser'"""
    closed = """SELECT SUM(COUNT_STAR) FROM performance_schema.events_statements_summary_by_user_by_event_name
        WHERE USER = 'readuser' AND EVENT_NAME = 'statement/com/Quit'"""
    # One whose goodbye has been counted but that has not ended yet makes it one less, for a moment: the most of a few.
    return max(int(deployment.sql("mysql-0", f"SELECT ({ended}) - ({closed})")[0][0]) for _ in range(3))


def test_a_killed_replica_costs_no_connection_to_the_primary(deployment):
    """Python's ssl module would let healthy connections fail after a broken one: see read-app/tls.py."""
    wait_for_balanced_reads(deployment)
    before = restarts(deployment, "mysql-1")
    broken_before = broken(deployment)
    with Reads(deployment) as reads:
        deployment.signal_mysqld("mysql-1", "KILL")
        eventually(lambda: restarts(deployment, "mysql-1") > before)
        done = reads.done
        eventually(lambda: reads.done >= done + 20)
    eventually(lambda: deployment.whole(2), 90)
    wait_for_balanced_reads(deployment)  # all that led to the killed server have been given up, and new ones made
    assert broken(deployment) == broken_before


def test_a_killed_replica_comes_back(deployment):
    before = restarts(deployment, "mysql-1")
    deployment.signal_mysqld("mysql-1", "KILL")
    eventually(lambda: restarts(deployment, "mysql-1") > before)
    deployment.write()
    eventually(lambda: deployment.whole(2), 90)


@pytest.mark.parametrize("pod", ["mysql-1", "mysql-0"])
def test_a_deleted_pod_comes_back_with_its_data(deployment, pod):
    claim = deployment.kubectl("get", "pvc", f"data-{pod}", "-o", "jsonpath={.metadata.uid}")
    deployment.kubectl("delete", "pod", pod)
    eventually(deployment.write, 60)
    eventually(lambda: deployment.whole(2), 90)
    assert deployment.kubectl("get", "pvc", f"data-{pod}", "-o", "jsonpath={.metadata.uid}") == claim


def test_a_replica_stays_in_mysql_read_while_the_primary_is_away(deployment):
    deployment.signal_mysqld("mysql-0", "STOP")
    try:
        end = time.monotonic() + 12  # long enough for the readiness probes to notice
        while time.monotonic() < end:
            assert deployment.is_ready("mysql-1")
            assert deployment.get("/mysql-pod").status_code == 200
    finally:
        deployment.signal_mysqld("mysql-0", "CONT")
    eventually(lambda: deployment.whole(2), 60)


def test_a_replica_whose_applier_stopped_on_an_error_is_out_of_mysql_read(deployment):
    email = f"{uuid.uuid4().hex}@example.com"
    # A row that only the replica has, without a trace in its GTIDs: the next transaction cannot be applied.
    deployment.sql(
        "mysql-1",
        "SET GLOBAL super_read_only = OFF; SET sql_log_bin = OFF;"
        f"INSERT INTO userdb.users (name, email) VALUES ('x', '{email}'); SET GLOBAL super_read_only = ON",
    )
    try:
        assert deployment.post("x", email).status_code == 201
        eventually(lambda: deployment.in_mysql_read() == {"mysql-0"}, 30)
    finally:
        deployment.sql(
            "mysql-1",
            "SET GLOBAL super_read_only = OFF; SET sql_log_bin = OFF;"
            f"DELETE FROM userdb.users WHERE email = '{email}'; SET GLOBAL super_read_only = ON;"
            "START REPLICA SQL_THREAD",
        )
    eventually(lambda: deployment.whole(2), 30)
