"""Both apps, each loaded from its own folder, with a database that refuses connections."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = ("DB_USER", "DB_NAME", "DB_TLS", "DB_CA", "READ_PORT", "WRITE_PORT", "BIND", "METRICS_PORT", "ACCESS_LOG")


def load(folder, monkeypatch, **variables):
    """Import app.py and its neighbours of one folder, as fresh modules. Returns them by name, app as `module`."""
    path = ROOT / folder
    names = {file.stem for file in path.glob("*.py")}
    for variable in SETTINGS:
        monkeypatch.delenv(variable, raising=False)
    defaults = {"DB_HOST": "127.0.0.1", "DB_PORT": "1", "DB_PASSWORD": "password123", "POD_NAME": f"{folder}-0"}
    defaults["VERSION"] = "1.2.3"
    for variable, value in (defaults | variables).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.syspath_prepend(str(path))
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    try:
        module = importlib.import_module("app")
    finally:
        loaded = {name: sys.modules.pop(name) for name in names & sys.modules.keys()}
    module.app.config["TESTING"] = False  # as in production: a mistake is answered with 500
    return SimpleNamespace(**loaded | {"module": module, "client": module.app.test_client(), "folder": path})


@pytest.fixture(scope="module")
def patch():
    """A monkeypatch for all tests of a file."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def write_app(patch):
    """write-app, with its test client as `client`."""
    return load("write-app", patch)


@pytest.fixture(scope="module")
def read_app(patch):
    """read-app, with its test client as `client`."""
    loaded = load("read-app", patch)
    patch.setattr(loaded.database, "TRY_FOR", 0.1)  # seconds; there is no database to wait for
    return loaded


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """The file of a certificate authority."""
    folder = tmp_path_factory.mktemp("authority")
    assert shutil.which("openssl"), "these tests need openssl"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=authority -keyout ca.key -out ca.crt"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return str(folder / "ca.crt")
