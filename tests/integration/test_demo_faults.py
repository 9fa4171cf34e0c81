"""make demo says in a sentence what keeps it from starting, leaves nothing behind, and starts when that is solved."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from running_demo import PROJECT, Demo, free_ports, new_folder, wait_until, why_not_here

RUN = [sys.executable, PROJECT / "demo" / "run.py"]
pytestmark = pytest.mark.skipif(bool(why_not_here()), reason=why_not_here())


@pytest.fixture
def folder():
    made = new_folder()
    yield made
    shutil.rmtree(made)


def refused(command, **environment):
    """What a command that fails prints, without what comes before the last line."""
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=PROJECT, env=os.environ | environment, timeout=120
    )
    assert result.returncode not in (0, -9), result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def processes_of(folder):
    """Processes that have `folder` on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and os.fsencode(folder) in (entry / "cmdline").read_bytes():
                found.append(entry.name)
        except OSError:  # it ended meanwhile
            continue
    return found


def test_port_in_use(folder):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        sentence = refused([*RUN, "--folder", folder], WRITE_PORT=port)
    assert f"port {port} is in use" in sentence
    assert "make demo WRITE_PORT=" in sentence


def test_not_root(folder):
    code = (
        "import os, runpy, sys; os.geteuid = lambda: 1; sys.argv.pop(0); runpy.run_path(sys.argv[0], None, '__main__')"
    )
    assert "sudo make demo" in refused([sys.executable, "-c", code, *RUN[1:], "--folder", folder])


def test_runs_already(demo):
    ports = free_ports(2)
    environment = {"WRITE_PORT": str(ports[0]), "READ_PORT": str(ports[1])}
    assert "already runs" in refused([*RUN, "--folder", demo.folder], **environment)


def test_number_of_replicas(folder):
    assert "REPLICAS=many is not a number" in refused([*RUN, "--folder", folder], REPLICAS="many")


def test_full_disk(folder):
    ports = free_ports(2)
    command = f"mount -t tmpfs -o size=50M tmpfs {folder} && exec {sys.executable} {RUN[1]} --folder {folder}"
    environment = {"WRITE_PORT": str(ports[0]), "READ_PORT": str(ports[1])}
    sentence = refused(["unshare", "--mount", "sh", "-c", command], **environment)
    assert "MB are free. Free some space" in sentence


def test_no_network_for_mysql(folder):
    refused(["unshare", "--net", "demo/mysql-root", folder / "root", "mysql-server-core"])
    assert [path.name for path in folder.iterdir()] == ["root.lock"]


def test_no_network_for_python_packages(folder):
    sentence = refused(
        ["unshare", "--net", "demo/python-env", folder / "env", "demo/requirements.txt"], PIP_RETRIES="0"
    )
    assert "is the package index reachable" in sentence


def test_killed_demo_leaves_nothing_and_starts_again_with_what_the_config_map_says_now(folder, tmp_path):
    """Also: the demo runs the scripts and the configuration of the ConfigMap, not copies of them."""
    demo = Demo(folder=folder, replicas=1)
    try:
        wait_until(lambda: "beginning with an empty database" in demo.log.read_text(), 60, demo.tail)
    finally:
        demo.process.kill()
        demo.process.wait()
    wait_until(lambda: not processes_of(folder), 10, lambda: f"these go on: {processes_of(folder)}")

    manifests = tmp_path / "kubernetes"
    shutil.copytree(PROJECT / "kubernetes", manifests)
    changed = (manifests / "mysql-statefulset.yaml").read_text()
    changed = changed.replace("[mysqld]\n", "[mysqld]\n    long_query_time = 77\n", 1)
    changed = changed.replace("this is the primary", "THIS TEXT WAS CHANGED", 1)
    (manifests / "mysql-statefulset.yaml").write_text(changed)
    assert any(yaml.safe_load_all(changed))

    demo = Demo(folder=folder, replicas=1, manifests=manifests)
    try:
        demo.wait_until_up()
        assert demo.sql(0, "SELECT @@GLOBAL.long_query_time") == [["77.000000"]]
        assert "THIS TEXT WAS CHANGED" in demo.log.read_text()
    finally:
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(60) == 130
    assert "make demo: stopped. The data is kept" in demo.tail()
    assert processes_of(folder) == []
    assert (folder / "data" / "mysql-0" / "data").is_dir()
