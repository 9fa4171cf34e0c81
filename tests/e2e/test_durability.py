"""What must not be lost, and what must not be hidden, in the cases that the chaos test does not have.

The sentences under test are shown by the readiness probe, so they are taken from it: a log may be gone by then.
"""

import contextlib
import json

import pytest

from e2e.cluster import eventually, kubectl

SLOW = 240  # seconds for a pod to come back on a busy machine


@pytest.fixture(autouse=True)
def _whole_before_and_after(deployment):
    eventually(lambda: is_whole(deployment), SLOW)
    yield
    eventually(lambda: is_whole(deployment), SLOW)


def is_whole(deployment):
    """Are both pods in mysql-read, with the same transactions, and is a write replicated?"""
    return (
        deployment.in_mysql_read() == {"mysql-0", "mysql-1"}
        and deployment.gtids("mysql-0") == deployment.gtids("mysql-1")
        and deployment.write()["replicated"]
    )


def ids(deployment, pod):
    return {int(number) for [number] in deployment.sql(pod, "SELECT id FROM userdb.users")}


def why_not_ready(deployment, pod):
    """What the readiness probe says; empty when the pod is ready."""
    command = "bash /scripts/ready.sh || true"
    return deployment.kubectl("exec", pod, "-c", "mysql", "--", "bash", "-c", command).strip()


def entry(deployment, pod):
    """The entry of a pod in /topology."""
    [found] = [each for each in deployment.get("/topology").json()["pods"] if each["name"] == pod]
    return found


def scale(deployment, replicas):
    deployment.kubectl("scale", "statefulset/mysql", f"--replicas={replicas}")
    eventually(lambda: len(deployment.pods()) == replicas, SLOW)


def expect_divergence(deployment, gtid):
    """mysql-1 has the transaction `gtid`, which mysql-0 lacks: it stays out, and says so everywhere."""
    source = gtid.rpartition(":")[0]

    def says_so():
        said = why_not_ready(deployment, "mysql-1")
        return said if source in said and "kubectl delete pvc/data-mysql-1 pod/mysql-1" in said else None

    said = eventually(says_so, SLOW)
    assert "kubectl delete pvc/data-mysql-0 pod/mysql-0" in said
    eventually(lambda: deployment.in_mysql_read() == {"mysql-0"}, SLOW)
    shown = eventually(lambda: (now := entry(deployment, "mysql-1"))["extra_transactions"] and now, 30)
    assert source in shown["extra_transactions"]
    assert shown["commands"] == {
        "source": "kubectl delete pvc/data-mysql-1 pod/mysql-1",
        "this": "kubectl delete pvc/data-mysql-0 pod/mysql-0",
    }
    # Neither its data nor its transactions were touched meanwhile.
    assert deployment.sql("mysql-1", f"SELECT GTID_SUBSET('{gtid}', @@gtid_executed)") == [["1"]]


def test_a_transaction_of_its_own_keeps_a_replica_out_until_somebody_decides(deployment):
    deployment.sql(
        "mysql-1",
        "SET GLOBAL super_read_only = OFF;"
        "INSERT INTO userdb.users (name, email) VALUES ('Errant', 'errant@example.com');"
        "SET GLOBAL super_read_only = ON",
    )
    own = deployment.sql("mysql-1", "SELECT GTID_SUBTRACT(@@gtid_executed, '" + deployment.gtids("mysql-0") + "')")
    expect_divergence(deployment, own[0][0])
    deployment.kubectl("delete", "pvc/data-mysql-1", "pod/mysql-1", "--wait=false")
    eventually(lambda: is_whole(deployment), SLOW)
    assert deployment.sql("mysql-1", "SELECT * FROM userdb.users WHERE email = 'errant@example.com'") == []


def test_both_pods_gone_and_the_primarys_volume_lost(deployment):
    before, gtid = ids(deployment, "mysql-0"), deployment.write()["gtid"]
    scale(deployment, 0)
    deployment.kubectl("delete", "pvc/data-mysql-0", "--timeout=60s")
    # Nobody is there to be asked, so mysql-0 makes an empty database, and mysql-1 has what it lacks.
    scale(deployment, 2)
    expect_divergence(deployment, gtid)
    # The decision: the data of mysql-1.
    deployment.kubectl("delete", "pvc/data-mysql-0", "pod/mysql-0", "--wait=false")
    eventually(lambda: is_whole(deployment) and before < ids(deployment, "mysql-0"), SLOW)
    assert before < ids(deployment, "mysql-1")


