"""When mysql-0 opens for writes: only when every pod that may hold newer data has answered.

The sentences are taken from the readiness probe or from the log, where a person would look.
"""

import contextlib
import itertools
import json
import time

import pytest

from e2e.cluster import ClusterError, Deployment, eventually, kubectl

SLOW = 150  # seconds for a pod to come back on a busy machine
ROW = "INSERT INTO userdb.users (id, name, email) VALUES ({1}, '{0}', '{0}@example.com')"
_ids = itertools.count(
    1_000_000, 1_000_000
)  # far from those that mysql-0 hands out, so that rows of two pods do not collide


@pytest.fixture(autouse=True)
def _whole_before_and_after(deployment):
    eventually(lambda: is_whole(deployment), SLOW)
    yield
    eventually(lambda: is_whole(deployment), SLOW)


def is_whole(deployment) -> bool:
    """Are both pods in mysql-read, with the same transactions, and is a write replicated?"""
    return (
        deployment.in_mysql_read() == {"mysql-0", "mysql-1"}
        and deployment.write()["replicated"]
        and deployment.gtids("mysql-0") == deployment.gtids("mysql-1")
    )


def row(name: str) -> str:
    """The statement that adds a row."""
    return ROW.format(name, next(_ids))


def has_row(deployment, pod: str, name: str) -> bool:
    """Has a pod the row of this name?"""
    return deployment.sql(pod, f"SELECT COUNT(*) FROM userdb.users WHERE name = '{name}'") == [["1"]]


def write_on(deployment, pod: str, name: str) -> None:
    """Write a row on a pod whatever its role is, and leave it read-only as it was."""
    [[before]] = deployment.sql(pod, "SELECT @@super_read_only")
    deployment.sql(pod, f"SET GLOBAL super_read_only = OFF; {row(name)}; SET GLOBAL super_read_only = {before}")


def new_pod(deployment, pod: str, *also: str) -> None:
    """Delete a pod (and what `also` names), and wait until the new one's server answers."""
    before = deployment.pods()[pod]["metadata"]["uid"]
    deployment.kubectl("delete", f"pod/{pod}", *also, "--wait=false", "--now")
    eventually(lambda: deployment.pods().get(pod, {"metadata": {"uid": before}})["metadata"]["uid"] != before, SLOW)
    eventually(lambda: deployment.sql(pod, "SELECT 1"), SLOW)


def stays_closed(deployment, seconds: float) -> None:
    """Look at mysql-0 for some seconds: it must not open. A server that does not answer is closed as well."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(ClusterError):
            assert deployment.sql("mysql-0", "SELECT @@read_only") == [["1"]]
        time.sleep(0.3)


@contextlib.contextmanager
def frozen(deployment, pod: str):
    """The server of a pod answers nothing in this block."""
    deployment.signal_mysqld(pod, "STOP")
    try:
        yield
    finally:
        deployment.signal_mysqld(pod, "CONT")


def touch(deployment, pod: str, word: str) -> None:
    """Say a person's word (open, give-up) to a pod."""
    deployment.kubectl("exec", pod, "-c", "mysql", "--", "touch", f"/var/run/mysqld/{word}")


def is_diverged(deployment) -> bool:
    """Does mysql-0 say that each of it and mysql-1 has something that the other lacks?"""
    return "each have transactions that the other lacks" in deployment.log("mysql-0")


def diverge(deployment, mine: str, theirs: str) -> None:
    """Give mysql-0 the row `mine` and mysql-1 the row `theirs`, and let mysql-0 find out."""
    deployment.sql("mysql-1", "STOP REPLICA IO_THREAD")
    deployment.sql("mysql-0", row(mine), timeout=60)
    write_on(deployment, "mysql-1", theirs)
    new_pod(deployment, "mysql-0")
    eventually(lambda: is_diverged(deployment), 60)


def test_mysql_0_lacks_what_a_silent_pod_has_and_stays_closed_until_it_answers(deployment):
    with frozen(deployment, "mysql-1"):
        new_pod(deployment, "mysql-0")
        stays_closed(deployment, 60)
        assert "kubectl exec mysql-0 -- touch /var/run/mysqld/open" in deployment.log("mysql-0")
        eventually(lambda: deployment.is_ready("mysql-0"), 60)  # it serves reads meanwhile
        assert deployment.post("x", "closed@example.com").status_code == 503


