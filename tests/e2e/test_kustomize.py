"""kustomization.yaml: the same objects as kubernetes/, and each change that it proposes changes only what it says."""

import re
import shutil
import subprocess

import pytest
import yaml

from e2e.cluster import MANIFESTS, ROOT


def by_name(objects):
    return {(item["kind"], item["metadata"]["name"]): item for item in objects if item}


def applied():
    """What kubectl apply -f kubernetes/ applies."""
    return by_name(item for file in MANIFESTS.glob("*.yaml") for item in yaml.safe_load_all(file.read_text()))


def rendered(folder):
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return by_name(yaml.safe_load_all(done.stdout))


def paths(one, other, path=""):
    """The paths at which two objects differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {p for key in one.keys() | other.keys() for p in paths(one.get(key), other.get(key), f"{path}/{key}")}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return {
            p for number, (a, b) in enumerate(zip(one, other, strict=True)) for p in paths(a, b, f"{path}/{number}")
        }
    return set() if one == other else {path}


@pytest.fixture
def proposal(tmp_path):
    """A function: the project's kustomization in a folder, with the proposals whose first line begins like this."""
    shutil.copytree(MANIFESTS, tmp_path / "kubernetes")

    def write(*keys):
        text = (ROOT / "kustomization.yaml").read_text()
        for key in keys:
            block = re.search(rf"^# {key}:.*\n(?:#   .*\n)*", text, re.MULTILINE)
            text = text.replace(block[0], re.sub(r"^# ", "", block[0], flags=re.MULTILINE))
        (tmp_path / "kustomization.yaml").write_text(text)
        return tmp_path

    return write


def test_as_it_stands_it_renders_what_apply_f_applies():
    assert rendered(ROOT) == applied()


def test_namespace(proposal):
    for name, item in rendered(proposal("namespace")).items():
        assert paths(item, applied()[name]) == {"/metadata/namespace"}


def test_images(proposal):
    changed = {p for name, item in rendered(proposal("images")).items() for p in paths(item, applied()[name])}
    assert changed
    assert {path.rpartition("/")[2] for path in changed} == {"image"}
    assert "image: mysql:" not in yaml.dump(list(rendered(proposal("images")).values()))


def test_ports_and_storage_class(proposal):
    found = rendered(proposal("patches"))
    changed = {name: paths(item, applied()[name]) for name, item in found.items() if item != applied()[name]}
    environment = {"/spec/template/spec/containers/0/env"}
    assert changed == {
        ("Service", "write-app"): {"/spec/ports/0/nodePort"},
        ("Service", "read-app"): {"/spec/ports/0/nodePort"},
        ("Deployment", "write-app"): environment,
        ("Deployment", "read-app"): environment,
        ("StatefulSet", "mysql"): {"/spec/volumeClaimTemplates/0/spec/storageClassName"},
        ("PersistentVolumeClaim", "mysql-backup"): {"/spec/storageClassName"},
    }
    for app in ("write-app", "read-app"):
        ports = {"WRITE_PORT": "31000", "READ_PORT": "31001"}
        [container] = found["Deployment", app]["spec"]["template"]["spec"]["containers"]
        assert ports.items() <= {each["name"]: each.get("value") for each in container["env"]}.items()


def test_kubectl_apply_f_does_not_see_it():
    """kubectl would apply a kustomization in kubernetes/ as if it were an object, and fail."""
    assert not list(MANIFESTS.glob("kustomization.y*ml"))
