"""The lesson failover: whatever happens to the primary, another takes over, and no acknowledged write is lost.

Clients write all the time, each ten rows a second, and keep their ledgers. The fault of a node needs CHAOS_NODES,
CHAOS_CUT and CHAOS_HEAL: see tests/chaos/__main__.py. It ends with a table of the longest times without a write.
"""

import itertools
import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from chaos.cluster import node_command
from docs.pages import ROOT
from e2e.cluster import ClusterError, eventually, kubectl
from e2e.test_01_lessons import run_lesson

LESSON = ROOT / "kubernetes" / "lessons" / "failover"
CLIENTS = ["client", "client-1", "client-2", "client-3"]
ROUNDS = 3  # of each fault
ENOUGH = 10_000  # acknowledged writes in all
NODES = os.environ.get("CHAOS_NODES", "").split()
MEMBERS = "SELECT MEMBER_HOST, MEMBER_STATE, MEMBER_ROLE FROM performance_schema.replication_group_members"

pytestmark = pytest.mark.timeout(1200)


class Group:
    """The lesson's group in its own namespace, with CLIENTS. `change` is applied to the text of its manifest."""

    def __init__(self, change=lambda text: text):
        self.namespace = f"failover-{uuid.uuid4().hex[:6]}"
        texts = {file.name: file.read_text() for file in LESSON.glob("*.yaml")}
        self.apply(texts["00-namespace.yaml"])
        self.apply(change(texts["mysql-gr.yaml"]))
        script, pod = yaml.safe_load_all(texts["client.yaml"])
        if NODES:  # not on a node that may fail
            term = {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": NODES}
            required = {"nodeSelectorTerms": [{"matchExpressions": [term]}]}
            pod["spec"]["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
        pods = [pod | {"metadata": pod["metadata"] | {"name": name}} for name in CLIENTS]
        self.apply(yaml.safe_dump_all([script, *pods]))

    def apply(self, text):
        kubectl("apply", "-f", "-", stdin=text.replace("lesson-failover", self.namespace))

    def kubectl(self, *arguments, **more):
        return kubectl("-n", self.namespace, *arguments, **more)

    def sql(self, pod, statement, timeout=20):
        out = self.kubectl("exec", "-i", pod, "--", "mysql", "-u", "root", "-N", stdin=statement, timeout=timeout)
        return [line.split("\t") for line in out.splitlines()]

    def signal(self, signal, *pods):
        """Send a signal to the servers of some pods."""
        for pod in pods:
            self.kubectl("exec", pod, "--", "bash", "-c", f"kill -{signal} $(</var/run/mysqld/mysqld.pid)")

    def ready(self):
        """The names of the group's pods that are ready and not about to go, and their nodes."""
        items = json.loads(self.kubectl("get", "pods", "-l", "app=mysql-gr", "-o", "json"))["items"]
        return {
            pod["metadata"]["name"]: pod["spec"]["nodeName"]
            for pod in items
            if "deletionTimestamp" not in pod["metadata"]
            and {"Ready": "True"}.items()
            <= {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}.items()
        }

    def primary(self, pods):
        """The one primary of the group that `pods` and no others are in, as each of them says; else None."""
        views = [sorted(self.sql(pod, MEMBERS)) for pod in pods]
        states = {host.partition(".")[0]: (state, role) for host, state, role in views[0]}
        primaries = [name for name, (_, role) in states.items() if role == "PRIMARY"]
        online = {name for name, (state, _) in states.items() if state == "ONLINE"}
        same = all(view == views[0] for view in views)
        return primaries[0] if same and online == states.keys() == set(pods) and len(primaries) == 1 else None

    def whole(self, replicas=3, timeout=180):
        """The primary, once all pods are ready and in one group."""
        pods = {f"mysql-gr-{n}" for n in range(replicas)}
        return eventually(lambda: self.ready().keys() == pods and self.primary(pods), timeout, every=1)

    def ledger(self):
        """The acknowledged writes, (run, number), and how long after the client's write before, in seconds."""
        lines = [
            line.split()
            for pod in CLIENTS
            for line in self.kubectl("exec", pod, "--", "cat", "/tmp/ledger").splitlines()
        ]
        return {(int(run), int(number)): float(gap) for run, number, _, gap in lines}

    def compare(self):
        """Compare the ledgers with the rows of every pod. Returns the ledgers."""
        ledger = self.ledger()
        for pod in self.ready():
            rows = self.sql(pod, "SELECT run, number FROM shop.orders", timeout=60)
            numbers = [(int(run), int(number)) for run, number in rows]
            assert ledger.keys() - set(numbers) == set(), f"{pod} lacks acknowledged writes"
            assert len(numbers) == len(set(numbers)), f"{pod} has a write twice"
        return ledger

    def changes_of_primary(self):
        """How often the writes went on at another server, in the order in which they were taken."""
        rows = self.sql(self.whole(), "SELECT taken_by FROM shop.orders ORDER BY taken_at", timeout=60)
        return sum(before != after for before, after in itertools.pairwise(rows))

    def remove(self):
        kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")
        kubectl("wait", "--for=delete", f"namespace/{self.namespace}", "--timeout=150s", timeout=160)


def explain(group):
    """Print what a reader of a failed run wants to see."""
    pods = [f"mysql-gr-{n}" for n in range(3)]
    sessions = ["mysql", "-u", "root", "-t", "-e", f"{MEMBERS}; SHOW PROCESSLIST"]
    for what in (
        ["get", "pods", "-o", "wide"],
        *(["exec", pod, "--", *sessions] for pod in pods),
        *(["logs", pod, "--tail=30"] for pod in [*pods, *CLIENTS]),
    ):
        try:
            print(group.kubectl(*what, timeout=20))
        except ClusterError as error:
            print(error)


@pytest.fixture(scope="module")
def group(request):
    made = Group()
    try:
        made.whole()
        eventually(lambda: len({run for run, _ in made.ledger()}) == len(CLIENTS))
        made.faults, made.gaps = 0, {}
        yield made
        if request.session.testsfailed:
            explain(made)
        for fault, gaps in made.gaps.items():
            print(f"{fault}: longest times without a write: {', '.join(f'{gap:.1f} s' for gap in gaps)}")
    except BaseException:
        explain(made)
        raise
    finally:
        made.remove()


def delete(group, primary):
    group.kubectl("delete", "pod", primary, "--wait=false")


def kill(group, primary):
    group.signal("KILL", primary)


def freeze(group, primary):
    group.signal("STOP", primary)
    others = group.ready().keys() - {primary}
    try:
        eventually(lambda: group.primary(others), 60)
    finally:
        group.signal("CONT", primary)


def destroy_the_volume(group, primary):
    group.kubectl("delete", f"pvc/data-{primary}", f"pod/{primary}", "--wait=false", "--now")


def delete_all(group, _):
    group.kubectl("delete", "pods", "-l", "app=mysql-gr", "--wait=false")


def kill_all(group, _):
    """Kill all servers as nearly at once as can be."""
    commands = [["exec", pod, "--", "bash", "-c", "kill -9 $(</var/run/mysqld/mysqld.pid)"] for pod in group.ready()]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda command: group.kubectl(*command), commands))


