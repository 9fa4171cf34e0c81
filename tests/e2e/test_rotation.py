"""New passwords in a running deployment, under load, and interrupted."""

import base64
import json
import os
import signal
import subprocess
import threading
import time
import uuid

import pytest

from e2e.cluster import ROOT, eventually
from e2e.load import Load
from e2e.test_backup import make
from e2e.test_security import mysql

ACCOUNTS = {"app-password": "appuser", "read-password": "readuser", "replication-password": "replicator",
            "backup-password": "backup"}  # fmt: skip


def secret(deployment) -> dict:
    return json.loads(deployment.kubectl("get", "secret", "mysql", "-o", "json"))


def passwords(deployment) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret(deployment)["data"].items()}


def containers(deployment) -> set[str]:
    """The MySQL pods' containers: others after a restart."""
    return {pod["status"]["containerStatuses"][0]["containerID"] for pod in deployment.pods().values()}


def check_logins(deployment, right: dict[str, str], wrong: dict[str, str]) -> None:
    for key, user in ACCOUNTS.items():
        for host in ("mysql-0.mysql", "mysql-1.mysql"):
            assert mysql(deployment, user, right[key], host) == "((1,),)"
            if key in wrong:
                assert "1045" in mysql(deployment, user, wrong[key], host)


class Writes:
    """Registers users as long as it is entered, and keeps every answer that is not 201 and replicated."""

    def __init__(self, deployment):
        self.deployment, self.count, self.wrong, self.done = deployment, 0, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.done.is_set():
            answer = self.deployment.post("Rotated", f"{uuid.uuid4().hex}@example.com")
            self.count += 1
            if answer.status_code != 201 or not answer.json()["replicated"]:
                self.wrong.append(answer.text)
            time.sleep(0.1)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def test_passwords_are_changed_without_a_gap_in_replication(deployment):
    eventually(lambda: deployment.write()["replicated"])
    before, running = passwords(deployment), containers(deployment)
    with Load(deployment) as load, Writes(deployment) as writes:
        make(deployment, "rotate")
    after = passwords(deployment)
    print(f"rotation: {load.done} reads, {writes.count} writes")
    assert load.failed == []
    assert load.unexpected == []
    assert load.lost() == set()
    assert writes.count > 20
    assert writes.wrong == []
    assert containers(deployment) == running
    assert not set(before.values()) & set(after.values())
    assert all(len(password) == 32 for password in after.values())
    check_logins(deployment, right=after, wrong=before)
    # One alone; the pods' files are new, too: a server that is restarted accepts the same.
    make(deployment, "rotate", "KEYS=app-password")
    assert {key for key, password in passwords(deployment).items() if password != after[key]} == {"app-password"}
    assert containers(deployment) == running
    deployment.signal_mysqld("mysql-0", "KILL")
    eventually(lambda: containers(deployment) != running and deployment.whole(2), 90)
    check_logins(deployment, right=passwords(deployment), wrong={"app-password": after["app-password"]})


@pytest.mark.timeout(900)
def test_a_rotation_that_is_interrupted_locks_nothing_out(deployment):
    """Pods restart and a volume is lost meanwhile; the next `make rotate` goes on where it stopped."""
    before = passwords(deployment)
    command = ["make", "rotate", f"NAMESPACE={deployment.namespace}"]
    running = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
    eventually(lambda: "rotating" in secret(deployment)["metadata"].get("annotations", {}), 60, every=0.1)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    new = passwords(deployment)
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
    assert passwords(deployment) == new
    assert "rotating" not in secret(deployment)["metadata"].get("annotations", {})
    check_logins(deployment, right=new, wrong=before)
    assert deployment.write()["replicated"]
