"""New passwords in a running deployment, under load, and interrupted."""

import json
import os
import signal
import subprocess

import pytest

from e2e.cluster import ROOT, eventually
from e2e.load import Load
from e2e.test_backup import make
from e2e.test_security import mysql

ACCOUNTS = {"app-password": "appuser", "read-password": "readuser", "replication-password": "replicator",
            "backup-password": "backup"}  # fmt: skip


def secret(deployment) -> dict:
    return json.loads(deployment.kubectl("get", "secret", "mysql", "-o", "json"))


def containers(deployment) -> set[str]:
    """The MySQL pods' containers: others after a restart."""
    return {pod["status"]["containerStatuses"][0]["containerID"] for pod in deployment.pods().values()}


def check_logins(deployment, right: dict[str, str], wrong: dict[str, str]) -> None:
    for key, user in ACCOUNTS.items():
        for host in ("mysql-0.mysql", "mysql-1.mysql"):
            assert mysql(deployment, user, right[key], host) == "((1,),)"
            if key in wrong:
                assert "1045" in mysql(deployment, user, wrong[key], host)


def test_passwords_are_changed_without_a_gap_in_replication(deployment):
    eventually(lambda: deployment.write()["replicated"])
    before, running = deployment.passwords(), containers(deployment)
    with Load(deployment) as load:
        make(deployment, "rotate")
    after = deployment.passwords()
    print(f"rotation: {load.done} reads, {len(load.registered)} writes")
    assert load.failed == []
    assert load.unexpected == []
    assert load.lost() == set()
    assert len(load.registered) > 20
    assert load.not_replicated == []
    assert containers(deployment) == running
    assert not set(before.values()) & set(after.values())
    assert all(len(password) == 32 for password in after.values())
    check_logins(deployment, right=after, wrong=before)
    # One alone; the pods' files are new, too: a server that is restarted accepts the same.
    make(deployment, "rotate", "KEYS=app-password")
    assert {key for key, password in deployment.passwords().items() if password != after[key]} == {"app-password"}
    assert containers(deployment) == running
    assert deployment.write()["replicated"]
    deployment.signal_mysqld("mysql-0", "KILL")
    eventually(lambda: containers(deployment) != running and deployment.whole(2), 90)
    check_logins(deployment, right=deployment.passwords(), wrong={"app-password": after["app-password"]})


@pytest.mark.timeout(900)
def test_a_rotation_that_is_interrupted_locks_nothing_out(deployment):
    """Pods restart and a volume is lost meanwhile; the next `make rotate` goes on where it stopped."""
    before = deployment.passwords()
    command = ["make", "rotate", f"NAMESPACE={deployment.namespace}"]
    running = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
    eventually(lambda: "rotating" in secret(deployment)["metadata"].get("annotations", {}), 60, every=0.1)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    new = deployment.passwords()
    assert not set(before.values()) & set(new.values())
    # The apps still log in with the old ones, and the pods of MySQL that start now with the new ones.
    volumes = "pvc/data-mysql-1 pod/mysql-1", "pvc/data-mysql-0 pod/mysql-0"
    for what in ("pod/mysql-1", "pod/mysql-0", "pod/mysql-0", *volumes):
        deployment.kubectl("delete", *what.split())
        eventually(lambda: deployment.whole(2), 180)
        eventually(lambda: deployment.write()["replicated"], 30)
        check_logins(deployment, right=new, wrong={})
        check_logins(deployment, right=before, wrong={})
    assert "Finishing a rotation that was interrupted" in make(deployment, "rotate")
    assert deployment.passwords() == new
    assert "rotating" not in secret(deployment)["metadata"].get("annotations", {})
    check_logins(deployment, right=new, wrong=before)
    assert deployment.write()["replicated"]