def cut_off_the_node(group, primary):
    node = group.ready()[primary]
    others = group.ready().keys() - {primary}
    node_command("CHAOS_CUT", node)
    try:
        eventually(lambda: group.primary(others), 60)
    finally:
        node_command("CHAOS_HEAL", node)


# The longest time without a write, in seconds. A test that shares its machine gets half as much again.
FAULTS = {delete: 10, kill: 10, freeze: 20, destroy_the_volume: 10, delete_all: 60, kill_all: 60, cut_off_the_node: 20}


def on_a_node_that_may_fail(group):
    """Make a pod on one of NODES the primary."""
    primary = group.whole()
    nodes = group.ready()
    if nodes[primary] not in NODES:
        to = next(pod for pod, node in nodes.items() if node in NODES)
        uuid = group.sql(to, "SELECT @@server_uuid")[0][0]
        group.sql(to, f"SELECT group_replication_set_as_primary('{uuid}')")
        eventually(lambda: group.whole() == to)
        group.faults += 1


@pytest.mark.parametrize("round_", range(1, ROUNDS + 1))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_no_acknowledged_write_is_lost(group, fault, round_):
    if fault is cut_off_the_node:
        if not NODES:
            pytest.skip("CHAOS_NODES, CHAOS_CUT and CHAOS_HEAL are not set: no node is cut off")
        on_a_node_that_may_fail(group)
    primary, before = group.whole(), group.ledger()
    group.faults += 1
    fault(group, primary)
    # Again, from all clients.
    enough = len(before) + 20 * len(CLIENTS)
    eventually(lambda: group.whole() and len(group.ledger()) > enough, 180, every=1)
    after = group.compare()
    gap = max(gap for write, gap in after.items() if write not in before)
    group.gaps.setdefault(fault.__name__, []).append(gap)
    assert gap > 0.5, "the fault did not reach the primary"
    assert gap < FAULTS[fault] * 1.5
    # With two primaries at the same time, the writes of some seconds would alternate between them.
    assert group.changes_of_primary() <= group.faults


