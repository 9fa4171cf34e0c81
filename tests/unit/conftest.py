"""Both apps, each loaded from its own folder, with a database that refuses connections."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]


def load(folder, monkeypatch):
    """Import app.py and its neighbours of one folder, as fresh modules. Returns them by name, app as `module`."""
    path = ROOT / folder
    names = {file.stem for file in path.glob("*.py")}
    for variable in ("DB_PORT", "DB_CA", "DB_NAME", "DB_USER", "READ_PORT", "WRITE_PORT", "PROMETHEUS_MULTIPROC_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DB_HOST", "127.0.0.1")
    monkeypatch.setenv("DB_PORT", "1")
    monkeypatch.setenv("POD_NAME", f"{folder}-0")
    monkeypatch.syspath_prepend(str(path))
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("app")
    loaded = {name: sys.modules.pop(name) for name in names & sys.modules.keys()}
    module.app.config["TESTING"] = False  # as in production: a mistake is answered with 500
    return SimpleNamespace(**loaded | {"module": module, "client": module.app.test_client()})


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
    patch.setattr(loaded.database, "TRY_FOR", 0.5)  # seconds; there is no database to wait for
    return loaded
