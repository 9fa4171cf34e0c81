"""Random passwords stay, whatever is applied or deleted; the demo's public ones are never put on data silently."""

import os
import re
import shutil
import subprocess

import pytest

from e2e.cluster import ROOT, ClusterError, Deployment


@pytest.fixture(scope="module")
def deployment():
    made = Deployment("secrets")
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def make(deployment, tmp_path_factory):
    """Run a make target in the deployment's namespace, with its NodePorts; what it says."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("Makefile", "scripts"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, copy / name)
    (copy / "kubernetes").mkdir()
    for file in (ROOT / "kubernetes").glob("*.yaml"):
        (copy / "kubernetes" / file.name).write_text(deployment.manifest(file.name))

    def run(*arguments, environment=None):
        done = subprocess.run(
            ["make", "--no-print-directory", *arguments, f"NAMESPACE={deployment.namespace}"],
            cwd=copy, capture_output=True, text=True, timeout=400, env=os.environ | (environment or {}),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.mark.timeout(900)
def test_random_passwords_stay(deployment, make):
    demo = dict(re.findall(r"^  (\w+-password): (\S+)", deployment.manifest("mysql-statefulset.yaml"), re.M))
    make("secret")
    random = deployment.passwords()
    assert random.keys() == demo.keys()
    assert all(len(password) == 32 for password in random.values())

    assert "WARNING" not in make("deploy")
    assert deployment.passwords() == random
    # Not even by a plain `kubectl apply`, which goes on with the rest.
    with pytest.raises(ClusterError, match="immutable"):
        deployment.apply("mysql-statefulset.yaml")
    assert deployment.passwords() == random

    make("undeploy")
    assert deployment.pods() == {}
    make("deploy")
    assert deployment.passwords() == random
    assert deployment.write()["success"]

    # One key alone; and if there is no Secret, the demo's passwords come with a warning.
    make("secret", environment={"KEYS": "app-password"})
    changed = {key for key, password in deployment.passwords().items() if password != random[key]}
    assert changed == {"app-password"}
    deployment.kubectl("delete", "secret", "mysql")
    assert "the demo's public passwords are now those of volumes that have data" in make("deploy")
    assert deployment.passwords() == demo
