"""A change that breaks the server stops at the replica, and goes back."""

import json
import uuid

import pytest

from e2e.cluster import eventually


@pytest.fixture
def whole(deployment):
    """The UID of mysql-0; both pods are ready again after the test."""
    yield deployment.pods()["mysql-0"]["metadata"]["uid"]
    deployment.kubectl("rollout", "status", "statefulset/mysql", "--timeout=180s", timeout=190)
    eventually(lambda: deployment.in_mysql_read() == {"mysql-0", "mysql-1"})


def stuck(deployment, *reasons: str) -> bool:
    """Is mysql-1 held up for one of these reasons?"""
    status = deployment.pods()["mysql-1"]["status"]
    containers = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    return any(reason in json.dumps(each["state"]) for each in containers for reason in reasons)


def assert_goes_on_without_the_replica(deployment, primary: str) -> None:
    assert deployment.pods()["mysql-0"]["metadata"]["uid"] == primary
    assert deployment.is_ready("mysql-0")
    assert deployment.post("During an upgrade", f"{uuid.uuid4().hex}@example.com").status_code == 201
    assert deployment.get("/users?limit=1").status_code == 200


def test_a_configuration_that_breaks_the_server_stops_at_the_replica(deployment, whole):
    config = json.loads(deployment.kubectl("get", "configmap", "mysql", "-o", "json"))["data"]["mysql.cnf"]

    def configure(text: str) -> None:
        deployment.kubectl("patch", "configmap", "mysql", "--patch", json.dumps({"data": {"mysql.cnf": text}}))

    configure(config + "no_such_option = 1\n")
    deployment.kubectl("rollout", "restart", "statefulset/mysql")
    eventually(lambda: stuck(deployment, "CrashLoopBackOff", '"reason": "Error"'), timeout=90)
    assert_goes_on_without_the_replica(deployment, whole)

    configure(config)
    deployment.kubectl("delete", "pod", "mysql-1")
    deployment.kubectl("rollout", "status", "statefulset/mysql", "--timeout=180s", timeout=190)


def test_an_image_that_is_not_there_stops_at_the_replica_and_is_undone(deployment, whole):
    deployment.kubectl("set", "image", "statefulset/mysql", "mysql=mysql:9.7.999", "prepare=mysql:9.7.999")
    eventually(lambda: stuck(deployment, "ErrImagePull", "ImagePullBackOff"), timeout=90)
    assert_goes_on_without_the_replica(deployment, whole)

    deployment.kubectl("rollout", "undo", "statefulset/mysql")
    deployment.kubectl("delete", "pod", "mysql-1")
    deployment.kubectl("rollout", "status", "statefulset/mysql", "--timeout=180s", timeout=190)
    assert deployment.pods()["mysql-0"]["metadata"]["uid"] == whole  # it was never touched
