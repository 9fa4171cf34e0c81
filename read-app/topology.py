"""How the MySQL pods replicate, asked of each of them directly.

The pods are found through the headless Service, so those that are not ready are seen, too. All are asked at the
same time, over connections that are kept; one that is away costs a second, and has a sentence in its entry.
"""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import dns.exception
import pymysql
from pymysql.constants import ER
from pymysql.cursors import DictCursor

import names
import settings
from errors import log_error
from pool import Reader

TIMEOUT = 1.0  # seconds that a pod gets to answer
KEEP_FOR = 1.0  # seconds: many open pages cost no more than one

SERVER = """
SELECT @@server_id, @@global.read_only, REPLACE(@@global.gtid_executed, '\\n', ''), (
  SELECT JSON_OBJECTAGG(VARIABLE_NAME, VARIABLE_VALUE) FROM performance_schema.global_status
  WHERE VARIABLE_NAME IN ('Rpl_semi_sync_source_status', 'Rpl_semi_sync_source_clients', 'Rpl_semi_sync_replica_status')
)
"""
# What a replica has and its source lacks, and the reverse.
COMPARE = """
SELECT REPLACE(GTID_SUBTRACT(%s, @@global.gtid_executed), '\\n', ''),
  REPLACE(GTID_SUBTRACT(@@global.gtid_executed, %s), '\\n', '')
"""

threads = ThreadPoolExecutor(16, "topology")
readers = {}  # MySQL pod: the connection to it
lock = threading.Lock()
latest = (float("-inf"), {})  # when it was taken, and the topology


def look():
    """Return {"pods": [an entry for each MySQL pod, in order], "error": a sentence or None}; a second old at most.

    An entry has name, address, server_id, role ("primary" or "replica"), source (the pod that
    it follows), receiver and applier (are they running?), lag_seconds, lag_transactions,
    semi_sync (is it on?), semi_sync_clients, read_only, ready, error (a sentence), extra_transactions (a GTID set that
    its source lacks) and commands (by whose data they keep: "source" or "this"). What is not known or does not apply
    is None.
    """
    global latest
    with lock:
        taken, topology = latest
        if time.monotonic() - taken > KEEP_FOR:
            topology = ask_all()
            latest = time.monotonic(), topology
        return topology


def ask_all():
    """Ask every MySQL pod, and then every source whether it has what its replica has."""
    error = None
    try:
        pods = names.mysql_pods()
    except dns.exception.DNSException:
        pods = []
        error = f"DNS has no record of the headless Service {settings.MYSQL_SERVICE}: there is no MySQL pod, or no DNS."
    for pod in readers.keys() - set(pods):
        forget(pod)
    entries = list(threads.map(ask, pods))
    known = {entry["name"]: entry for entry in entries}
    replicas = [entry for entry in entries if entry["executed"] and known.get(entry["source"], {}).get("executed")]
    # In this order: a transaction that commits in between must not look as if the source lacked it.
    list(threads.map(compare, replicas))
    for entry in entries:
        del entry["executed"]
    return {"pods": entries, "error": error}


def ask(pod):
    """Return the entry of one MySQL pod."""
    entry = dict.fromkeys(
        "name address server_id role source receiver applier lag_seconds lag_transactions semi_sync semi_sync_clients "
        "read_only ready error extra_transactions commands executed".split()
    ) | {"name": pod, "ready": False}
    asked = time.monotonic()
    try:
        try:
            reader = readers.get(pod) or connect(pod)
            server = reader.row(SERVER)
        except (pymysql.Error, OSError):
            # The pod may have been replaced by one of the same name. One that did not answer is not asked again.
            if time.monotonic() - asked >= TIMEOUT:
                raise
            forget(pod)
            reader = connect(pod)
            server = reader.row(SERVER)
        entry["address"] = reader.address
        entry["server_id"], entry["read_only"], entry["executed"] = server[0], bool(server[1]), server[2]
        with reader.connection.cursor(DictCursor) as cursor:
            cursor.execute("SHOW REPLICA STATUS")
            status = cursor.fetchone()
    except (pymysql.Error, OSError) as error:
        forget(pod)
        log_error(error, host(pod))
        addresses = names.resolve(host(pod))["addresses"]
        return entry | {"address": addresses[0] if addresses else None, "error": why_silent(pod, error)}
    semi_sync = json.loads(server[3] or "{}")
    if status:
        describe_replica(entry, status)
        entry["semi_sync"] = semi_sync.get("Rpl_semi_sync_replica_status") == "ON"
    else:
        entry["role"] = "primary"
        entry["ready"] = True
        entry["semi_sync"] = semi_sync.get("Rpl_semi_sync_source_status") == "ON"
        entry["semi_sync_clients"] = int(semi_sync.get("Rpl_semi_sync_source_clients", 0))
        if entry["read_only"]:
            entry["error"] = f"{pod} is not open for writes yet. Its log says why: kubectl logs {pod}"
    return entry


