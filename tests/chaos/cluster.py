"""The demo under test: placed on nodes that may fail, observed and compared while faults happen to it."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from chaos.compare import Findings, compare, gtid_set
from chaos.load import Load, longest_gap
from e2e.cluster import ROOT, ClusterError, Deployment, eventually, kubectl

NODE_COMMANDS = ("CHAOS_CUT", "CHAOS_HEAL", "CHAOS_CRASH", "CHAOS_REVIVE")
WHOLE_AGAIN = 180  # seconds after a fault, in which everything must be ready and replicating again
LOOK_EVERY = 1  # seconds; a look is a kubectl, a fifth of a second of CPU time, which what recovers would miss
BALLAST = 100  # MB of data besides the users: how long a lost volume takes depends on it


class Placed(Deployment):
    """The demo with its MySQL pods on certain nodes, or with small volumes in memory that can be filled up.

    read-app is kept off those nodes. A request that a NodePort sends to a pod whose node is gone fails until Kubernetes
    has noticed, and nothing in a manifest changes that; what is tried here is whether read-app loses a read.
    """

    def __init__(self, nodes: list[str], small_volume: str | None = None) -> None:
        """Take the names of `nodes` for the MySQL pods (any if empty), and perhaps a size such as "400Mi"."""
        super().__init__("chaos")
        self.nodes, self.small_volume = nodes, small_volume

    def manifest(self, file: str) -> str:
        """The text of a file of kubernetes/, with what is different here."""
        documents = list(yaml.safe_load_all(super().manifest(file)))
        for document in documents:
            where = {"mysql": "In", "read-app": "NotIn"}.get(document["metadata"]["name"])
            if document["kind"] not in ("StatefulSet", "Deployment") or not where:
                continue
            pod = document["spec"]["template"]["spec"]
            if self.nodes:
                term = {"key": "kubernetes.io/hostname", "operator": where, "values": self.nodes}
                pod.setdefault("affinity", {})["nodeAffinity"] = {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [term]}]
                    }
                }
            if self.small_volume and document["kind"] == "StatefulSet":
                del document["spec"]["volumeClaimTemplates"]
                pod["volumes"].append(
                    {"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": self.small_volume}}
                )
                for container in (*pod["initContainers"], *pod["containers"]):
                    container["resources"]["limits"] = {"memory": "2Gi"}  # which the volume is counted against
        return yaml.safe_dump_all(documents, sort_keys=False)


@dataclass
class Outcome:
    """What one fault did; times in seconds."""

    fault: str
    tried: int = 0
    acknowledged: int = 0
    unknown: int = 0
    not_replicated: int = 0
    write_gap: float = 0
    read_gap: float = 0
    failed_reads: int = 0
    reads_failing_for: float = 0
    why_reads_failed: set[str] = field(default_factory=set)
    whole_after: float = 0
    findings: Findings = field(default_factory=Findings)
    wrong: list[str] = field(default_factory=list)  # sentences; empty when the promise was kept


class Chaos:
    """A deployment under load. Faults are functions that take it as their argument and return when they are over."""

    def __init__(self, deployment: Placed, load: Load, long: bool) -> None:
        self.deployment, self.load, self.long = deployment, load, long
        self.kubectl, self.sql = deployment.kubectl, deployment.sql
        self.unpromised: set[str] = set()
        self._compared = 0  # attempts before the last comparison
        self._gone: set[str] = set()  # found lost already: said once
        self._alone: list[tuple[float, float]] = []

    # What faults use.

    def pods(self) -> dict[str, dict]:
        """All pods of MySQL and of the apps, as the API gives them, but not those of the nightly backup."""
        return self.deployment.pods("mysql", "write-app", "read-app")

    def state(self, pod: str) -> tuple:
        """What changes when a pod is replaced or its container restarted."""
        found = self.pods().get(pod)
        if not found:
            return ()
        return found["metadata"]["uid"], *(s["restartCount"] for s in found["status"].get("containerStatuses", []))

    @contextlib.contextmanager
    def restarts(self, *pods: str) -> Iterator[None]:
        """Wait at the end until each of `pods` was replaced, or its container restarted."""
        before = {pod: self.state(pod) for pod in pods}
        yield
        for pod in pods:
            eventually(lambda pod=pod: len(now := self.state(pod)) == 2 and now != before[pod], WHOLE_AGAIN, LOOK_EVERY)

    def node_of(self, pod: str) -> str:
        """The node that a pod is on."""
        return self.pods()[pod]["spec"]["nodeName"]

    def pods_on(self, node: str) -> list[str]:
        """The pods on a node, of MySQL and of the apps."""
        return [name for name, pod in self.pods().items() if pod["spec"].get("nodeName") == node]

    def signal(self, signal: str, *pods: str) -> None:
        """Send a signal to the servers of some pods, at the same time."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda pod: self.deployment.signal_mysqld(pod, signal), pods))

    @contextlib.contextmanager
    def replica_is_away(self) -> Iterator[None]:
        """In this block no write may be answered with `replicated: true`."""
        start = time.time()
        yield
        self._alone.append((start, time.time()))

    def primary_lost_its_volume(self) -> None:
        """Writes since the last comparison that were not answered with `replicated: true` may be missing."""
        self.unpromised |= {a.email for a in self.load.attempts[self._compared :] if not a.replicated}

    # What happens around a fault.

    def run(self, name: str, fault: Callable[["Chaos"], None]) -> Outcome:
        """Inject a fault, wait until all is whole again, compare, and return what happened."""
        outcome = Outcome(name)
        self._alone.clear()
        self.unpromised.clear()
        self._compared, reads_before = len(self.load.attempts), len(self.load.reads)
        self.load.resume()
        self._wait_for_replicated_writes()
        start = time.time()
        fault(self)
        over = time.time()
        eventually(self._is_whole, WHOLE_AGAIN, LOOK_EVERY)
        self._wait_for_replicated_writes()
        outcome.whole_after = time.time() - over
        end = time.time()
        self.load.pause()
        self._count(outcome, self.load.attempts[self._compared :], self.load.reads[reads_before:], start, end)
        self._compare(outcome)
        return outcome

    def _is_whole(self) -> bool:
        """Whether all pods that should be there are ready, and no others are there."""
        workloads = json.loads(
            self.kubectl("get", "statefulset/mysql", "deployment/write-app", "deployment/read-app", "-o", "json")
        )["items"]
        return all(
            w["status"].get("observedGeneration") == w["metadata"]["generation"]
            and w["spec"]["replicas"]
            == w["status"].get("replicas")
            == w["status"].get("readyReplicas")
            == w["status"].get("updatedReplicas")
            for w in workloads
        ) and not any("deletionTimestamp" in pod["metadata"] for pod in self.deployment.pods().values())

    def _wait_for_replicated_writes(self) -> None:
        """Wait until the last ten writes, made after this was called, were acknowledged and replicated."""
        start = time.time()

        def replicated():
            new = [a for a in self.load.attempts[-10:] if a.started > start]
            return len(new) == 10 and all(a.replicated for a in new)

        try:
            eventually(replicated, 60, every=0.1)
        except AssertionError:
            last = self.load.attempts[-1] if self.load.attempts else "none"
            raise AssertionError(
                "for a minute no ten writes in a row were acknowledged by another MySQL pod (replicated: true). "
                f"Is semi-sync on, does mysql-1 follow mysql-0, is the cluster overloaded? The last attempt: {last}"
            ) from None

    def _count(self, outcome: Outcome, attempts: list, reads: list, start: float, end: float) -> None:
        outcome.tried = len(attempts)
        acknowledged = [a for a in attempts if a.status == "acknowledged"]
        outcome.acknowledged = len(acknowledged)
        outcome.unknown = sum(a.status == "unknown" for a in attempts)
        outcome.not_replicated = sum(not a.replicated for a in acknowledged)
        outcome.write_gap = longest_gap([a.ended for a in acknowledged], start, end)
        outcome.read_gap = longest_gap([r.ended for r in reads if not r.failure], start, end)
        failed = [r for r in reads if r.failure]
        outcome.failed_reads = len(failed)
        if failed:
            outcome.reads_failing_for = max(r.ended for r in failed) - min(r.ended for r in failed)
            outcome.why_reads_failed = {r.failure for r in failed}
        false = [a for a in acknowledged for s, e in self._alone if a.replicated and s < a.started and a.ended < e]
        if false:
            outcome.wrong.append(
                f"{len(false)} answers said replicated: true while no replica could answer, such as {false[0]}"
            )
        if not acknowledged:
            outcome.wrong.append("no write was acknowledged, so nothing was tried")

    def _compare(self, outcome: Outcome) -> None:
        pods = sorted(self.deployment.pods())
        gtids = self.deployment.gtids
        try:
            eventually(lambda: len({gtids(pod) for pod in pods}) == 1, 60)
        except AssertionError:
            sets = {pod: gtids(pod) for pod in pods}
            outcome.wrong.append(f"the pods have different sets of transactions a minute after the last write: {sets}")
        rows = {
            pod: [
                (int(number), name, email)
                for number, name, email in self.sql(pod, "SELECT id, name, email FROM userdb.users", 120)
            ]
            for pod in pods
        }
        expected = [a for a in self.load.attempts if a.email not in self._gone]
        outcome.findings = found = compare(expected, rows, self.unpromised)
        self._gone |= found.lost | found.given_up
        for what in ("lost", "foreign", "duplicates", "different"):
            if some := getattr(found, what):
                outcome.wrong.append(f"{what}: {len(some)} rows, such as {sorted(some)[:3]}")
        acknowledged = gtid_set({a.gtid for a in expected if a.gtid and a.email not in self._gone})
        for pod in pods:
            missing = self.sql(pod, f"SELECT GTID_SUBTRACT('{acknowledged}', @@gtid_executed)")[0][0]
            if missing:
                outcome.wrong.append(f"{pod} lacks acknowledged transactions: {missing}")