def test_volumes_swapped(deployment):
    # A write that only mysql-0 has, which is on the volume of mysql-1 after that.
    deployment.sql("mysql-1", "STOP REPLICA IO_THREAD")
    answer = eventually(deployment.write, 30)
    assert not answer["replicated"]
    scale(deployment, 0)
    swap_volumes(deployment, "data-mysql-0", "data-mysql-1")
    scale(deployment, 2)
    expect_divergence(deployment, answer["gtid"])
    deployment.kubectl("delete", "pvc/data-mysql-0", "pod/mysql-0", "--wait=false")
    eventually(lambda: is_whole(deployment) and answer["id"] in ids(deployment, "mysql-0"), SLOW)


def swap_volumes(deployment, *claims):
    """Give the volume of each of two claims to the other. No pod may use them."""
    found = {claim: json.loads(deployment.kubectl("get", "pvc", claim, "-o", "json")) for claim in claims}
    volumes = {claim: found[claim]["spec"]["volumeName"] for claim in claims}
    for volume in volumes.values():
        kubectl("patch", "pv", volume, "-p", '{"spec": {"persistentVolumeReclaimPolicy": "Retain"}}')
    deployment.kubectl("delete", "pvc", *claims, "--timeout=60s")
    for volume in volumes.values():
        kubectl("patch", "pv", volume, "-p", '{"spec": {"claimRef": null}}')
    for claim, other in zip(claims, reversed(claims), strict=True):
        labels = found[claim]["metadata"]["labels"]
        spec = {key: found[claim]["spec"][key] for key in ("accessModes", "resources", "storageClassName")}
        spec["volumeName"] = volumes[other]
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim, "labels": labels}}
        deployment.kubectl("apply", "-f", "-", stdin=json.dumps(claim | {"spec": spec}))
    for claim in claims:
        deployment.kubectl("wait", f"pvc/{claim}", "--for=jsonpath={.status.phase}=Bound", "--timeout=60s")
    for volume in volumes.values():
        kubectl("patch", "pv", volume, "-p", '{"spec": {"persistentVolumeReclaimPolicy": "Delete"}}')


def test_a_replica_that_needs_purged_binary_logs_copies_the_data_anew(deployment):
    scale(deployment, 1)
    missed = eventually(deployment.write, 30)
    deployment.sql("mysql-0", "FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
    assert deployment.sql("mysql-0", f"SELECT GTID_SUBSET('{missed['gtid']}', @@gtid_purged)") == [["1"]]
    scale(deployment, 2)
    eventually(lambda: is_whole(deployment), SLOW)
    assert missed["id"] in ids(deployment, "mysql-1")


def test_what_a_replica_has_only_received_survives_the_primarys_volume(deployment):
    deployment.sql("mysql-1", "STOP REPLICA SQL_THREAD")
    try:
        answers = [deployment.write() for _ in range(5)]
        assert [answer["replicated"] for answer in answers] == [True] * 5
        assert not {answer["id"] for answer in answers} & ids(deployment, "mysql-1")
        deployment.kubectl("delete", "pvc/data-mysql-0", "pod/mysql-0", "--wait=false", "--now")

        def waits():
            log = deployment.kubectl("logs", "mysql-0", "-c", "prepare")
            return "mysql-1.mysql has not applied yet all that it received" in log

        # Where logs cannot be read it is enough that the primary does not start with less than there is.
        with contextlib.suppress(AssertionError):
            eventually(waits, 60)
        assert not deployment.is_ready("mysql-0")
    finally:
        deployment.sql("mysql-1", "START REPLICA SQL_THREAD")
    eventually(lambda: is_whole(deployment), SLOW)
    assert {answer["id"] for answer in answers} <= ids(deployment, "mysql-0") & ids(deployment, "mysql-1")


def test_a_replica_that_restarts_while_the_primary_is_frozen_serves_reads(deployment):
    known = deployment.write()["id"]
    deployment.signal_mysqld("mysql-0", "STOP")
    try:
        deployment.signal_mysqld("mysql-1", "KILL")
        eventually(lambda: deployment.in_mysql_read() == {"mysql-1"}, SLOW)
        answer = eventually(lambda: (now := deployment.get("/users?limit=200")).status_code == 200 and now.json(), 30)
        assert answer["mysql_pod"] == "mysql-1"
        assert known in {user["id"] for user in answer["users"]}
    finally:
        deployment.signal_mysqld("mysql-0", "CONT")
