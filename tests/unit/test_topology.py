"""read-app: the state of a pod in words, and what viewers get while a pod is silent."""

import threading
import time

import pytest

PRIMARY = {"role": "primary", "ready": True, "read_only": False, "semi_sync": True}
REPLICA = {
    "role": "replica", "ready": True, "read_only": True, "source": "mysql-0", "receiver": True, "applier": True,
    "lag_seconds": 0, "lag_transactions": 0, "semi_sync": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("known", "state", "line", "more"),
    [
        ({"listed": False}, "bad", "is gone", "The StatefulSet recreates it."),
        ({}, "bad", "does not answer", "Starting, or in trouble: see below."),
        (PRIMARY | {"read_only": True}, "warn", "is not open for writes yet", ""),
        (PRIMARY, "good", "takes every write", "and waits for a replica to confirm it"),
        (PRIMARY | {"semi_sync": False}, "good", "takes every write", "No replica confirms writes now."),
        (REPLICA | {"extra_transactions": "u:1"}, "bad", "has diverged from mysql-0",
         "A person must decide: see below."),
        (REPLICA | {"applier": False}, "bad", "is not copying", "Why: see below."),
        (REPLICA | {"ready": False}, "bad", "is not copying", "Why: see below."),
        (REPLICA | {"receiver": False}, "warn", "waits for mysql-0", "and serves what it has"),
        (REPLICA | {"lag_seconds": 4, "lag_transactions": 7}, "warn", "4 s behind mysql-0",
         "7 transactions to apply"),
        (REPLICA | {"lag_seconds": 4}, "warn", "4 s behind mysql-0", ""),
        (REPLICA | {"lag_seconds": None, "lag_transactions": 6}, "warn", "0 s behind mysql-0",
         "6 transactions to apply"),
        (REPLICA | {"lag_transactions": 5}, "good", "up to date with mysql-0", "confirms what it has received"),
        (REPLICA | {"semi_sync": False}, "good", "up to date with mysql-0", ""),
    ],
)  # fmt: skip
def test_what_is_said_of_a_pod(read_app, known, state, line, more):
    assert read_app.topology.Pod("mysql-1", **known).in_words() == (state, line, more)


@pytest.mark.parametrize(
    ("known", "how"),
    [(REPLICA, "copied, and confirmed (semi-sync)"), (REPLICA | {"semi_sync": False}, "copied (asynchronous)"),
     (REPLICA | {"applier": False}, ""), (REPLICA | {"receiver": False}, ""),
     (REPLICA | {"extra_transactions": "u:1"}, ""), ({}, "")],
)  # fmt: skip
def test_how_data_comes_to_a_replica(read_app, known, how):
    assert read_app.topology.Pod("mysql-1", **known).copying == how


def status(**other):
    return {
        "Source_Host": "mysql-0.mysql", "Replica_IO_Running": "Yes", "Replica_SQL_Running": "Yes",
        "Seconds_Behind_Source": 0, "Last_SQL_Errno": 0, "Last_IO_Errno": 0,
    } | other  # fmt: skip


@pytest.mark.parametrize(
    ("said", "ready", "sentence"),
    [
        ({}, True, None),
        ({"Last_SQL_Errno": 1062}, False, "Replication stopped with MySQL error 1062:"),
        ({"Replica_IO_Running": "No", "Last_IO_Errno": 13114}, False, "Replication stopped with MySQL error 13114:"),
        ({"Replica_IO_Running": "Connecting", "Last_IO_Errno": 2003}, True, "mysql-1 cannot reach mysql-0"),
        ({"Replica_SQL_Running": "No"}, True, "Replication was stopped."),
    ],
)
def test_what_show_replica_status_means(read_app, said, ready, sentence):
    pod = read_app.topology.Pod("mysql-1")
    read_app.topology.describe(pod, {}, status(**said))
    assert (pod.source, pod.ready) == ("mysql-0", ready)
    assert (pod.error or "").startswith(sentence or "")
    assert bool(pod.error) == bool(sentence)


class Source:
    """A server that answers what a replica has and it lacks, and the reverse."""

    def __init__(self, extra, missing):
        self.answer = extra, missing

    def row(self, sql, values):
        return self.answer if "GTID_SUBTRACT" in sql else (0,)


def test_a_diverged_replica_is_told_apart_and_nobody_is_told_to_delete_it(read_app, monkeypatch):
    monkeypatch.setattr(read_app.topology, "connections", {"mysql-0": Source("u:7", "u:8-9")})
    pod = read_app.topology.Pod("mysql-1", **REPLICA)
    read_app.topology.compare(pod)
    assert (pod.ready, pod.extra_transactions, pod.lag_transactions) == (False, "u:7", 2)
    assert "docs/operations.md#divergence" in pod.error
    assert "delete" not in pod.error
    assert "commands" not in pod.entry()


