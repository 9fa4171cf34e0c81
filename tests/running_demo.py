"""The demo of `make demo`, started for tests: on free ports, with its own empty data folder."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SECONDS_TO_START = 600  # about 15; in a new clone it downloads MySQL first


class Demo:
    """A running demo: two MySQL servers, mysql-0 and mysql-1 (or `replicas`), write-app and read-app.

    write_url, read_url   where the apps answer, "http://127.0.0.1:PORT"
    folder                its data; folder/"log" is what all parts printed

    Servers are named by their number: 0 is the primary. Methods raise AssertionError with what was waited for,
    or subprocess.CalledProcessError with what a command printed.
    """

    def __init__(self, manifests=PROJECT / "kubernetes", replicas=None, folder=None):
        self.folder = folder or new_folder()
        write_port, read_port = free_ports(2)
        self.write_url, self.read_url = f"http://127.0.0.1:{write_port}", f"http://127.0.0.1:{read_port}"
        self.log = self.folder / "log"
        environment = os.environ | {"WRITE_PORT": str(write_port), "READ_PORT": str(read_port)}
        environment["REPLICAS"] = str(replicas or "")
        command = [sys.executable, PROJECT / "demo" / "run.py", "--folder", self.folder, "--manifests", manifests]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)

    # -- starting and stopping

    def wait_until_up(self):
        """Wait until both pages answer; say what the demo printed if it ends before."""
        wait_until(
            lambda: self.process.poll() is not None or "Everything is up" in self.log.read_text(),
            SECONDS_TO_START,
            self.tail,
        )
        assert self.process.poll() is None, self.tail()
        return self

    def tail(self):
        """The last lines that the demo printed."""
        return "The demo's last lines:\n" + "\n".join(self.log.read_text().splitlines()[-40:])

    def close(self):
        """Stop everything and delete the data."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        shutil.rmtree(self.folder)

    # -- looking at it and breaking it

    def exec(self, pod, *command, check=True):
        """Run a command in a pod ("mysql-1", "read-app-0"), like kubectl exec; what it printed."""
        result = subprocess.run(
            [PROJECT / "demo" / "exec", "--folder", self.folder, pod, *command],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if check and result.returncode:
            said = result.stderr + result.stdout
            raise AssertionError(f"{command} in {pod} ended with {result.returncode}: {said}\n{self.tail()}")
        return result.stdout

    def sql(self, server, statement):
        """Run SQL as root on server N; its rows as lists of strings, NULL as "NULL"."""
        lines = self.exec(f"mysql-{server}", "mysql", "-u", "root", "--batch", "--skip-column-names", "-e", statement)
        return [line.split("\t") for line in lines.splitlines()]

    def signal_server(self, server, name):
        """Send a signal ("KILL") to mysqld of server N."""
        # With the killed server its container ends, and this command may end with it.
        command = f'kill -{name} "$(</var/run/mysqld/mysqld.pid)"'
        self.exec(f"mysql-{server}", "bash", "-c", command, check=name != "KILL")

    def kill(self, server):
        """kill -9 of mysqld; the container is started again, with the same data."""
        self.signal_server(server, "KILL")

    def freeze(self, server):
        """The server stops answering, with its connections open."""
        self.signal_server(server, "STOP")

    def unfreeze(self, server):
        self.signal_server(server, "CONT")

    def stop(self, server):
        """Remove the pod, as if it was scaled away; its data is kept. Returns when it is gone."""
        (self.folder / "stopped" / f"mysql-{server}").touch()
        wait_until(lambda: "no running pod" in self._try(server), 90, f"mysql-{server} did not stop")

    def start(self, server):
        """Make the pod again after `stop`; returns at once, see wait_until_ready."""
        (self.folder / "stopped" / f"mysql-{server}").unlink(missing_ok=True)

    def is_ready(self, server):
        """The readiness probe of server N succeeds now."""
        return "READY" in self._try(server)

    def wait_until_ready(self, server, seconds=90):
        """Wait until server N serves reads."""
        wait_until(
            lambda: self.is_ready(server), seconds, lambda: f"mysql-{server} did not become ready: {self._try(server)}"
        )

    def _try(self, server):
        command = [PROJECT / "demo" / "exec", "--folder", self.folder, f"mysql-{server}", "bash", "-c"]
        probe = "timeout 5 bash /scripts/ready.sh 2>&1 && echo READY"
        result = subprocess.run([*command, probe], capture_output=True, text=True, timeout=60)
        return result.stdout + result.stderr


def wait_until(condition, seconds, message):
    """Ask `condition` until it is true and return its value; after `seconds` fail with `message` (or its result)."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s: {message() if callable(message) else message}")
        time.sleep(0.1)
    return value


def new_folder():
    """An empty folder for the data of a demo."""
    cache = PROJECT / ".cache"
    cache.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="test-demo-", dir=cache))


def remove_abandoned():
    """Delete the data of demos whose tests were killed: an hour old, and nothing runs in it."""
    for folder in (PROJECT / ".cache").glob("test-demo-*"):
        with contextlib.suppress(OSError), (folder / "pid").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - folder.stat().st_mtime > 3600:
                shutil.rmtree(folder)


def free_ports(count):
    """Numbers of ports on which nothing listens on the loopback interface."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def why_not_here():
    """The reason why the demo cannot run on this machine, or an empty string."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the demo's servers need Linux and root: sudo make test"
    return ""