@contextlib.contextmanager
def under_load(nodes: list[str], ledger: Path, long: bool, small_volume: str | None = None) -> Iterator[Chaos]:
    """Deploy the demo, put load on it, and remove both in the end. Raises ClusterError, AssertionError."""
    deployment = Placed(nodes, small_volume)
    try:
        deployment.apply()
        deployment.wait_ready(300)
        with Load(deployment.write_url, deployment.read_url, ledger) as load:
            yield Chaos(deployment, load, long)
    except BaseException:
        for what in (
            ["get", "pods", "-o", "wide"],
            *(["logs", pod, "--all-containers", "--tail=15"] for pod in ("mysql-0", "mysql-1")),
        ):
            with contextlib.suppress(ClusterError):
                print(deployment.kubectl(*what), file=sys.stderr)
        raise
    finally:
        deployment.remove()


def add_ballast(chaos: Chaos) -> None:
    """Make the database as large as BALLAST says."""
    chaos.sql(
        "mysql-0",
        "CREATE DATABASE ballast; CREATE TABLE ballast.bytes (id INT AUTO_INCREMENT PRIMARY KEY, data LONGBLOB)",
    )
    for _ in range(BALLAST // 10):
        chaos.sql(
            "mysql-0",
            "INSERT INTO ballast.bytes (data) VALUES " + ", ".join(["(REPEAT(RANDOM_BYTES(1024), 1024))"] * 10),
        )


def node_command(which: str, node: str) -> None:
    """Run one of NODE_COMMANDS, in which $NODE is the node's name. ClusterError if it fails."""
    done = subprocess.run(
        ["sh", "-c", os.environ[which]],
        env=os.environ | {"NODE": node},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise ClusterError(f"{which} for {node}: {done.stderr or done.stdout}")


def versions(chaos: Chaos) -> str:
    """What was tested, in one line."""
    server = json.loads(kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    nodes = len(json.loads(kubectl("get", "nodes", "-o", "json"))["items"])
    return f"MySQL {chaos.sql('mysql-0', 'SELECT VERSION()')[0][0]}, Kubernetes {server} with {nodes} nodes"
