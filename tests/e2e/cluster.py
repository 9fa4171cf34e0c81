"""The demo on a real cluster, in its own namespace. The end-to-end and the chaos tests use this module.

Everything goes through kubectl and its current context. The manifests are applied as they are, but for the NodePorts:
30000 and 30001 are left to a demo that is deployed already, and a free pair from 30002 to 30009 replaces them.
"""

import base64
import contextlib
import json
import re
import socket
import subprocess
import time
import uuid
from pathlib import Path

import requests

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "kubernetes"


class ClusterError(Exception):
    """kubectl failed. The text is what kubectl printed."""


def kubectl(*arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
    """Run kubectl and return its output. Raises ClusterError if it fails, or takes longer than `timeout` seconds."""
    try:
        done = subprocess.run(
            ["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"kubectl {' '.join(arguments)} took longer than {timeout} s") from error
    if done.returncode:
        raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def eventually(check, timeout: float = 60, every: float = 0.3):
    """Call `check` until it returns something true, and return that. Fails after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        try:
            answer = check()
        except (ClusterError, requests.RequestException, AssertionError) as error:
            answer, failure = None, error
        else:
            failure = answer
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not so after {timeout} s; last: {failure}")
        time.sleep(every)


class Deployment:
    """The demo in a namespace that this object made and removes.

    write_url and read_url are the NodePorts' addresses; admission_warnings is what kubectl said when it applied.
    """

    def __init__(self, name: str = "e2e", enforce: str = "restricted") -> None:
        """Make the namespace, which enforces and warns about the Pod Security level `enforce`."""
        self.namespace = f"{name}-{uuid.uuid4().hex[:6]}"
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": self.namespace,
                "labels": {f"pod-security.kubernetes.io/{mode}": enforce for mode in ("enforce", "warn")},
            },
        }
        kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
        write_port, read_port = self._free_ports()
        self._ports = {"30000": write_port, "30001": read_port}
        self.write_url = f"http://{node_address()}:{write_port}"
        self.read_url = f"http://{node_address()}:{read_port}"
        self.admission_warnings = ""

    @staticmethod
    def _free_ports() -> tuple[str, str]:
        taken = node_ports()
        for first in range(30002, 30010, 2):
            if not {first, first + 1} & taken:
                return str(first), str(first + 1)
        raise ClusterError("no free pair of NodePorts from 30002 to 30009; remove another deployment of the demo")

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run kubectl in this namespace."""
        return kubectl("-n", self.namespace, *arguments, stdin=stdin, timeout=timeout)

    def manifest(self, file: str) -> str:
        """The text of a file of kubernetes/, with the NodePorts of this deployment."""
        return re.sub(
            r"(nodePort: )(3000[01])", lambda m: m[1] + self._ports[m[2]], (MANIFESTS / file).read_text("utf-8")
        )

    def apply(self, *files: str) -> str:
        """Apply files of kubernetes/, all of them unless told which, and return what kubectl says."""
        files = files or tuple(sorted(path.name for path in MANIFESTS.glob("*.yaml")))
        done = subprocess.run(
            ["kubectl", "-n", self.namespace, "apply", "-f", "-"],
            input="\n---\n".join(self.manifest(file) for file in files),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ClusterError(done.stderr)
        self.admission_warnings += done.stderr
        return done.stdout

    def apply_objects(self, items: list[dict]) -> None:
        """Apply objects that are no file, or not the whole of one."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    def wait_ready(self, timeout: int = 240) -> None:
        """Wait until the StatefulSet and both Deployments are rolled out completely."""
        end = time.monotonic() + timeout
        for workload in ("statefulset/mysql", "deployment/write-app", "deployment/read-app"):
            left = max(1, int(end - time.monotonic()))
            self.kubectl("rollout", "status", workload, f"--timeout={left}s", timeout=left + 5)

    def sql(self, pod: str, statement: str, timeout: float = 30) -> list[list[str]]:
        """The rows that root gets in a MySQL pod, through kubectl exec and without a password."""
        out = self.kubectl(
            "exec", "-i", pod, "-c", "mysql", "--", "mysql", "-u", "root", "--default-character-set=utf8mb4",
            "--batch", "--skip-column-names",
            stdin=statement, timeout=timeout,
        )  # fmt: skip
        return [line.split("\t") for line in out.splitlines()]

    def pods(self, *apps: str) -> dict[str, dict]:
        """The pods of some apps (MySQL's unless told which) by name, as the API gives them."""
        selector = f"app.kubernetes.io/name in ({','.join(apps or ['mysql'])})"
        items = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        return {pod["metadata"]["name"]: pod for pod in items}

    def is_ready(self, pod: str) -> bool:
        """Whether a MySQL pod is ready, and not about to go."""
        found = self.pods().get(pod)
        return bool(found) and "deletionTimestamp" not in found["metadata"] and any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in found["status"].get("conditions", [])
        )  # fmt: skip

    def in_mysql_read(self) -> set[str]:
        """The MySQL pods that mysql-read sends reads to."""
        slices = json.loads(
            self.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=mysql-read", "-o", "json")
        )
        return {
            endpoint["targetRef"]["name"]
            for item in slices["items"]
            for endpoint in item["endpoints"] or []
            if endpoint["conditions"].get("ready")
        }

    def follows(self, pod: str) -> str | None:
        """The source that a MySQL pod follows with both threads running, None if there is none."""
        answer = self.sql(
            pod,
            "SELECT HOST FROM performance_schema.replication_connection_configuration"
            " JOIN performance_schema.replication_connection_status AS receiver USING (CHANNEL_NAME)"
            " JOIN performance_schema.replication_applier_status AS applier USING (CHANNEL_NAME)"
            " WHERE receiver.SERVICE_STATE = 'ON' AND applier.SERVICE_STATE = 'ON'",
        )
        return answer[0][0] if answer else None

    def whole(self, count: int) -> bool:
        """Are `count` MySQL pods in mysql-read, does each follow the one before, and have all the same users?"""

        def users(pod: str) -> list[list[str]]:
            return self.sql(pod, "SELECT id, name, email FROM userdb.users ORDER BY id")

        if self.in_mysql_read() != {f"mysql-{n}" for n in range(count)}:
            return False
        wanted = users("mysql-0")
        return all(
            self.follows(f"mysql-{n}") == f"mysql-{n - 1}.mysql" and users(f"mysql-{n}") == wanted
            for n in range(1, count)
        )

    def scale(self, replicas: int) -> None:
        """Change the number of MySQL pods, and wait until there are so many, ready or not."""
        self.kubectl("scale", "statefulset/mysql", f"--replicas={replicas}")
        eventually(lambda: len(self.pods()) == replicas, 240)

    def ids(self, pod: str) -> set[int]:
        """The ids of the users that a MySQL pod has."""
        return {int(number) for [number] in self.sql(pod, "SELECT id FROM userdb.users")}

    def log(self, pod: str, container: str = "mysql") -> str:
        """What a container of a pod has printed since it was last started."""
        return self.kubectl("logs", pod, "-c", container)

    def why_not_ready(self, pod: str) -> str:
        """What the readiness probe of a MySQL pod says; empty when the pod is ready."""
        command = "bash /scripts/ready.sh || true"
        return self.kubectl("exec", pod, "-c", "mysql", "--", "bash", "-c", command).strip()

    def signal_mysqld(self, pod: str, signal: str) -> None:
        """Send a signal (KILL, STOP, CONT) to the server of a pod."""
        command = f"kill -{signal} $(</var/run/mysqld/mysqld.pid)"
        try:
            self.kubectl("exec", pod, "-c", "mysql", "--", "bash", "-c", command)
        except ClusterError as error:
            # With the killed server its container ends, and the command that killed it may end with it.
            if signal != "KILL" or "137" not in str(error):
                raise

    def post(self, name: str, email: str, **kwargs) -> requests.Response:
        """Register a user at write-app."""
        return requests.post(f"{self.write_url}/submit", json={"name": name, "email": email}, timeout=15, **kwargs)

    def write(self) -> dict:
        """Register a user and return write-app's answer; a 503 is an AssertionError, so eventually() tries again."""
        answer = self.post("Someone", f"{uuid.uuid4().hex}@example.com")
        assert answer.status_code == 201, answer.text
        return answer.json()

    def gtids(self, pod: str) -> str:
        """The transactions that a MySQL pod has executed, in one line."""
        return self.sql(pod, "SELECT REPLACE(@@gtid_executed, '\\n', '')")[0][0]

    def passwords(self) -> dict[str, str]:
        """What the Secret has now, by key, such as app-password."""
        data = json.loads(self.kubectl("get", "secret", "mysql", "-o", "json"))["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def catch_up(self, pod: str, timeout: int = 30) -> None:
        """Wait until a MySQL pod has executed what mysql-0 has by now. AssertionError after `timeout` seconds."""
        query = f"SELECT WAIT_FOR_EXECUTED_GTID_SET('{self.gtids('mysql-0')}', {timeout})"
        assert self.sql(pod, query, timeout=timeout + 10) == [["0"]], f"{pod} lacks transactions of mysql-0"

    def get(self, path: str, **kwargs) -> requests.Response:
        """Ask read-app on a new connection, so that another of its pods may answer each time."""
        return requests.get(f"{self.read_url}{path}", timeout=10, headers={"Connection": "close"}, **kwargs)

    def remove(self) -> None:
        """Delete the namespace, with volumes, and wait until it is gone."""
        kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")
        # Pods that are still there when Kubernetes looks cost half of their grace period: 31 s for MySQL's.
        kubectl("-n", self.namespace, "delete", "pods", "--all", "--grace-period=1", "--wait=false")
        kubectl("wait", "--for=delete", f"namespace/{self.namespace}", "--timeout=150s", timeout=160)


def node_ports() -> set[int]:
    """The NodePorts that are taken in the whole cluster."""
    services = json.loads(kubectl("get", "services", "-A", "-o", "json"))["items"]
    ports = [port for service in services for port in service["spec"].get("ports", [])]
    return {port["nodePort"] for port in ports if "nodePort" in port}


def node_address() -> str:
    """Where NodePorts answer: this machine's loopback (kind with port mappings, k3d, ...), or else the first node."""
    for port in range(30000, 30010):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return "127.0.0.1"
    node = json.loads(kubectl("get", "nodes", "-o", "json"))["items"][0]
    return next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
