"""make bench-cluster: how fast the demo is on the cluster that kubectl points at, and how soon it is ready.

It deploys the demo into a namespace of its own, with a naive app beside it, sends the load from a pod, and removes
everything again: about three minutes. It writes a part of docs/performance.md, and ends with status 1, and says which,
if a target was missed. Needs the two images (make build load), and wrk, or Debian to get it from.
"""

import json
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime

import yaml

from bench import report, servers
from e2e.cluster import Deployment, kubectl
from running_demo import PROJECT

ROUNDS, SECONDS, CLIENTS = 4, 3, 16
PATHS = {"/users?limit=50": "read-app", "/mysql-pod": "read-app", "/submit": "write-app"}
# Measured in a MySQL pod: the parts of a deployment that take their time whatever one does. A clone is one with its
# scratch server, and a server has started when it answers.
PARTS = """
set -euo pipefail
. /scripts/identity.sh
. /scripts/fill.sh
start() {
  mysqld --no-defaults --datadir="$volume/empty.new" --skip-networking --mysqlx=OFF --socket=/tmp/part.sock &
  until mysql --no-defaults -u root --socket=/tmp/part.sock -e 'DO 0' 2>/dev/null; do sleep 0.1; done
}
{
  began=$EPOCHREALTIME
  "${scratch_server[@]}" --initialize-insecure
  mv "$scratch" "$volume/empty.new"
  initialised=$EPOCHREALTIME
  data=$volume/copy
  clone mysql-0.mysql
  cloned=$EPOCHREALTIME
  start
  started=$EPOCHREALTIME
  kill $!
  wait $! || true
  rm -rf "$volume/empty.new" "$volume/copy.new"
} >&2
echo "$began $initialised $cloned $started"
"""


def main():
    """Deploy, measure, write, remove."""
    bundle = bundle_of_wrk()
    deployment = Deployment("bench")
    try:
        report.say(f"deploying into the namespace {deployment.namespace} ...")
        began = time.monotonic()
        deployment.apply()
        deployment.wait_ready()
        ready = time.monotonic() - began
        report.say("its parts, one by one ...")
        parts = unavoidable(deployment)
        report.say("two pods with volumes that do nothing ...")
        idle = idle_pods(deployment)
        report.say("a naive app beside it, and a pod that sends the load ...")
        naive = start_naive(deployment)
        wrk = start_load(deployment, bundle)
        deployment.sql("mysql-0", servers.users("userdb", 1, 1000))
        deployment.catch_up("mysql-1")
        figures = measure(deployment, wrk, naive)
    finally:
        deployment.remove()
    targets = judge(figures, ready, sum(parts.values()) + idle)
    write(figures, ready, parts, idle, targets)
    if misses := report.missed(targets):
        sys.exit("Missed:\n" + "\n".join(misses))


# -- deploying


def unavoidable(deployment):
    """Seconds of what a deployment cannot do without: {what: seconds}."""
    answer = deployment.kubectl("exec", "mysql-1", "-c", "mysql", "--", "bash", "-c", PARTS, timeout=300)
    began, initialised, cloned, started = map(float, answer.split())
    return {
        "initialising a database": initialised - began,
        "a clone": cloned - initialised,
        "starting two servers": 2 * (started - cloned),
    }


def idle_pods(deployment):
    """Seconds until a StatefulSet like MySQL's whose pods do nothing is ready: volumes, scheduling, starting."""
    documents = yaml.safe_load_all(deployment.manifest("mysql-statefulset.yaml"))
    idle = next(each for each in documents if each["kind"] == "StatefulSet")
    spec = idle["spec"]["template"]["spec"]
    del spec["initContainers"], spec["affinity"]
    labels = {"app.kubernetes.io/name": "idle"}
    idle["metadata"] = {"name": "idle"}
    idle["spec"]["selector"]["matchLabels"] = idle["spec"]["template"]["metadata"]["labels"] = labels
    (container,) = spec["containers"]
    for name in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle"):
        container.pop(name, None)
    container["command"] = ["sleep", "3600"]
    spec["terminationGracePeriodSeconds"] = 0
    began = time.monotonic()
    deployment.apply_objects([idle])
    deployment.kubectl("rollout", "status", "statefulset/idle", "--timeout=120s", timeout=130)
    seconds = time.monotonic() - began
    deployment.kubectl("delete", "statefulset/idle")
    return seconds


def pod(name, spec):
    """A pod that the demo knows nothing of, but for the policy below."""
    labels = {"app.kubernetes.io/name": "bench"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


# MySQL lets in nobody but the demo's own pods.
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "bench"},
    "spec": {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "mysql"}},
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "bench"}}}]}],
    },
}


