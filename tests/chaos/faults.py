"""What goes wrong, one function a fault. Each returns when the fault is over; recovery is waited for by the caller."""

import contextlib
import json
import re
import subprocess
import time

from chaos.cluster import Chaos, node_command
from e2e.cluster import ROOT, eventually, kubectl

PRIMARY, REPLICA = "mysql-0", "mysql-1"


def kill(*pods):
    """SIGKILL the servers of `pods`, at once: the kernel forgets them, as after a crash."""

    def fault(chaos: Chaos) -> None:
        with chaos.restarts(*pods):
            chaos.signal("KILL", *pods)

    return fault


def delete(pod, *how):
    """Delete a pod, which shuts down cleanly unless told `how` not to."""

    def fault(chaos: Chaos) -> None:
        with chaos.restarts(pod):
            chaos.kubectl("delete", "pod", pod, "--wait=false", *how)

    return fault


def rollout(workload):
    """Replace all pods of a workload one after the other, as a new image does."""

    def fault(chaos: Chaos) -> None:
        chaos.kubectl("rollout", "restart", workload)
        chaos.kubectl("rollout", "status", workload, "--timeout=180s", timeout=190)

    return fault


def destroy_volume(pod):
    """Throw away a pod's volume with all that is on it, the server still running until it is killed."""

    def fault(chaos: Chaos) -> None:
        with chaos.restarts(pod):
            chaos.kubectl("delete", f"pvc/data-{pod}", f"pod/{pod}", "--wait=false", "--now")
        if pod == PRIMARY:
            chaos.primary_lost_its_volume()

    return fault


def wipe_and_kill(chaos: Chaos) -> None:
    """Lose the primary's data in place, and the server at the same moment."""
    with chaos.restarts(PRIMARY):
        chaos.kubectl(
            "exec", PRIMARY, "-c", "mysql", "--", "bash", "-c",
            "pid=$(</var/run/mysqld/mysqld.pid); rm -rf /var/lib/mysql/data; kill -9 $pid",
        )  # fmt: skip
    chaos.primary_lost_its_volume()


def freeze(pod):
    """SIGSTOP a server for 20 seconds: it keeps its connections and answers nothing."""

    def fault(chaos: Chaos) -> None:
        chaos.signal("STOP", pod)
        try:
            if pod == REPLICA:
                with chaos.replica_is_away():
                    time.sleep(20)
            else:
                time.sleep(20)
        finally:
            chaos.signal("CONT", pod)

    return fault


def cut(pod):
    """Take a pod's node off the network, for longer than the semi-sync wait; in the long form until it is NotReady."""

    def fault(chaos: Chaos) -> None:
        node = chaos.node_of(pod)
        node_command("CHAOS_CUT", node)
        try:
            if pod == REPLICA:
                with chaos.replica_is_away():
                    time.sleep(30 if chaos.long else 12)
            else:
                time.sleep(30 if chaos.long else 12)
        finally:
            node_command("CHAOS_HEAL", node)

    return fault


def crash(pod):
    """Cut a pod's node from power and give it back."""

    def fault(chaos: Chaos) -> None:
        node = chaos.node_of(pod)
        # Of all pods on it: the API goes on to call them ready until their node, which is back, has looked at them.
        with chaos.restarts(*chaos.pods_on(node)):
            node_command("CHAOS_CRASH", node)
            try:
                if pod == REPLICA:
                    with chaos.replica_is_away():
                        time.sleep(8)
                else:
                    time.sleep(8)
            finally:
                node_command("CHAOS_REVIVE", node)

    return fault


def scale(replicas):
    """Change the number of MySQL pods."""

    def fault(chaos: Chaos) -> None:
        chaos.kubectl("scale", "statefulset/mysql", f"--replicas={replicas}")

    return fault


def delete_everything(chaos: Chaos) -> None:
    """Delete every pod of MySQL and of the apps at once."""
    with chaos.restarts(PRIMARY, REPLICA):
        chaos.kubectl("delete", "pods", "--all", "--wait=false")