def test_one_command_opens_mysql_0_without_an_answer(deployment):
    with frozen(deployment, "mysql-1"):
        new_pod(deployment, "mysql-0")
        stays_closed(deployment, 5)
        touch(deployment, "mysql-0", "open")
        eventually(deployment.write, 90)
        # It holds for this once: the next server of the same pod asks again.
        deployment.signal_mysqld("mysql-0", "KILL")
        eventually(lambda: deployment.sql("mysql-0", "SELECT 1"), 60)
        stays_closed(deployment, 10)


def test_a_row_that_only_the_replica_has_is_found_told_and_taken_over_at_the_next_start(deployment):
    write_on(deployment, "mysql-1", "stray")
    said = eventually(lambda: "stray" in (text := deployment.why_not_ready("mysql-1")) and text, 60)
    assert "INSERT INTO userdb.users" in said
    assert "delete" not in said
    eventually(lambda: deployment.in_mysql_read() == {"mysql-0"}, 60)
    # It goes on following, so that it still has everything.
    assert deployment.write()["replicated"]
    assert not has_row(deployment, "mysql-0", "stray")
    new_pod(deployment, "mysql-0")
    eventually(lambda: has_row(deployment, "mysql-0", "stray"), SLOW)
    assert "copying mysql-1.mysql, which has transactions that this pod lacks" in deployment.log("mysql-0")


def test_a_stray_row_that_collides_with_one_of_the_primary_waits_for_a_person(deployment):
    taken = deployment.write()["id"] + 1
    deployment.catch_up("mysql-1")
    statement = f"INSERT INTO userdb.users (id, name, email) VALUES ({taken}, 'collides', 'collides@example.com')"
    deployment.sql("mysql-1", f"SET GLOBAL super_read_only = OFF; {statement}; SET GLOBAL super_read_only = ON")
    mine = deployment.write()
    assert mine["id"] == taken
    assert mine["replicated"]  # mysql-1 has it in its relay log, and cannot apply it
    new_pod(deployment, "mysql-0")
    eventually(lambda: is_diverged(deployment), 60)
    stays_closed(deployment, 5)
    touch(deployment, "mysql-1", "give-up")
    eventually(lambda: is_whole(deployment), SLOW)
    assert taken in deployment.ids("mysql-1")
    assert not has_row(deployment, "mysql-1", "collides")


@pytest.mark.parametrize("way", ["killed", "frozen"])
def test_two_pods_that_diverged_wait_for_a_person_even_if_one_of_them_blinks(deployment, way):
    diverge(deployment, f"mine-{way}", f"theirs-{way}")
    log = deployment.log("mysql-0")
    assert f"'theirs-{way}@example.com'" in log
    assert f"'mine-{way}@example.com'" in log
    if way == "killed":
        deployment.signal_mysqld("mysql-1", "KILL")
        stays_closed(deployment, 20)
    else:
        with frozen(deployment, "mysql-1"):
            stays_closed(deployment, 40)
    # Equal numbers: the replica serves reads. With one more, mysql-0 has less, too.
    eventually(lambda: deployment.in_mysql_read() == {"mysql-1"}, 60)
    assert not has_row(deployment, "mysql-0", f"theirs-{way}")
    # The decision, as docs/operations.md shows it: give up what only one of them has.
    loser, winner = ("mysql-1", "mysql-0") if way == "killed" else ("mysql-0", "mysql-1")
    touch(deployment, loser, "give-up")
    if loser == "mysql-0":  # mysql-1 leaves a receiver alone that a person stopped, until it is restarted
        eventually(lambda: has_row(deployment, "mysql-0", f"theirs-{way}"), SLOW)
        deployment.signal_mysqld("mysql-1", "KILL")
    eventually(lambda: is_whole(deployment), SLOW)
    kept, given_up = ("mine", "theirs") if winner == "mysql-0" else ("theirs", "mine")
    for pod in ("mysql-0", "mysql-1"):
        assert has_row(deployment, pod, f"{kept}-{way}")
        assert not has_row(deployment, pod, f"{given_up}-{way}")


