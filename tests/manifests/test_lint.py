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


def config_map_scripts():
    for file in sorted((PROJECT / "kubernetes").glob("*.yaml")):
        for item in yaml.safe_load_all(file.read_text()):
            if item and item["kind"] == "ConfigMap":
                yield from (
                    (f"{item['metadata']['name']}-{key}", text)
                    for key, text in item["data"].items()
                    if key.endswith(".sh")
                )


@pytest.mark.parametrize(
    "file", [pytest.param(file, id=str(file.relative_to(PROJECT))) for file in files() if is_shell(file)]
)
def test_shell_scripts(file):
    check(BIN / "shellcheck", "--external-sources", file)


def test_config_map_scripts(tmp_path):
    scripts = dict(config_map_scripts())
    assert len(scripts) >= 4
    for name, text in scripts.items():
        # Where common.sh is in the pod is not where it is here.
        config_map = name.rsplit("-", 1)[0]
        (tmp_path / name).write_text(text.replace(". /scripts/", f". {tmp_path}/{config_map}-"))
    check(BIN / "shellcheck", "--external-sources", *(tmp_path / name for name in scripts))


@pytest.mark.parametrize("app", ["write-app", "read-app"])
def test_dockerfiles(app):
    check(BIN / "hadolint", f"{app}/Dockerfile")


@pytest.mark.parametrize("command", [("check",), ("format", "--check")])
def test_python(command):
    check(BIN / "ruff", *command, ".")
