"""Each node in turn is drained under load, as for an upgrade of the nodes."""

import json

import pytest

from e2e.cluster import eventually, kubectl
from e2e.load import Load

DEMO = "app.kubernetes.io/part-of=mysql-replication-demo"


def ready(deployment) -> dict[str, bool]:
    """Which of the MySQL pods are ready."""
    return {pod: deployment.is_ready(pod) for pod in ("mysql-0", "mysql-1")}


def allowed(deployment) -> int:
    """How many MySQL pods may be evicted now."""
    budget = json.loads(deployment.kubectl("get", "poddisruptionbudget", "mysql", "-o", "json"))
    return budget["status"]["disruptionsAllowed"]


def test_draining_every_node_in_turn_takes_no_more_than_one_mysql_pod(deployment):
    nodes = [node["metadata"]["name"] for node in json.loads(kubectl("get", "nodes", "-o", "json"))["items"]]
    if len(nodes) < 3:
        pytest.skip("draining needs three nodes")
    with Load(deployment) as load:
        for node in nodes:
            # Only this deployment's pods: the cluster may have others.
            deployment.kubectl("label", "pods", "-l", DEMO, f"drained={deployment.namespace}", "--overwrite")
            try:
                kubectl(
                    "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s",
                    f"--pod-selector=drained={deployment.namespace}", timeout=130,
                )  # fmt: skip
                assert any(ready(deployment).values())
                assert deployment.get("/users?limit=1").status_code == 200
            finally:
                kubectl("uncordon", node)
            # They come back where their volumes are.
            eventually(lambda: all(ready(deployment).values()), timeout=120)
            for app in ("write-app", "read-app"):
                deployment.kubectl("rollout", "status", f"deployment/{app}", "--timeout=60s")
    print(f"drains: {load.done} reads, longest time without a registration {load.longest_gap:.1f} s")
    assert load.failed == []
    assert load.lost() == set()


def test_a_drain_waits_while_the_other_mysql_pod_is_away(deployment):
    """The budget allows one to be missing: with mysql-1 gone, mysql-0 may not be evicted."""
    assert allowed(deployment) == 1
    deployment.signal_mysqld("mysql-1", "STOP")  # no longer ready, and the pod stays
    try:
        eventually(lambda: allowed(deployment) == 0)
        eviction = {
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": "mysql-0", "namespace": deployment.namespace},
        }  # fmt: skip
        path = f"/api/v1/namespaces/{deployment.namespace}/pods/mysql-0/eviction"
        with pytest.raises(Exception, match="disruption budget"):
            kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
        assert deployment.is_ready("mysql-0")
    finally:
        deployment.signal_mysqld("mysql-1", "CONT")
        eventually(lambda: deployment.is_ready("mysql-1"))
