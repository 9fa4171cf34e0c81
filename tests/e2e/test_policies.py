"""Which pod can connect to which: network policies, Pod Security, the service account's token."""

import json

import pytest

from e2e.cluster import eventually, kubectl

# Tries to open a connection and says what came of it. The apps' images have Python, MySQL's has bash.
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
    print("open")
except TimeoutError:
    print("timeout")
except OSError as error:
    print("refused" if error.errno in (111, 113) else error)
"""


def from_app(deployment, app: str, host: str, port: int) -> str:
    """What a connection from an app pod gets: open, refused (a policy may also reject) or timeout."""
    return deployment.kubectl(
        "exec", f"deployment/{app}", "-c", app, "--", "python", "-c", CONNECT, host, str(port)
    ).strip()


def from_mysql(deployment, host: str, port: int) -> str:
    """The same from a MySQL pod."""
    command = f"timeout 2 bash -c '</dev/tcp/{host}/{port}' 2>/dev/null && echo open || echo refused"
    return deployment.kubectl("exec", "mysql-0", "-c", "mysql", "--", "bash", "-c", command).strip()


@pytest.fixture(scope="module")
def stranger(deployment):
    """The name of a pod in the same namespace that has none of the demo's labels, and has been there for a while."""
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"},
        "spec": {
            "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "stranger", "image": "mysql:9.7", "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "3600"],
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    }  # fmt: skip
    deployment.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    deployment.kubectl("wait", "pod/stranger", "--for=condition=Ready", "--timeout=60s")
    yield "stranger"
    deployment.kubectl("delete", "pod", "stranger", "--wait=false")


@pytest.fixture(scope="module")
def addresses(deployment) -> dict[str, str]:
    """The addresses of pods and Services, by name."""
    pods = {
        name: pod["status"]["podIP"]
        for app in ("mysql", "write-app", "read-app")
        for name, pod in deployment.pods(app).items()
    }
    services = json.loads(deployment.kubectl("get", "services", "-o", "json"))["items"]
    return pods | {f"service/{item['metadata']['name']}": item["spec"]["clusterIP"] for item in services}


def from_stranger(deployment, address: str, port: int) -> bool:
    command = f"timeout 2 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo closed"
    return deployment.kubectl("exec", "stranger", "--", "bash", "-c", command).strip() == "open"


@pytest.mark.usefixtures("stranger")
@pytest.mark.parametrize("target", ["mysql-0", "mysql-1", "service/mysql-read"])
def test_a_pod_without_the_labels_does_not_reach_mysql(deployment, addresses, target):
    assert not from_stranger(deployment, addresses[target], 3306)


@pytest.mark.usefixtures("stranger")
@pytest.mark.parametrize("target", ["service/write-app", "service/read-app"])
def test_anybody_reaches_the_apps(deployment, addresses, target):
    """Which also proves that the pod of the test above has a network."""
    eventually(lambda: from_stranger(deployment, addresses[target], 80), timeout=20)


@pytest.mark.parametrize("app", ["write-app", "read-app"])
def test_an_app_reaches_mysql_and_nothing_else(deployment, addresses, app):
    other = {"write-app": "read-app", "read-app": "write-app"}[app]
    assert from_app(deployment, app, "mysql-0.mysql", 3306) == "open"
    assert from_app(deployment, app, "mysql-read", 3306) == "open"
    assert from_app(deployment, app, other, 80) != "open"
    assert from_app(deployment, app, addresses["mysql-0"], 33060) != "open"


@pytest.mark.parametrize(("port", "allowed"), [(53, True), (5353, True), (5354, False)])
def test_a_dns_server_of_any_place_is_reached(deployment, port, allowed):
    """OpenShift's DNS servers listen on 5353. The server is a web server: what counts is the connection."""
    name = f"resolver-{port}"
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"},
                "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
            },
            "containers": [{
                "name": name, "image": "busybox:1.35", "imagePullPolicy": "IfNotPresent",
                "command": ["httpd", "-f", "-p", str(port)],
                "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    }  # fmt: skip
    deployment.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    try:
        deployment.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
        address = json.loads(deployment.kubectl("get", "pod", name, "-o", "json"))["status"]["podIP"]
        if allowed:
            eventually(lambda: from_app(deployment, "read-app", address, port) == "open", timeout=20)
        else:
            assert from_app(deployment, "read-app", address, port) != "open"
    finally:
        deployment.kubectl("delete", "pod", name, "--wait=false")


def test_mysql_reaches_mysql_and_nothing_else(deployment, addresses):
    assert from_mysql(deployment, "mysql-1.mysql", 3306) == "open"
    assert from_mysql(deployment, addresses["service/write-app"], 80) != "open"


def test_pods_are_admitted_by_pod_security_restricted_without_a_warning(deployment):
    labels = json.loads(deployment.kubectl("get", "namespace", deployment.namespace, "-o", "json"))["metadata"][
        "labels"
    ]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert "would violate PodSecurity" not in deployment.admission_warnings


@pytest.mark.parametrize(
    ("pod", "container"),
    [("mysql-0", "mysql"), ("deployment/write-app", "write-app"), ("deployment/read-app", "read-app")],
)
def test_no_pod_has_a_token_or_can_write_its_root_file_system(deployment, pod, container):
    command = "test ! -e /var/run/secrets/kubernetes.io && ! touch /nothing 2>/dev/null && id -u"
    assert int(deployment.kubectl("exec", pod, "-c", container, "--", "sh", "-c", command)) > 0


def test_both_pages_answer_on_every_node(deployment, stranger):
    """A NodePort answers on all nodes, also on those without a pod of the app."""
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    hosts = [a["address"] for node in nodes for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
    assert len(hosts) == len(nodes)
    for host in hosts:
        for url in (deployment.write_url, deployment.read_url):
            port = url.rpartition(":")[2]
            ask = (
                f"exec 3<>/dev/tcp/{host}/{port}"
                f" && printf 'GET /healthz HTTP/1.0\\r\\nHost: {host}\\r\\n\\r\\n' >&3 && head -1 <&3"
            )
            answer = deployment.kubectl("exec", stranger, "--", "timeout", "5", "bash", "-c", ask)
            assert " 200 " in answer, (host, url)
