"""The programs that are compared, run inside the network of a running demo, and what they cost."""

import ctypes
import json
import os
import shutil
import subprocess
import time
import urllib.request
import uuid
from pathlib import Path

from bench import report
from manifests import Manifests
from running_demo import PROJECT

HERE = PROJECT / "bench"
TICKS = os.sysconf("SC_CLK_TCK")  # of /proc's CPU times, a second
# ours, naive, ceiling; spared: naive, but for the certificates; flask: the ceiling's functions as routes of Flask
KINDS = ("ours", "naive", "ceiling", "spared", "flask")
PASSWORD = "benchmark123"  # noqa: S105 - of accounts that live as long as the run
GUNICORN = ["gunicorn", "app:app"]  # as in the Dockerfiles
SAME_GUNICORN = ["gunicorn", "--config", str(PROJECT / "write-app" / "gunicorn.conf.py")]
NAIVE = ["flask", "--app", "naive", "run", "--port"]  # and the port


class Server:
    """A program that answers HTTP in the demo's network.

    demo: a running_demo.Demo; kind: one of KINDS, which is also its account in MySQL;
    app: "read-app" or "write-app", whose environment it gets; database: what `fill` made, each app uses its own.
    """

    def __init__(self, demo, kind, app, database, port):
        self.kind, self.database, self.url = kind, database, f"http://127.0.0.1:{port}"
        folder = PROJECT / app if kind == "ours" else HERE
        command = {
            "ours": GUNICORN,
            "naive": [*NAIVE, str(port)],
            "spared": [*NAIVE, str(port)],
            "ceiling": [*SAME_GUNICORN, "ceiling:app"],
            "flask": [*SAME_GUNICORN, "flask_ceiling:app"],
        }[kind]
        manifests = Manifests(PROJECT / "kubernetes")
        pod = manifests.pod(f"{app}-0")
        environment = manifests.environment(pod.spec["containers"][0], pod) | {
            "PATH": f"{PROJECT}/.venv/bin:{os.environ['PATH']}",
            "BIND": "127.0.0.1",
            "PORT": str(port),
            "METRICS_PORT": str(port + 1000),
            "DB_USER": kind,
            "DB_PASSWORD": PASSWORD,
            "DB_NAME": database_of(app, database),
        }
        if kind == "spared":
            environment["SPARED"] = "1"
        began = time.monotonic()
        with demo.log.open("a") as log:
            self.process = subprocess.Popen(
                [*inside(demo), f"--wd={folder}", *command], env=environment, stdout=log, stderr=log
            )
        while not self.is_ready("/readyz" if kind == "ours" else "/mysql-pod"):
            if self.process.poll() is not None or time.monotonic() - began > 30:
                raise RuntimeError(f"{kind} {app} did not start. {demo.tail()}")
            time.sleep(0.02)
        self.cold_start = time.monotonic() - began  # seconds until the first answer of the database

    def is_ready(self, path):
        """Tell whether it answers, and the database too."""
        try:
            return bool(ask(self.url + path))
        except OSError:
            return False

    def processes(self):
        """The ids of the processes that answer."""
        return descendants(self.process.pid)

    def close(self):
        """End it."""
        for pid in self.processes()[:1]:
            subprocess.run(["kill", str(pid)])
        self.process.wait(30)


def enter_network(demo):
    """Move this thread, and what it starts from now on, into the network of the demo."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{first_process(demo)}/ns/net") as network:
        if libc.setns(network.fileno(), 0):
            raise OSError(ctypes.get_errno(), "cannot enter the demo's network")


def first_process(demo):
    """The id of the first process of the demo's namespaces."""
    return (demo.folder / "pid").read_text().strip()


def inside(demo):
    """The command that runs another where the names of Services resolve."""
    return ["nsenter", f"--target={first_process(demo)}", "--mount", "--pid"]


def make_accounts(demo):
    """An account in MySQL for each kind, so that performance_schema tells their statements apart."""
    for server in (0, 1):  # each thread of the ceiling keeps a connection
        demo.sql(server, "SET GLOBAL max_connections = 1000")
    for kind in KINDS:
        demo.sql(0, f"CREATE USER IF NOT EXISTS {kind} IDENTIFIED BY '{PASSWORD}' REQUIRE SSL")
        demo.sql(0, f"GRANT SELECT, INSERT ON *.* TO {kind}")
        demo.sql(0, f"GRANT REPLICATION CLIENT ON *.* TO {kind}")


