"""Shell scripts, the ConfigMaps' too, pass shellcheck; Dockerfiles pass hadolint; Python passes ruff."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def check(*command):
    result = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert result.returncode == 0, result.stdout + result.stderr


def files():
    """The files of the project, without what make and its tools put into ignored folders."""
    for entry in PROJECT.iterdir():
        if entry.name not in (".git", ".venv", ".cache", ".demo"):
            yield from (path for path in [entry, *entry.rglob("*")] if path.is_file())


def is_shell(file):
    with file.open("rb") as opened:
        first = opened.readline()
    return first.startswith(b"#!") and first.split()[-1].endswith(b"sh")


def config_maps():
    """The ConfigMaps that have scripts, {name: {key: text}}."""
    found = {}
    for file in sorted(
        [*(PROJECT / "kubernetes").glob("*.yaml"), *(PROJECT / "kubernetes").glob("lessons/failover/*.yaml")]
    ):
        for item in yaml.safe_load_all(file.read_text()):
            if item and item["kind"] == "ConfigMap":
                found[item["metadata"]["name"]] = {k: text for k, text in item["data"].items() if k.endswith(".sh")}
    return {name: scripts for name, scripts in found.items() if scripts}


@pytest.mark.parametrize(
    "file", [pytest.param(file, id=str(file.relative_to(PROJECT))) for file in files() if is_shell(file)]
)
def test_shell_scripts(file):
    check(BIN / "shellcheck", "--external-sources", file)


@pytest.mark.parametrize("name", config_maps())
def test_config_map_scripts(name, tmp_path):
    for key, text in config_maps()[name].items():
        # They source each other where they are in the pod.
        (tmp_path / key).write_text(text.replace(". /scripts/", f". {tmp_path}/"))
    check(BIN / "shellcheck", "--external-sources", *tmp_path.iterdir())


def test_mysql_runs_scripts_of_its_config_map():
    assert {"identity.sh", "prepare.sh", "start.sh", "primary.sh", "replica.sh", "ready.sh"} <= config_maps()[
        "mysql"
    ].keys()


@pytest.mark.parametrize("app", ["write-app", "read-app"])
def test_dockerfiles(app):
    check(BIN / "hadolint", f"{app}/Dockerfile")


@pytest.mark.parametrize("command", [("check",), ("format", "--check")])
def test_python(command):
    check(BIN / "ruff", *command, ".")