def test_a_member_without_a_majority_acknowledges_nothing(group):
    primary = group.whole()
    others = group.ready().keys() - {primary}
    group.faults += 1
    group.signal("STOP", *others)
    try:
        before = group.ledger()
        # It failed, so it may be there or not: the others may have received it.
        with pytest.raises(ClusterError, match="ERROR"):
            group.sql(primary, "INSERT INTO shop.orders (run, number) VALUES (0, 0)", timeout=60)
        assert group.ledger() == before
    finally:
        group.signal("CONT", *others)
    group.whole()
    group.compare()


def test_planned_switchover(group):
    primary = group.whole()
    to = min(group.ready().keys() - {primary})
    uuid = group.sql(to, "SELECT @@server_uuid")[0][0]
    before = group.ledger()
    group.faults += 1
    group.sql(to, f"SELECT group_replication_set_as_primary('{uuid}')")
    assert group.whole() == to
    eventually(lambda: len(group.ledger()) > len(before) + 20 * len(CLIENTS))
    after = group.compare()
    assert max(gap for write, gap in after.items() if write not in before) < 5
    assert group.changes_of_primary() <= group.faults


def test_five_members(group):
    """New pods copy a member (CLONE), and the group goes on without two of five."""
    group.kubectl("patch", "configmap", "mysql-gr", "--patch", '{"data": {"members": "5"}}')
    group.kubectl("scale", "statefulset", "mysql-gr", "--replicas=5")
    group.whole(5)
    for pod in "mysql-gr-3", "mysql-gr-4":
        assert group.sql(pod, "SELECT STATE FROM performance_schema.clone_status") == [["Completed"]]
    group.kubectl("scale", "statefulset", "mysql-gr", "--replicas=3")
    group.kubectl("patch", "configmap", "mysql-gr", "--patch", '{"data": {"members": "3"}}')
    group.whole()
    group.compare()


def lowest_ordinal_starts_the_group(text):
    """Break the rule: the lowest ordinal starts the group, whatever it has."""
    right = "          *) better=$n ;;\n"
    assert right in text
    return text.replace(right, '          *) [ $n -gt "$ordinal" ] || better=$n ;;\n')


def come_back_at_once_with_old_data(group):
    """Leave mysql-gr-0 out of a hundred writes, delete all pods at once, and compare when they are back."""
    group.whole()
    group.signal("STOP", "mysql-gr-0")
    eventually(lambda: group.primary({"mysql-gr-1", "mysql-gr-2"}))
    enough = len(group.ledger()) + 100
    eventually(lambda: len(group.ledger()) > enough)
    group.kubectl("delete", "pods", "-l", "app=mysql-gr", "--now")
    group.whole(timeout=60)
    group.compare()


def test_a_pod_with_old_data_does_not_start_the_group(group):
    group.faults += 2
    come_back_at_once_with_old_data(group)


def test_the_ledger_was_long_enough(group):
    assert len(group.compare()) >= ENOUGH


def test_a_broken_rule_is_noticed():
    group = Group(lowest_ordinal_starts_the_group)
    try:
        with pytest.raises(AssertionError):
            come_back_at_once_with_old_data(group)
        assert "joining the group of mysql-gr-0" in group.kubectl("logs", "mysql-gr-1")
    finally:
        group.remove()


def test_the_page():
    run_lesson("failover")