def test_a_replica_of_a_replica_has_its_lag_behind_the_primary_too(read_app, monkeypatch):
    monkeypatch.setattr(
        read_app.topology, "connections", {"mysql-0": Source("", "u:1-30"), "mysql-1": Source("", "u:29-30")}
    )
    pod = read_app.topology.Pod("mysql-2", **REPLICA | {"source": "mysql-1"})
    read_app.topology.compare(pod)
    assert (pod.lag_transactions, pod.lag_primary_transactions) == (2, 30)


def test_without_the_primary_the_lag_behind_it_is_not_known(read_app, monkeypatch):
    monkeypatch.setattr(read_app.topology, "connections", {"mysql-1": Source("", "u:29-30")})
    pod = read_app.topology.Pod("mysql-2", **REPLICA | {"source": "mysql-1"})
    read_app.topology.compare(pod)
    assert (pod.lag_transactions, pod.lag_primary_transactions) == (2, None)


@pytest.mark.parametrize(
    ("gtids", "count"),
    [("", 0), ("u:1", 1), ("u:1-3", 3), ("u:1-3:5", 4), ("u:1,v:2-3", 3), ("u:tag:1-2", 2), ("u:1:tag:2-4:9", 5)],
)
def test_count_transactions(read_app, gtids, count):
    assert read_app.topology.count(gtids) == count


def test_pods_that_are_gone_are_drawn(read_app):
    pods = [read_app.topology.Pod("mysql-0"), read_app.topology.Pod("mysql-2")]
    drawn = read_app.topology.State(pods).drawn(4)["pods"]
    assert [(pod.name, pod.listed) for pod in drawn] == [
        ("mysql-0", True), ("mysql-1", False), ("mysql-2", True), ("mysql-3", False),
    ]  # fmt: skip


@pytest.fixture
def watch(read_app, monkeypatch):
    """A watch whose looks are counted in .looks, and wait while .silent is set."""
    topology = read_app.topology
    watch = topology.Watch()
    watch.looks, watch.answers = 0, threading.Event()
    watch.answers.set()

    def look():
        watch.looks += 1
        state = topology.State(error=f"look {watch.looks}")
        watch.answers.wait(10)
        return state

    monkeypatch.setattr(topology, "look", look)
    monkeypatch.setattr(topology, "EVERY", 0.1)
    monkeypatch.setattr(topology, "WATCH_FOR", 0.3)
    yield watch
    watch.answers.set()
    watch.viewed = 0.0


def wait_until(condition):
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_first_viewer_gets_the_first_look(watch):
    assert watch.look().error == "look 1"


def test_many_viewers_cost_no_more_than_one(watch):
    began = time.monotonic()
    while time.monotonic() - began < 0.35:
        watch.look()
    assert 2 <= watch.looks <= 5


def test_no_viewer_no_look(watch):
    watch.look()
    wait_until(lambda: not watch.running)
    looks = watch.looks
    assert looks <= 5
    assert not watch.running
    assert watch.look().error == f"look {looks + 1}"


def test_a_silent_pod_keeps_no_viewer_waiting_who_is_told_the_age(watch, read_app):
    watch.look()
    watch.answers.clear()
    wait_until(lambda: watch.looks == 2)
    began = time.monotonic()
    for _ in range(100):
        state = watch.look()
    assert time.monotonic() - began < 0.1
    assert state.error == "look 1"
    wait_until(lambda: state.age() >= 0.2)
    watch.answers.set()
    wait_until(lambda: watch.look().error == "look 3")


def test_the_first_viewer_waits_for_a_silent_pod_a_fraction_of_a_second(watch):
    watch.answers.clear()
    began = time.monotonic()
    assert watch.look().error == "Nothing is known of the MySQL pods yet."
    assert time.monotonic() - began < 0.4


def test_an_old_state_says_its_age(read_app, monkeypatch):
    state = read_app.topology.State(error=None, taken=time.monotonic() - 42)
    monkeypatch.setattr(read_app.topology.watch, "look", lambda: state)
    assert "This is what was known 42 s ago." in read_app.client.get("/live").text
    assert read_app.client.get("/topology").json["age_seconds"] == pytest.approx(42, abs=1)
    state.taken = time.monotonic()
    assert "what was known" not in read_app.client.get("/live").text