def describe_replica(entry, status):
    """Fill in what SHOW REPLICA STATUS says."""
    pod = entry["name"]
    entry["role"] = "replica"
    entry["source"] = status["Source_Host"].removesuffix(f".{settings.MYSQL_SERVICE}")
    entry["receiver"] = status["Replica_IO_Running"] == "Yes"
    entry["applier"] = status["Replica_SQL_Running"] == "Yes"
    entry["lag_seconds"] = status["Seconds_Behind_Source"]
    number = status["Last_SQL_Errno"] or (status["Replica_IO_Running"] == "No" and status["Last_IO_Errno"])
    entry["ready"] = not number
    if number:
        entry["error"] = (
            f"Replication stopped with MySQL error {number}. The details: "
            f"kubectl exec {pod} -- mysql -u root --vertical -e 'SHOW REPLICA STATUS'"
        )
    elif status["Replica_IO_Running"] == "Connecting":
        entry["error"] = f"{pod} cannot reach {entry['source']} and tries again; it serves what it has."
    elif not (entry["receiver"] and entry["applier"]):
        entry["error"] = f"Replication was stopped. To start it: kubectl exec {pod} -- mysql -u root -e 'START REPLICA'"


def compare(entry):
    """Ask the source of a replica which transactions either of them lacks."""
    pod, source = entry["name"], entry["source"]
    mine = entry["executed"]
    try:
        reader = readers[source]
        extra, missing = reader.row(COMPARE, (mine, mine))
        if extra:
            # The replica may have what its source is about to commit: with semi-sync the replica comes first.
            reader.row("SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, 0.5)", (extra,))
            extra, missing = reader.row(COMPARE, (mine, mine))
    except (KeyError, pymysql.Error, OSError):
        return
    entry["lag_transactions"] = count(missing)
    if extra:
        entry["ready"] = False
        entry["extra_transactions"] = extra
        entry["commands"] = {
            "source": f"kubectl delete pvc/data-{pod} pod/{pod}",
            "this": f"kubectl delete pvc/data-{source} pod/{source}",
        }
        entry["error"] = f"{pod} has transactions that {source} lacks: {extra}. Decide whose data to keep."


def count(gtids):
    """Return how many transactions a GTID set has, such as 'uuid:1-3:5,uuid:tag:7'."""
    total = 0
    for part in gtids.split(","):
        for interval in part.split(":")[1:]:
            first, _, last = interval.partition("-")
            if first.isdigit():
                total += int(last or first) - int(first) + 1
    return total


def connect(pod):
    """Open and keep a connection to one MySQL pod. Raises pymysql.Error or OSError."""
    reader = readers[pod] = Reader(host(pod), TIMEOUT)
    return reader


def forget(pod):
    """Close the connection to a MySQL pod."""
    if reader := readers.pop(pod, None):
        reader.close()


def host(pod):
    """Return the name of a MySQL pod in DNS."""
    return f"{pod}.{settings.MYSQL_SERVICE}"


def why_silent(pod, error):
    """Return a sentence for the page on why a MySQL pod did not answer."""
    cause = getattr(error, "original_exception", error)
    if isinstance(cause, ConnectionRefusedError):
        return f"mysqld does not run on {pod} (yet): kubectl logs {pod}"
    if isinstance(error, pymysql.Error) and error.args[0] in (ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR):
        return f"{pod} does not let read-app log in. Is the Secret's password the one that MySQL was started with?"
    return f"{pod} does not answer: kubectl get pods -o wide"
