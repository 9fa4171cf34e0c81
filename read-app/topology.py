"""How the MySQL pods replicate. Each pod is asked directly.

The pods are found through the headless Service, so those that are not ready are seen, too. All are asked at the same
time, over connections that are kept, once a second while there are viewers. No viewer waits for a pod that is silent:
each gets what is known, and its age.
"""

import json
import re
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import dns.exception
import pymysql
from pymysql.constants import ER
from pymysql.cursors import DictCursor

import metrics
import resolver
import settings
from connection import Connection
from errors import advice, code_of, log_reason

TIMEOUT = 1.0  # seconds for a pod to answer
EVERY = 1.0  # seconds between two looks: many open pages cost as much as one
FIRST_LOOK = 0.2  # seconds, at most, that the first viewer waits
WATCH_FOR = 5.0  # seconds after the last viewer

SERVER = """
SELECT @@server_id, @@global.read_only, REPLACE(@@global.gtid_executed, '\\n', ''), (
  SELECT JSON_OBJECTAGG(VARIABLE_NAME, VARIABLE_VALUE) FROM performance_schema.global_status
  WHERE VARIABLE_NAME IN ('Rpl_semi_sync_source_status', 'Rpl_semi_sync_source_clients', 'Rpl_semi_sync_replica_status',
    'Ssl_server_not_after')
)
"""
# The transactions that a replica has and another pod lacks, and the reverse.
COMPARE = """
SELECT REPLACE(GTID_SUBTRACT(%s, @@global.gtid_executed), '\\n', ''),
  REPLACE(GTID_SUBTRACT(@@global.gtid_executed, %s), '\\n', '')
"""


@dataclass
class Pod:
    """A MySQL pod. A value is None when it is unknown or does not apply."""

    name: str
    address: str | None = None
    server_id: int | None = None
    role: str | None = None  # primary or replica
    source: str | None = None  # the pod that it follows
    receiver: bool | None = None  # is this thread running?
    applier: bool | None = None
    lag_seconds: int | None = None
    lag_transactions: int | None = None  # behind its source
    lag_primary_transactions: int | None = None  # behind the primary
    semi_sync: bool | None = None  # is it on? a primary waits for acknowledgements, a replica sends them
    semi_sync_clients: int | None = None
    certificate_ends: float | None = None  # seconds since 1970
    read_only: bool | None = None
    ready: bool = False
    error: str | None = None  # a sentence
    extra_transactions: str | None = None  # GTIDs that its source lacks
    executed: str | None = None  # GTIDs
    listed: bool = True  # DNS has a record of it

    def entry(self) -> dict[str, Any]:
        """Return the entry of /topology."""
        return {name: value for name, value in asdict(self).items() if name not in ("executed", "listed")}

    @property
    def copying(self) -> str:
        """How this replica receives data, empty if it does not."""
        if not (self.receiver and self.applier) or self.extra_transactions:
            return ""
        return "copied, and confirmed (semi-sync)" if self.semi_sync else "copied (asynchronous)"

    def in_words(self) -> tuple[str, str, str]:
        """Return how the pod is: "good", "warn" or "bad", what it does, and a few words more."""
        behind = self.lag_transactions or 0
        if not self.listed:
            return "bad", "is gone", "The StatefulSet recreates it."
        if not self.role:
            return "bad", "does not answer", "Starting, or in trouble: see below."
        if self.role == "primary" and self.read_only:
            return "warn", "is not open for writes yet", ""
        if self.role == "primary":
            more = "and waits for a replica to confirm it" if self.semi_sync else "No replica confirms writes now."
            return "good", "takes every write", more
        if self.extra_transactions:
            return "bad", f"has diverged from {self.source}", "A person must decide: see below."
        if not self.applier or not self.ready:
            return "bad", "is not copying", "Why: see below."
        if not self.receiver:
            return "warn", f"waits for {self.source}", "and serves what it has"
        if self.lag_seconds or behind > 5:
            more = f"{behind} transactions to apply" if behind else ""
            return "warn", f"{self.lag_seconds or 0} s behind {self.source}", more
        return "good", f"up to date with {self.source}", "confirms what it has received" if self.semi_sync else ""