def test_statements_that_change_no_row_leave_the_replica_in_service_and_let_mysql_0_open(deployment):
    deployment.sql("mysql-1", "FLUSH STATUS; FLUSH TABLES; FLUSH PRIVILEGES")
    deployment.sql(  # super_read_only refuses these two
        "mysql-1",
        "SET GLOBAL super_read_only = OFF; ANALYZE TABLE userdb.users; OPTIMIZE TABLE userdb.users;"
        "SET GLOBAL super_read_only = ON",
    )
    for command in ("flush-status", "flush-tables"):
        deployment.kubectl("exec", "mysql-1", "-c", "mysql", "--", "mysqladmin", "-u", "root", command)
    own = deployment.sql("mysql-1", f"SELECT GTID_SUBTRACT(@@gtid_executed, '{deployment.gtids('mysql-0')}')")
    assert own != [[""]], "these statements are no longer in the binary log, so nothing was tried"
    end = time.monotonic() + 25  # the look takes up to 8 s, and 2 failed probes 4 s
    while time.monotonic() < end:
        assert deployment.in_mysql_read() == {"mysql-0", "mysql-1"}
        time.sleep(0.5)
    deployment.kubectl("delete", "pod", "mysql-0")
    eventually(lambda: deployment.write()["replicated"], 60)
    assert deployment.sql("mysql-0", f"SELECT GTID_SUBSET('{own[0][0]}', @@gtid_executed)") == [["1"]]


def test_mysql_0_killed_under_load_after_a_flush_on_the_replica_opens_again(deployment):
    deployment.sql("mysql-1", "FLUSH STATUS")
    deployment.signal_mysqld("mysql-0", "KILL")
    eventually(lambda: deployment.write()["replicated"], 60)


def test_a_flush_on_mysql_0_is_no_divergence_when_mysql_1_has_more(deployment):
    deployment.sql("mysql-1", "STOP REPLICA IO_THREAD")
    deployment.sql("mysql-0", "FLUSH STATUS")
    write_on(deployment, "mysql-1", "beside-a-flush")
    new_pod(deployment, "mysql-0")
    eventually(lambda: has_row(deployment, "mysql-0", "beside-a-flush"), SLOW)
    assert not is_diverged(deployment)
    deployment.signal_mysqld("mysql-1", "KILL")  # it leaves a receiver alone that a person stopped


def test_mysql_1_is_not_given_up_when_only_it_has_the_data(deployment):
    before = deployment.ids("mysql-1")
    with frozen(deployment, "mysql-1"):
        new_pod(deployment, "mysql-0", "pvc/data-mysql-0")  # waits, empty
        touch(deployment, "mysql-1", "give-up")
    eventually(lambda: is_whole(deployment), SLOW)
    assert before <= deployment.ids("mysql-0") & deployment.ids("mysql-1")


def test_mysql_0_gives_up_nothing_before_mysql_1_has_answered(deployment):
    before = deployment.ids("mysql-0")
    with frozen(deployment, "mysql-1"):
        new_pod(deployment, "mysql-0")
        touch(deployment, "mysql-0", "give-up")
        stays_closed(deployment, 15)
        assert deployment.ids("mysql-0") == before
    eventually(lambda: is_whole(deployment), SLOW)
    assert "copying" not in deployment.log("mysql-0")
    assert before <= deployment.ids("mysql-0")


def swap_volumes(deployment, *claims: str) -> None:
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


def test_an_older_volume_under_mysql_0_catches_up_by_itself(deployment):
    deployment.sql("mysql-1", "STOP REPLICA IO_THREAD")
    answer = eventually(deployment.write, 30)
    assert not answer["replicated"]
    deployment.scale(0)
    swap_volumes(deployment, "data-mysql-0", "data-mysql-1")
    deployment.scale(2)
    eventually(lambda: is_whole(deployment), SLOW)
    assert answer["id"] in deployment.ids("mysql-0")
    assert "copying mysql-1.mysql, which has transactions that this pod lacks" in deployment.log("mysql-0")


def test_the_primarys_volume_lost_while_no_pod_exists_comes_back_from_the_replica(deployment):
    before = deployment.ids("mysql-0")
    deployment.scale(0)
    deployment.kubectl("delete", "pvc/data-mysql-0", "--timeout=60s")
    deployment.scale(2)
    eventually(lambda: is_whole(deployment), SLOW)
    assert before <= deployment.ids("mysql-0")


