"""New passwords in a running deployment, under load."""

import base64
import json

from e2e.load import Load
from e2e.test_backup import make
from e2e.test_security import mysql


def passwords(deployment) -> dict[str, str]:
    data = json.loads(deployment.kubectl("get", "secret", "mysql", "-o", "json"))["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_passwords_are_changed_without_a_failed_read(deployment):
    before = passwords(deployment)
    with Load(deployment) as load:
        make(deployment, "rotate")
    after = passwords(deployment)
    print(f"rotation: {load.done} reads, longest time without a registration {load.longest_gap:.1f} s")

    assert load.failed == []
    assert load.unexpected == []
    assert load.lost() == set()
    assert load.longest_gap < 60
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())
    assert all(len(password) == 32 for password in after.values())
    for user, key in (("appuser", "app"), ("readuser", "read"), ("replicator", "replication"), ("backup", "backup")):
        assert mysql(deployment, user, after[f"{key}-password"], "mysql-0.mysql") == "((1,),)"
        assert "1045" in mysql(deployment, user, before[f"{key}-password"], "mysql-0.mysql")
        assert "1045" in mysql(deployment, user, before[f"{key}-password"], "mysql-1.mysql")