@dataclass
class State:
    """The state of all pods, and of DNS, at one moment."""

    pods: list[Pod] = field(default_factory=list)
    names: list[dict[str, Any]] = field(default_factory=list)  # what resolver.table returned
    error: str | None = "Nothing is known of the MySQL pods yet."
    taken: float = field(default_factory=time.monotonic)

    def age(self) -> float:
        """Return how many seconds ago the look began."""
        return round(time.monotonic() - self.taken, 1)

    def drawn(self, seen: int) -> dict[str, Any]:
        """Return what live.html draws: every ordinal up to the last pod or to `seen`, including pods that are gone."""
        known = {int(pod.name.rpartition("-")[2]): pod for pod in self.pods}
        last = min(max(max(known, default=0) + 1, seen), 20)
        pods = [known.get(ordinal) or Pod(f"mysql-{ordinal}", listed=False) for ordinal in range(last)]
        return {"pods": pods, "names": self.names, "error": self.error, "state_age": self.age()}


class Watch:
    """The latest state. One thread looks again every second while there are viewers."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.state = State()
        self.viewed = 0.0
        self.running = False

    def look(self) -> State:
        """Return the latest state. Only the first viewer after a pause waits, for a fraction of a second at most."""
        with self.changed:
            self.viewed = time.monotonic()
            if not self.running:
                self.running = True
                threading.Thread(target=self.run, daemon=True).start()
                self.changed.wait(FIRST_LOOK)
            return self.state

    def run(self) -> None:
        try:
            while time.monotonic() - self.viewed < WATCH_FOR:
                state = look()
                with self.changed:
                    self.state = state
                    self.changed.notify_all()
                time.sleep(max(0.0, EVERY - (time.monotonic() - state.taken)))
        finally:
            self.running = False


watch = Watch()
threads = ThreadPoolExecutor(16, "topology")
connections: dict[str, Connection] = {}  # by MySQL pod


def look() -> State:
    """Ask DNS and every MySQL pod. Then ask every source whether it has what its replica has."""
    state = State(error=None)
    try:
        names = resolver.mysql_pods()
    except dns.exception.DNSException:
        names = sorted(connections)
        state.error = f"DNS has no record of the headless Service {settings.MYSQL_SERVICE}: no MySQL pod, or no DNS."
    for name in connections.keys() - set(names):
        connections.pop(name).close()
    table = threads.submit(resolver.table, names or ["mysql-0", "mysql-1"])
    state.pods = list(threads.map(ask, names))
    # Compare after all pods were asked. Otherwise a transaction that commits in between would seem to be missing on the
    # source. Ask one after another, because only one thread at a time can use a connection.
    for pod in state.pods:
        if pod.role == "replica":
            compare(pod)
    state.names = table.result()
    return state


def ask(name: str) -> Pod:
    pod, asked = Pod(name), time.monotonic()
    host = f"{name}.{settings.MYSQL_SERVICE}"
    while pod.role is None:
        kept = connections.get(name)
        try:
            connection = connections[name] = kept or Connection(host, TIMEOUT)
            pod.address = connection.address
            pod.server_id, pod.read_only, pod.executed, values = connection.row(SERVER)
            with connection.mysql.cursor(DictCursor) as cursor:
                cursor.execute("SHOW REPLICA STATUS")
                describe(pod, json.loads(values or "{}"), cursor.fetchone())
        except (pymysql.Error, OSError) as error:
            if broken := connections.pop(name, None):
                broken.close()
            # The pod may be a new one of the same name. One that did not answer is not asked again.
            if not kept or time.monotonic() - asked >= TIMEOUT:
                log_reason(advice(error, host))
                addresses = resolver.resolve(host)["addresses"]
                return Pod(name, addresses[0] if addresses else None, error=why_silent(name, error))
    return pod


def describe(pod: Pod, values: dict[str, str], status: dict[str, Any] | None) -> None:
    """Fill in the fields from SHOW REPLICA STATUS, and semi-sync and the certificate from the status variables."""
    pod.read_only = bool(pod.read_only)
    if ends := values.get("Ssl_server_not_after"):
        pod.certificate_ends = ssl.cert_time_to_seconds(ends)
    if status is None:
        pod.role, pod.ready = "primary", True
        pod.semi_sync = values.get("Rpl_semi_sync_source_status") == "ON"
        pod.semi_sync_clients = int(values.get("Rpl_semi_sync_source_clients", 0))
        if pod.read_only:
            pod.error = f"{pod.name} is not open for writes yet. Its log says why: kubectl logs {pod.name}"
        return
    pod.role = "replica"
    pod.semi_sync = values.get("Rpl_semi_sync_replica_status") == "ON"
    pod.source = status["Source_Host"].removesuffix(f".{settings.MYSQL_SERVICE}")
    pod.receiver = status["Replica_IO_Running"] == "Yes"
    pod.applier = status["Replica_SQL_Running"] == "Yes"
    pod.lag_seconds = status["Seconds_Behind_Source"]
    mysql = f"kubectl exec {pod.name} -- mysql -u root"
    number = status["Last_SQL_Errno"] or (status["Replica_IO_Running"] == "No" and status["Last_IO_Errno"])
    pod.ready = not number
    if number:
        pod.error = f"Replication stopped with MySQL error {number}: {mysql} --vertical -e 'SHOW REPLICA STATUS'"
    elif status["Replica_IO_Running"] == "Connecting":
        pod.error = f"{pod.name} cannot reach {pod.source} and tries again; it serves what it has."
    elif not (pod.receiver and pod.applier):
        pod.error = f"Replication was stopped. To start it: {mysql} -e 'START REPLICA'"


def compare(pod: Pod) -> None:
    """Compare a replica with its source and with the primary: which transactions does either side lack?"""
    try:
        source = connections[pod.source or ""]
        extra, missing = source.row(COMPARE, (pod.executed, pod.executed))
        if extra:
            # With semi-sync, the replica may have a transaction that its source is about to commit.
            source.row("SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, 0.5)", (extra,))
            extra, missing = source.row(COMPARE, (pod.executed, pod.executed))
        pod.lag_transactions = count(missing)
        if extra:
            pod.ready = False
            pod.extra_transactions = extra
            what = (
                f"{pod.name} has transactions that {pod.source} lacks: {extra}{', and the reverse' if missing else ''}"
            )
            pod.error = f"{what}. A person must decide which to keep: docs/operations.md#divergence says how."
        primary = connections["mysql-0"]
        missing = missing if primary is source else primary.row(COMPARE, (pod.executed, pod.executed))[1]
        pod.lag_primary_transactions = count(missing)
    except (KeyError, pymysql.Error, OSError):
        return  # that pod's own entry says what is wrong with it


def count(gtids: str) -> int:
    """Return how many transactions a set of GTIDs, such as 'uuid:1-3:5,uuid:tag:7', contains."""
    intervals = re.findall(r":(\d+)(?:-(\d+))?\b", gtids)
    return sum(int(last or first) - int(first) + 1 for first, last in intervals)


def why_silent(name: str, error: Exception) -> str:
    if isinstance(getattr(error, "original_exception", error), ConnectionRefusedError):
        return f"mysqld does not run on {name} (yet): kubectl logs {name}"
    if code_of(error) in (ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR):
        return f"{name} does not let read-app log in. Is the Secret's password the one that MySQL was started with?"
    return f"{name} does not answer: kubectl get pods -o wide"


GAUGES = {  # by attribute of Pod, and role if only that has it: name and meaning
    "ready": ("mysql_ready", "1: it answers, and its replication is healthy."),
    "read_only": ("mysql_read_only", "1: it takes no writes."),
    "receiver": ("mysql_replica_receiver_running", "1: it receives."),
    "applier": ("mysql_replica_applier_running", "1: it applies."),
    "lag_seconds": ("mysql_replica_lag_seconds", "Seconds behind its source."),
    "lag_transactions": ("mysql_replica_lag_transactions", "Transactions behind its source."),
    "lag_primary_transactions": ("mysql_replica_lag_primary_transactions", "Transactions behind the primary."),
    "semi_sync primary": ("mysql_semi_sync_source_on", "1: the primary waits for a replica to acknowledge."),
    "semi_sync replica": ("mysql_semi_sync_replica_on", "1: the replica acknowledges what it receives."),
    "semi_sync_clients": ("mysql_semi_sync_replicas", "Replicas that acknowledge."),
    "certificate_ends": ("mysql_certificate_expiry_timestamp_seconds", "When its certificate expires."),
}


def gauges() -> metrics.Figures:
    pods = watch.look().pods
    found = {}
    for key, (name, meaning) in GAUGES.items():
        attribute, _, role = key.partition(" ")
        values = {(pod.name,): getattr(pod, attribute) for pod in pods if role in ("", pod.role)}
        found[name] = meaning, {pod: value for pod, value in values.items() if value is not None}
    return found


metrics.Gauges(["mysql_pod"], gauges)