def fill_volume(pod):
    """Fill a pod's volume to the last byte, for 15 seconds. For a small volume only."""
    filler = "/var/lib/mysql/filler"
    in_pod = ["exec", pod, "-c", "mysql", "--", "bash", "-c"]

    def fault(chaos: Chaos) -> None:
        chaos.kubectl(*in_pod, f"! head -c 1G /dev/zero >{filler}")
        try:
            time.sleep(15)
        finally:
            chaos.kubectl(*in_pod, f"rm {filler}")

    return fault


# Two faults at once.


def replica_is_killed_while_empty_primary_waits(chaos: Chaos) -> None:
    """Destroy the primary's volume while the replica is frozen, so the new primary waits; then kill the replica."""
    chaos.signal("STOP", REPLICA)
    with chaos.restarts(REPLICA):
        destroy_volume(PRIMARY)(chaos)
        eventually(lambda: chaos.sql(PRIMARY, "SELECT 1"), 60)
        chaos.signal("KILL", REPLICA)


def primary_loses_its_volume_while_replica_is_pending(chaos: Chaos) -> None:
    """Leave the replica no node to run on, and destroy the primary's volume meanwhile."""
    node = chaos.node_of(REPLICA)
    kubectl("cordon", node)
    try:
        chaos.kubectl("delete", "pod", REPLICA, "--now")
        eventually(lambda: chaos.pods().get(REPLICA, {"status": {}})["status"].get("phase") == "Pending", 60)
        destroy_volume(PRIMARY)(chaos)
    finally:
        kubectl("uncordon", node)


@contextlib.contextmanager
def upstream_dns_away():
    """In this block the cluster's DNS server asks a server that never answers, for every name outside the cluster."""
    before = json.loads(kubectl("-n", "kube-system", "get", "configmap", "coredns", "-o", "json"))["data"]["Corefile"]
    silent, found = re.subn(r"\b(?:forward|template) [^{\n]*(?:\{[^}]*\})?", "forward . 192.0.2.1", before)  # TEST-NET
    assert found == 1, f"not the Corefile that this fault knows: {before}"

    def configure(corefile: str) -> None:
        patch = json.dumps({"data": {"Corefile": corefile}})
        kubectl("-n", "kube-system", "patch", "configmap", "coredns", "--patch", patch)
        kubectl("-n", "kube-system", "rollout", "restart", "deployment/coredns")
        kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")

    configure(silent)
    try:
        yield
    finally:
        configure(before)


def delete_without_upstream_dns(chaos: Chaos) -> None:
    """Delete the primary's pod while no name outside the cluster can be resolved, and wait until it takes writes."""
    with upstream_dns_away():
        delete(PRIMARY)(chaos)
        start = time.time()
        eventually(lambda: any(a.replicated and a.started > start for a in chaos.load.attempts[-50:]), 60)


def during_rollout(kill_pod):
    """Restart all MySQL pods one after the other, as an upgrade does, and kill a server when the first is gone."""

    def fault(chaos: Chaos) -> None:
        with chaos.restarts(REPLICA, PRIMARY):
            with chaos.restarts(REPLICA):
                chaos.kubectl("rollout", "restart", "statefulset/mysql")
            chaos.signal("KILL", kill_pod)

    return fault


def rotate_and_lose_the_primary(chaos: Chaos) -> None:
    """Change all passwords, and kill the primary's server in the middle of it."""
    rotation = subprocess.Popen(
        ["make", "--no-print-directory", "rotate", f"NAMESPACE={chaos.deployment.namespace}"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    old = chaos.kubectl("get", "secret", "mysql", "-o", "jsonpath={.metadata.uid}")
    # The Secret changes when MySQL knows the new passwords, and the apps do not yet.
    eventually(lambda: chaos.kubectl("get", "secret", "mysql", "-o", "jsonpath={.metadata.uid}") != old, 120)
    with chaos.restarts(PRIMARY):
        chaos.signal("KILL", PRIMARY)
    printed, _ = rotation.communicate(timeout=300)
    if rotation.returncode:  # as it says itself: run again, it goes on where it stopped
        eventually(lambda: chaos.sql(PRIMARY, "SELECT @@read_only") == [["0"]], 120)
        again = subprocess.run(rotation.args, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert again.returncode == 0, f"make rotate: {printed}\nagain: {again.stdout}{again.stderr}"