def start_naive(deployment):
    """Run naive.py in the apps' images with the apps' own environment: {app: its URL}."""
    deployment.kubectl("create", "configmap", "naive", f"--from-file={servers.HERE / 'naive.py'}")
    objects = [POLICY]
    for app in ("read-app", "write-app"):
        documents = yaml.safe_load_all(deployment.manifest(f"{app}.yaml"))
        spec = next(each for each in documents if each["kind"] == "Deployment")["spec"]["template"]["spec"]
        spec.pop("initContainers", None)
        (container,) = spec["containers"]
        for name in ("startupProbe", "livenessProbe", "lifecycle"):
            del container[name]
        container["command"] = ["flask", "--app", "naive", "run", "--host=0.0.0.0", "--port=8080"]
        container["workingDir"] = "/naive"
        container["readinessProbe"]["httpGet"]["path"] = "/mysql-pod"
        container["volumeMounts"].append({"name": "naive", "mountPath": "/naive"})
        spec["volumes"].append({"name": "naive", "configMap": {"name": "naive"}})
        objects.append(pod(f"naive-{app}", spec))
    deployment.apply_objects(objects)
    deployment.kubectl("wait", "pod/naive-read-app", "pod/naive-write-app", "--for=condition=Ready", "--timeout=60s")
    found = json.loads(deployment.kubectl("get", "pods", "-l", "app.kubernetes.io/name=bench", "-o", "json"))["items"]
    return {each["metadata"]["name"].removeprefix("naive-"): f"http://{each['status']['podIP']}:8080" for each in found}


def bundle_of_wrk():
    """A folder with wrk, the libraries that it needs, and load.lua: it runs in any image of this machine's kind."""
    *environment, program = servers.find_wrk()
    output = subprocess.run([*environment, "ldd", program], capture_output=True, text=True, check=True).stdout
    folder = PROJECT / ".cache" / "wrk-in-a-pod"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    libraries = [word for line in output.splitlines() for word in line.split() if word.startswith("/")]
    for file in (program, *libraries, servers.HERE / "load.lua"):
        shutil.copy(file, folder)
    next(folder.glob("ld-*")).rename(folder / "loader")
    return folder


def start_load(deployment, bundle):
    """Start a pod with wrk, and return the command that runs wrk there."""
    spec = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "load",
                "image": "read-app:1.0.0",
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "3600"],
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "wrk", "mountPath": "/wrk"}],
            }
        ],
        "volumes": [{"name": "wrk", "emptyDir": {}}],
    }
    deployment.apply_objects([pod("load", spec)])
    deployment.kubectl("wait", "pod/load", "--for=condition=Ready", "--timeout=60s")
    deployment.kubectl("cp", f"{bundle}/.", "load:/wrk")
    command = ["kubectl", f"--namespace={deployment.namespace}", "exec", "load", "--"]
    return [*command, "/wrk/loader", "--library-path", "/wrk", "/wrk/wrk"]


# -- measuring


def measure(deployment, wrk, naive):
    """Load in turn: {(path, kind): [the figures of a round]}."""
    node = json.loads(kubectl("get", "nodes", "-o", "json"))["items"][0]["status"]["addresses"]
    address = next(each["address"] for each in node if each["type"] == "InternalIP")
    ports = {"write-app": deployment.write_url, "read-app": deployment.read_url}
    ours = {app: f"http://{address}:{url.rpartition(':')[2]}" for app, url in ports.items()}
    cells = [
        (path, kind, urls[app] + path)
        for path, app in PATHS.items()
        for kind, urls in (("ours", ours), ("naive", naive))
    ]
    for _, _, url in cells:
        servers.load(wrk, url, CLIENTS, 1, "/wrk/load.lua")  # to warm up
    figures = defaultdict(list)
    for number in range(1, ROUNDS + 1):
        report.say(f"round {number} of {ROUNDS}, {len(cells) * SECONDS} s ...")
        for path, kind, url in cells:
            found = servers.load(wrk, url, CLIENTS, SECONDS, "/wrk/load.lua")
            figures[path, kind].append(found | {"rate": found["requests"] / found["seconds"]})
    return figures


def judge(figures, ready, unavoidable):
    """The targets, for report.missed."""
    times = {path: report.ratio(figures, (path, "ours"), (path, "naive")) for path in PATHS}
    failed = sum(each["errors"] for path in PATHS for each in figures[path, "ours"])
    return [
        ("/users over the naive app", times["/users?limit=50"], "at least", 8),
        ("/submit over the naive app", times["/submit"], "at least", 3),
        ("failed requests", failed, "at most", 0),
        ("from kubectl apply to everything ready, over what cannot be avoided", ready / unavoidable, "at most", 1.5),
    ]


def write(figures, ready, parts, idle, targets):
    """Write the page's part, and print it."""
    rows = []
    for path, kind in figures:
        found = report.medians(figures[path, kind])
        rows.append([path, kind, found["rate"], found["p50_ms"], found["p99_ms"]])
    server = json.loads(kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    nodes = len(json.loads(kubectl("get", "nodes", "-o", "json"))["items"])
    part = "\n".join(
        [
            f"`make bench-cluster` on {datetime.now(UTC):%Y-%m-%d}: Kubernetes {server}, nodes: {nodes}. {CLIENTS} "
            f"clients in a pod, 1,000 users, {ROUNDS} rounds of {SECONDS} s. *ours* is asked through its NodePorts, "
            "*naive* has one pod for each app and is asked directly.\n",
            report.table(["", "", "requests a second", "half within, ms", "99 % within, ms"], rows),
            f"From `kubectl apply` to everything ready: {ready:.1f} s. What cannot be avoided, one by one: "
            + ", ".join(f"{what} {seconds:.1f} s" for what, seconds in parts.items())
            + f"; two pods with volumes that do nothing {idle:.1f} s (of MySQL's own parts alone it is "
            f"{ready / sum(parts.values()):.2f} times the sum).\n",
            report.verdicts(targets),
        ]
    )
    report.PAGE.write_text(report.insert(report.PAGE.read_text(), part, report.CLUSTER_MARKERS))
    print(part)


if __name__ == "__main__":
    main()
