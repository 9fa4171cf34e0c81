"""make demo and make test are told to stop while they download or run: they say so, and leave nothing behind.

demo/fresh-machine-test does the same with real downloads.
"""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from running_demo import PROJECT, free_ports, why_not_here

SLOW_STEP = "#!/bin/sh\ntrap '' INT TERM\necho downloading\nsleep 300 &\nwait\nsleep 300\n"
PATH = {"PATH": "/usr/bin:/bin"}  # where no mysqld is, so that the demo downloads one


@pytest.fixture
def tree(tmp_path):
    """A copy of the project in which a download never ends, and does not stop when it is told to."""
    for name in ("demo", "kubernetes"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "demo" / "unpack").write_text(SLOW_STEP)
    return tmp_path


def start(command, **environment):
    """A command that prints into a pipe, in its own session. It hears SIGHUP under nohup and SIGINT behind `&`."""
    return subprocess.Popen(
        ["/usr/bin/env", "--default-signal=HUP,INT", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
        start_new_session=True,
    )


def rest(process):
    """What a process still prints. The end of that comes when all that it started has ended, too."""
    return process.communicate(timeout=30)[0]


def wait_for_line(process, text):
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"{process.args} did not print {text!r}")


@pytest.mark.skipif(bool(why_not_here()), reason=why_not_here())
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_demo_during_its_download(tree, number):
    ports = dict(zip(("WRITE_PORT", "READ_PORT"), map(str, free_ports(2)), strict=True))
    unfinished = tree / ".cache" / "mysql-root.part"
    unfinished.mkdir(parents=True)  # what a machine that lost its power leaves
    for _ in range(2):  # the second start does not take what is there for a download that is complete
        process = start([sys.executable, tree / "demo" / "run.py"], **ports, **PATH)
        wait_for_line(process, "downloading")
        assert not unfinished.exists()
        process.send_signal(number)
        assert "Stopped while MySQL was being downloaded" in rest(process)
        assert process.returncode == 128 + number
        assert [path.name for path in (tree / ".cache").iterdir()] == ["mysql-root.lock"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_step_of_a_script(tree, number):
    script = (
        f'stopped="Stopped, and it goes on."; . {tree}/demo/stoppable.sh; stoppable sh {tree}/demo/unpack; echo never'
    )
    process = start(["sh", "-c", script])
    wait_for_line(process, "downloading")
    process.send_signal(number)
    assert rest(process) == "Stopped, and it goes on.\n"
    assert process.returncode == 128 + number


def test_python_packages_are_installed_again_when_any_requirement_changed(tree):
    shutil.copy(PROJECT / "demo" / "unpack", tree / "demo" / "unpack")
    files = [tree / name for name in ("requirements-lint.txt", "write-app/requirements.txt")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("")

    def install():
        command = [tree / "demo" / "python-env", ".cache/lint", "requirements-lint.txt"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    assert "Installing the Python packages" in install()
    assert install() == ""
    for file in files:
        file.write_text("# changed\n")
        assert "Installing the Python packages" in install()
    assert install() == ""


def test_python_packages_are_installed_without_the_tools_that_macos_lacks(tree):
    """It has neither flock nor setsid."""
    for name in ("requirements-lint.txt", "write-app/requirements.txt"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("")
    tools = tree / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "cat", "tr", "mkdir", "touch", "rm", "df", "awk"):
        (tools / name).symlink_to(shutil.which(name))
    (tools / "python3").write_text(f'#!/bin/sh\nexec {sys.base_prefix}/bin/python3 "$@"\n')
    (tools / "python3").chmod(0o755)
    command = [tree / "demo" / "python-env", ".cache/lint", "requirements-lint.txt"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PATH": str(tools)}, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "flock" not in done.stderr


def test_tests_clean_up_when_they_are_terminated(tmp_path):
    """Like Ctrl-C, SIGTERM lets fixtures delete and stop what they made."""
    test = tmp_path / "test_waits.py"
    test.write_text(
        "import pathlib, signal, pytest\n"
        "@pytest.fixture\n"
        "def thing():\n"
        "    yield\n"
        f"    pathlib.Path({str(tmp_path / 'deleted')!r}).touch()\n"
        "def test_waits(thing):\n"
        "    print('waiting', flush=True)\n"
        "    signal.pause()\n"
    )
    command = [sys.executable, "-m", "pytest", "-s", "-p", "conftest", f"--rootdir={tmp_path}", "-c", os.devnull, test]
    process = start(command, PYTHONPATH=str(PROJECT / "tests"))
    wait_for_line(process, "waiting")
    process.terminate()
    assert "stopped by SIGTERM" in rest(process)
    assert process.returncode == 128 + signal.SIGTERM
    assert (tmp_path / "deleted").exists()


def test_browser_download(tree):
    (tree / "tests").mkdir()
    shutil.copy(PROJECT / "tests" / "chromium", tree / "tests")
    # Without any of the programs that it looks for first.
    tools = tree / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "rm", "setsid", "sleep"):
        (tools / name).symlink_to(shutil.which(name))
    process = start([tree / "tests" / "chromium"], PATH=str(tools))
    wait_for_line(process, "downloading")
    process.terminate()
    assert "Stopped while Chromium was being downloaded" in rest(process)
    assert process.returncode == 128 + signal.SIGTERM
    assert not list((tree / ".cache").glob("chromium*"))