def separate_nodes(deployment) -> str:
    """Let mysql-1 run on another node than mysql-0, and return the name of its node. Skips where there is only one."""
    if len(json.loads(kubectl("get", "nodes", "-o", "json"))["items"]) == 1:
        pytest.skip("needs two nodes: mysql-1 must have no node to go to while mysql-0 has one")
    nodes = [deployment.pods()[pod]["spec"]["nodeName"] for pod in ("mysql-0", "mysql-1")]
    if nodes[0] == nodes[1]:
        kubectl("cordon", nodes[0])
        try:
            new_pod(deployment, "mysql-1", "pvc/data-mysql-1")
            eventually(lambda: is_whole(deployment), SLOW)
        finally:
            kubectl("uncordon", nodes[0])
    return deployment.pods()["mysql-1"]["spec"]["nodeName"]


def test_the_primarys_volume_lost_while_the_replica_is_pending_waits_for_it(deployment):
    before, node = deployment.ids("mysql-0"), separate_nodes(deployment)
    kubectl("cordon", node)
    try:
        deployment.kubectl("delete", "pod", "mysql-1", "--now")
        eventually(lambda: deployment.pods()["mysql-1"]["status"]["phase"] == "Pending", 60)
        new_pod(deployment, "mysql-0", "pvc/data-mysql-0")
        stays_closed(deployment, 20)
        assert deployment.post("x", "empty@example.com").status_code == 503
        assert "waiting for mysql-1" in deployment.log("mysql-0")
    finally:
        kubectl("uncordon", node)
    eventually(lambda: is_whole(deployment), SLOW)
    assert before <= deployment.ids("mysql-0")


def test_what_a_replica_has_only_received_survives_the_primarys_volume(deployment):
    deployment.sql("mysql-1", "STOP REPLICA SQL_THREAD")
    try:
        answers = [deployment.write() for _ in range(5)]
        assert [answer["replicated"] for answer in answers] == [True] * 5
        assert not {answer["id"] for answer in answers} & deployment.ids("mysql-1")
        new_pod(deployment, "mysql-0", "pvc/data-mysql-0")
        stays_closed(deployment, 15)
    finally:
        deployment.sql("mysql-1", "START REPLICA SQL_THREAD")
    eventually(lambda: is_whole(deployment), SLOW)
    assert {answer["id"] for answer in answers} <= deployment.ids("mysql-0") & deployment.ids("mysql-1")


def test_both_volumes_lost_with_a_third_pod_comes_back_from_that(deployment):
    deployment.scale(3)
    eventually(lambda: deployment.whole(3), SLOW)
    before = deployment.ids("mysql-2")
    deployment.kubectl(
        "delete", "pvc/data-mysql-0", "pvc/data-mysql-1", "pod/mysql-0", "pod/mysql-1", "--wait=false", "--now"
    )
    eventually(lambda: deployment.in_mysql_read() == {"mysql-2"}, 60)
    eventually(lambda: deployment.whole(3) and deployment.write()["replicated"], SLOW)
    assert before <= deployment.ids("mysql-0")
    deployment.scale(2)


def test_a_replica_that_restarts_while_the_primary_is_frozen_serves_reads(deployment):
    known = deployment.write()["id"]
    with frozen(deployment, "mysql-0"):
        deployment.signal_mysqld("mysql-1", "KILL")
        eventually(lambda: deployment.in_mysql_read() == {"mysql-1"}, SLOW)
        answer = eventually(lambda: (now := deployment.get("/users?limit=200")).status_code == 200 and now.json(), 30)
        assert answer["mysql_pod"] == "mysql-1"
        assert known in {user["id"] for user in answer["users"]}


def test_a_single_pod_opens_when_it_is_told_that_it_is_single():
    made = Deployment("single")
    try:
        text = made.manifest("mysql-statefulset.yaml").replace("replicas: 2", "replicas: 1")
        text = text.replace('SINGLE_POD, value: "no"', 'SINGLE_POD, value: "yes"')
        made.kubectl("apply", "-f", "-", stdin=text)
        eventually(lambda: made.sql("mysql-0", "SELECT @@read_only") == [["0"]], SLOW)
    finally:
        made.remove()


def test_a_wildcard_record_under_a_search_domain_makes_no_pod_exist():
    """Only that a further search domain delays nothing; tests/integration/test_demo_names.py has the record itself."""
    made = Deployment("wild")
    try:
        text = made.manifest("mysql-statefulset.yaml").replace(
            "      dnsConfig:\n", "      dnsConfig:\n        searches: [wild.example]\n", 1
        )
        made.kubectl("apply", "-f", "-", stdin=text)
        eventually(lambda: made.sql("mysql-0", "SELECT @@read_only") == [["0"]], SLOW)
    finally:
        made.remove()
