"""Replicas: copies that never cost the last one, appliers that start again, pods below a broken one, and limits."""

import concurrent.futures
import contextlib
import threading
import time
import uuid

import pytest
import requests

from e2e.cluster import ClusterError, eventually

SLOW = 150  # seconds for a pod to come back on a busy machine


@pytest.fixture(autouse=True)
def _whole_before_and_after(deployment):
    eventually(lambda: deployment.whole(2) and deployment.write()["replicated"], SLOW)
    yield
    eventually(lambda: deployment.whole(2) and deployment.write()["replicated"], SLOW)


def lose_binary_logs(deployment) -> dict:
    """Let mysql-1 miss a transaction that mysql-0 purges afterwards; write-app's answer to that."""
    deployment.scale(1)
    missed = eventually(deployment.write, 30)
    deployment.sql("mysql-0", "FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
    assert deployment.sql("mysql-0", f"SELECT GTID_SUBSET('{missed['gtid']}', @@gtid_purged)") == [["1"]]
    return missed


def test_a_replica_that_needs_purged_binary_logs_keeps_its_data_until_the_copy_is_complete(deployment):
    missed = lose_binary_logs(deployment)
    deployment.scale(2)
    # Whenever its server answers, it has users: the old data or the copy, never neither.
    counts = set()

    def copied():
        with contextlib.suppress(ClusterError):
            [[count]] = deployment.sql("mysql-1", "SELECT COUNT(*) FROM userdb.users")
            counts.add(int(count))
            return missed["id"] in deployment.ids("mysql-1")

    eventually(copied, SLOW)
    assert 0 not in counts
    assert "copying the data of mysql-0.mysql" in deployment.log("mysql-1")


def test_flush_and_purge_under_load_copy_no_connected_replica(deployment):
    said = "no longer has the binary logs"
    before = deployment.log("mysql-1").count(said)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        deployment.write()
        deployment.sql("mysql-0", "FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW()")
    assert deployment.log("mysql-1").count(said) == before


def test_a_replica_hears_within_ten_seconds_that_its_source_is_silent(deployment):
    deployment.signal_mysqld("mysql-0", "STOP")
    try:
        start = time.monotonic()
        state = "SELECT SERVICE_STATE FROM performance_schema.replication_connection_status"
        eventually(lambda: deployment.sql("mysql-1", state) == [["CONNECTING"]], 30)
        assert time.monotonic() - start < 12
    finally:
        deployment.signal_mysqld("mysql-0", "CONT")


def test_a_volume_with_an_older_heartbeat_gets_the_new_one_and_loses_nothing(deployment):
    deployment.sql("mysql-1", "STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_HEARTBEAT_PERIOD = 30")
    deployment.signal_mysqld("mysql-1", "KILL")
    period = "SELECT HEARTBEAT_INTERVAL FROM performance_schema.replication_connection_configuration"
    eventually(lambda: deployment.sql("mysql-1", period) == [["3.000"]], SLOW)


def test_an_applier_that_waited_too_long_for_a_lock_is_started_again(deployment):
    deployment.sql(
        "mysql-1",
        "SET GLOBAL innodb_lock_wait_timeout = 1; SET GLOBAL replica_transaction_retries = 0;"
        "STOP REPLICA SQL_THREAD; START REPLICA SQL_THREAD",
    )
    with concurrent.futures.ThreadPoolExecutor() as pool:
        lock = "START TRANSACTION; SELECT COUNT(*) FROM userdb.users FOR SHARE; DO SLEEP(10)"
        held = pool.submit(deployment.sql, "mysql-1", lock, 60)
        eventually(lambda: "DO SLEEP" in str(deployment.sql("mysql-1", "SHOW PROCESSLIST")), 10)
        written = deployment.write()
        eventually(lambda: "starting the applier again" in deployment.log("mysql-1"), 60)
        held.result()
    eventually(lambda: written["id"] in deployment.ids("mysql-1"), 60)
    deployment.sql(
        "mysql-1",
        "SET GLOBAL innodb_lock_wait_timeout = DEFAULT; SET GLOBAL replica_transaction_retries = DEFAULT;"
        "STOP REPLICA SQL_THREAD; START REPLICA SQL_THREAD",
    )


def test_only_innodb_tables_with_a_primary_key_can_be_made(deployment):
    for engine in ("MyISAM", "MEMORY", "CSV", "ARCHIVE"):
        with pytest.raises(ClusterError, match="disabled"):
            deployment.sql("mysql-0", f"CREATE TABLE userdb.other (id INT NOT NULL PRIMARY KEY) ENGINE = {engine}")
    with pytest.raises(ClusterError, match="primary key"):
        deployment.sql("mysql-0", "CREATE TABLE userdb.other (id INT)")


def test_a_third_pod_leaves_when_replication_above_it_stopped(deployment):
    deployment.scale(3)
    eventually(lambda: deployment.whole(3), SLOW)
    deployment.sql("mysql-1", "STOP REPLICA")
    try:
        deployment.write()
        eventually(lambda: "mysql-2" not in deployment.in_mysql_read(), 90)
        assert "has replication stopped at mysql-1.mysql" in deployment.why_not_ready("mysql-2")
    finally:
        deployment.sql("mysql-1", "START REPLICA SQL_THREAD")
        # The password is not stored, so the pod has to start the receiver.
        deployment.signal_mysqld("mysql-1", "KILL")
    eventually(lambda: deployment.whole(3), SLOW)
    deployment.scale(2)


def test_root_and_replication_get_in_while_six_write_app_pods_serve_260_clients(deployment):
    deployment.kubectl("scale", "deployment/write-app", "--replicas=6")
    deployment.kubectl("rollout", "status", "deployment/write-app", "--timeout=120s")
    statuses = []
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            with contextlib.suppress(requests.RequestException):
                statuses.append(deployment.post("Many", f"{uuid.uuid4().hex}@example.com").status_code)

    try:
        with concurrent.futures.ThreadPoolExecutor(260) as pool:
            for _ in range(260):
                pool.submit(client)
            try:
                eventually(lambda: 201 in statuses, 60)
                for _ in range(10):
                    assert deployment.sql("mysql-0", "SELECT 1", timeout=60) == [["1"]]
            finally:
                stop.set()
        assert set(statuses) <= {201, 503}
        assert deployment.in_mysql_read() == {"mysql-0", "mysql-1"}
    finally:
        deployment.kubectl("scale", "deployment/write-app", "--replicas=2")
        deployment.kubectl("rollout", "status", "deployment/write-app", "--timeout=120s")


def test_the_shares_of_the_accounts_leave_connections_for_root_and_the_probes(deployment):
    limits = dict(deployment.sql("mysql-0", "SELECT user, max_user_connections FROM mysql.user WHERE host = '%'"))
    [[most]] = deployment.sql("mysql-0", "SELECT @@max_connections")
    assert set(limits) == {"appuser", "readuser", "replicator", "backup"}
    assert 0 not in map(int, limits.values())
    assert sum(map(int, limits.values())) < int(most)


def test_a_transaction_of_a_million_rows_is_refused_and_writes_go_on(deployment):
    statement = f"""SET SESSION cte_max_recursion_depth = 2000000;
        INSERT INTO userdb.users (name, email)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
        SELECT RPAD('n', 100, 'x'), CONCAT(i, '-{uuid.uuid4().hex}@example.com') FROM n"""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        bulk = pool.submit(deployment.sql, "mysql-0", statement, 300)
        while not bulk.done():
            assert deployment.write()["replicated"]
    with pytest.raises(ClusterError, match="max_binlog_cache_size"):
        bulk.result()