def fill(demo, database, count):
    """Make a database with `count` users for each app, and wait until the replica has them."""
    batch = min(count, 50_000)
    for name in (database_of("read-app", database), database_of("write-app", database)):
        demo.sql(0, f"CREATE DATABASE {name}")
        demo.sql(0, f"CREATE TABLE {name}.users LIKE userdb.users")
        for first in range(0, count, batch):
            demo.sql(0, users(name, first + 1, first + batch))
    catch_up(demo)


def database_of(app, database):
    """The name of an app's own database: what one registers must not become more and more for the other to read."""
    return f"{app.removesuffix('-app')}_{database}"


def users(database, first, last):
    """SQL that inserts the users `first` to `last`."""
    return f"""SET cte_max_recursion_depth = {last};
        INSERT INTO {database}.users (name, email) WITH RECURSIVE numbers (n) AS
          (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
        SELECT 'Load Test', CONCAT('u', n, '@example.com') FROM numbers"""  # noqa: S608 - of this program only


def catch_up(demo):
    """Wait until the replica has all that the primary has."""
    ((gtids,),) = demo.sql(0, "SELECT REPLACE(@@gtid_executed, '\\n', '')")
    demo.sql(1, f"SELECT WAIT_FOR_EXECUTED_GTID_SET('{gtids}')")


def settle(server):
    """Wait until a server has nothing left to do: a slow one works on for clients that have gone."""
    before = None
    while before != (now := cpu_seconds(server.processes())):
        before = now
        time.sleep(0.1)


def load(wrk, url, clients, seconds, script=HERE / "load.lua"):
    """Let `clients` clients ask for `url` for `seconds`; {"requests", "seconds", "p50_ms", "p99_ms", "errors"}.

    wrk: the command that runs wrk, here or in a pod; script: where load.lua is for it.
    """
    command = [*wrk, "--threads=1", f"--connections={clients}", f"--duration={seconds}s", "--timeout=10s"]
    command += [f"--script={script}", url]
    if url.endswith("/submit"):
        command += ["--", uuid.uuid4().hex]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    return report.load_figures(output.splitlines()[-1])


def find_wrk():
    """The command that runs wrk: this machine's, or Debian's, unpacked into .cache once."""
    if found := shutil.which("wrk"):
        return [found]
    folder = PROJECT / ".cache" / "wrk"
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run([PROJECT / "demo" / "unpack", part, "wrk"], check=True)
        part.rename(folder)
    libraries = {str(library.parent) for library in folder.rglob("lib*.so*")}
    return ["env", f"LD_LIBRARY_PATH={':'.join(libraries)}", str(folder / "usr" / "bin" / "wrk")]


# -- what it costs


def descendants(pid):
    """The ids of a process's children, and of theirs."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return children + [each for child in children for each in descendants(child)]


def mysqld_processes(demo):
    """The ids of the demo's MySQL servers."""
    return [pid for pid in descendants(demo.process.pid) if Path(f"/proc/{pid}/comm").read_text() == "mysqld\n"]


def cpu_seconds(pids):
    """CPU time that processes have used, in seconds."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])  # utime and stime
    return total / TICKS


def memory(pids):
    """Memory of processes in MB as a pod's would be counted: what they share is counted once."""
    own = sum(number(f"/proc/{pid}/smaps_rollup", "Pss_Anon") for pid in pids)
    return (own + max(number(f"/proc/{pid}/status", "RssFile") for pid in pids)) / 1000


def number(path, name):
    """The number after a name in a file in /proc."""
    return next(int(line.split()[1]) for line in Path(path).read_text().splitlines() if line.startswith(f"{name}:"))


def asked(demo, kind):
    """How many statements and how many new connections the account `kind` has made, at both servers."""
    statements = connections = 0
    for server in (0, 1):
        ((count, opened),) = demo.sql(
            server,
            f"""SELECT (SELECT SUM(COUNT_STAR) FROM performance_schema.events_statements_summary_by_user_by_event_name
              WHERE USER = '{kind}'), (SELECT TOTAL_CONNECTIONS FROM performance_schema.users WHERE USER = '{kind}')""",  # noqa: S608 - as above
        )
        statements += int(count) if count != "NULL" else 0
        connections += int(opened) if opened != "NULL" else 0
    return statements, connections


def ask(url, timeout=5):
    """The JSON that a URL answers."""
    with urllib.request.urlopen(url, timeout=timeout) as response:  # noqa: S310 - our own server
        return json.load(response)


def connections(pids):
    """How many TCP connections to MySQL processes have open."""
    sockets = {os.readlink(each) for pid in pids for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()}
    lines = [line.split() for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
    # Port 3306 at the far end, and an inode that is one of the processes' sockets.
    return sum(line[2].endswith(f":{3306:04X}") and f"socket:[{line[9]}]" in sockets for line in lines)
