"""New pods get a copy of all data, in order and whole, also when the copying is killed."""

import subprocess

from e2e.cluster import eventually


def test_scaling_up_down_and_up_again(deployment):
    """To 3, 5, 2 and 3: in order, each pod follows the one before and has everything, also what was purged."""
    for _ in range(3):
        deployment.write()
    for pod in ("mysql-0", "mysql-1"):
        deployment.sql(pod, "FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW()")
    for count in (3, 5):
        deployment.kubectl("scale", "statefulset", "mysql", f"--replicas={count}")
        eventually(lambda count=count: deployment.whole(count), 120, 1)
    started = [deployment.pods()[f"mysql-{n}"]["status"]["startTime"] for n in range(2, 5)]
    assert started == sorted(started)
    claims = {
        n: deployment.kubectl("get", "pvc", f"data-mysql-{n}", "-o", "jsonpath={.metadata.uid}") for n in range(2, 5)
    }

    with subprocess.Popen(
        ["kubectl", "-n", deployment.namespace, "get", "pods", "-l", "app.kubernetes.io/name=mysql", "--watch-only",
         "--output-watch-events", "-o", "jsonpath={.type} {.object.metadata.name}{'\\n'}"],
        stdout=subprocess.PIPE, text=True,
    ) as watch:  # fmt: skip
        deployment.kubectl("scale", "statefulset", "mysql", "--replicas=2")
        eventually(lambda: set(deployment.pods()) == {"mysql-0", "mysql-1"}, 120, 1)
        watch.terminate()
        gone = [line.split()[1] for line in watch.stdout if line.startswith("DELETED")]
    assert gone == ["mysql-4", "mysql-3", "mysql-2"]

    deployment.write()
    # The old volumes lack this row, and mysql-1 no longer has it in a binary log.
    deployment.sql("mysql-1", "FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW()")
    deployment.kubectl("scale", "statefulset", "mysql", "--replicas=3")
    eventually(lambda: deployment.whole(3), 120, 1)
    assert deployment.kubectl("get", "pvc", "data-mysql-2", "-o", "jsonpath={.metadata.uid}") == claims[2]
    deployment.kubectl("scale", "statefulset", "mysql", "--replicas=2")
    eventually(lambda: set(deployment.pods()) == {"mysql-0", "mysql-1"}, 120, 1)
    deployment.kubectl("delete", "pvc", *(f"data-mysql-{n}" for n in range(2, 5)))


def test_a_clone_killed_half_way_leaves_nothing_and_succeeds_on_the_next_try(deployment):
    deployment.kubectl("delete", "pvc/data-mysql-1", "pod/mysql-1", "--wait=false")
    # The copy takes less than a second: what kills the scratch server waits for it inside the pod.
    script = (
        "cd /var/lib/mysql; [ ! -d data ] || exit 1; until [ -d data.new ]; do sleep 0.01; done;"
        "kill -9 $(cat /tmp/scratch/*.pid) && [ ! -d data ] && echo killed"
    )

    def kill_the_clone() -> bool:
        """Kill the scratch server when there is a half-made copy."""
        return "killed" in deployment.kubectl(
            "exec", "mysql-1", "-c", "prepare", "--", "bash", "-c", script, timeout=60
        )

    eventually(kill_the_clone, 90, 0)
    eventually(lambda: deployment.is_ready("mysql-1"), 120)
    eventually(lambda: deployment.whole(2), 60)
    left = deployment.kubectl("exec", "mysql-1", "-c", "mysql", "--", "ls", "/var/lib/mysql").split()
    assert left == ["data"]
