"""Applying the manifests in any order, twice, under Pod Security; and what is said when something is missing."""

import json
import subprocess
import time

import pytest
import yaml

from e2e.cluster import ROOT, Deployment, eventually, kubectl


@pytest.fixture
def namespace():
    """A namespace without anything in it yet, as a Deployment object."""
    made = Deployment()
    yield made
    made.remove()


def objects(made: Deployment, *files: str) -> list[dict]:
    return [item for file in files for item in yaml.safe_load_all(made.manifest(file))]


def versions(made: Deployment) -> dict[str, str]:
    """The resource version of everything that the manifests make, but not of its status: specs and labels as text."""
    kinds = "secret,configmap,service,statefulset,deployment,networkpolicy,poddisruptionbudget,cronjob,pvc"
    items = json.loads(made.kubectl("get", kinds, "-o", "json"))["items"]
    found = {}
    for item in items:
        meta = item["metadata"]
        content = {key: item.get(key) for key in ("spec", "data")}
        found[f"{item['kind']}/{meta['name']}"] = json.dumps([meta.get("generation"), content], sort_keys=True)
    return found


def test_files_one_by_one_in_another_order_are_ready_in_sixty_seconds(namespace):
    start = time.monotonic()
    for file in ("read-app.yaml", "write-app.yaml", "mysql-statefulset.yaml"):
        namespace.apply(file)
    namespace.wait_ready(120)
    seconds = time.monotonic() - start
    print(f"from the first apply to every pod ready: {seconds:.1f} s")
    assert seconds <= 60
    namespace.apply()  # the rest, and the same again
    namespace.wait_ready(30)
    before, pods = versions(namespace), {name: pod["metadata"]["uid"] for name, pod in namespace.pods().items()}
    namespace.apply()
    assert versions(namespace) == before
    assert {name: pod["metadata"]["uid"] for name, pod in namespace.pods().items()} == pods
    # The namespace enforces `restricted`, and every pod was admitted without a warning.
    assert not namespace.admission_warnings


def test_without_the_secret_the_pods_wait_and_events_say_so(namespace):
    namespace.apply_objects(
        [o for o in objects(namespace, "mysql-statefulset.yaml", "write-app.yaml") if o["kind"] != "Secret"]
    )
    events = eventually(lambda: 'secret "mysql" not found' in (e := namespace.kubectl("get", "events")) and e, 60)
    assert "mysql-0" in events
    assert all(
        status["restartCount"] == 0
        for pod in namespace.pods().values()
        for status in pod["status"].get("initContainerStatuses", [])
    )


def ended(container: dict) -> dict | None:
    """How a container ended, now or before its last restart; None if it has not."""
    return container["state"].get("terminated") or container["lastState"].get("terminated")


WRONG = {  # a key of the Secret: its value, None if it is absent, and what the log says of it
    "app-password": ("password123\n", "line break"),
    "replication-password": ("short", "8 to 32 characters"),
    "read-password": (None, "has no key read-password"),
    "backup-password": ("with a space", "8 to 32 characters"),
}


def test_a_wrong_secret_is_named_in_the_log_and_nothing_starts(namespace):
    for key, (value, sentence) in WRONG.items():
        items = objects(namespace, "mysql-statefulset.yaml")
        secret = next(item for item in items if item["kind"] == "Secret")
        if value is None:
            del secret["stringData"][key]
        else:
            secret["stringData"][key] = value
        namespace.kubectl("delete", "secret", "mysql", "--ignore-not-found")  # apply takes no key out of it
        namespace.apply_objects(items)
        namespace.kubectl("delete", "pod", "mysql-0", "--ignore-not-found")  # the next one reads this Secret

        def reason(key=key, sentence=sentence):
            text = namespace.kubectl("logs", "mysql-0", "-c", "prepare")
            assert key in text, text
            assert sentence in text, text
            return text

        assert "password123" not in eventually(reason, 60)
        # A server that started without the password would let in everybody: the init container must have failed.
        prepare = eventually(lambda: ended(namespace.pods("mysql")["mysql-0"]["status"]["initContainerStatuses"][0]))
        assert prepare["exitCode"] == 1, prepare


def test_a_storage_class_that_is_not_there_is_named_in_the_events(namespace):
    items = objects(namespace, "mysql-statefulset.yaml")
    claim = next(item for item in items if item["kind"] == "StatefulSet")["spec"]["volumeClaimTemplates"][0]
    claim["spec"]["storageClassName"] = "no-such-class"
    namespace.apply_objects(items)
    eventually(lambda: '"no-such-class" not found' in namespace.kubectl("get", "events"), 60)


def says(made: Deployment, app: str, container: str, sentence: str) -> bool:
    """Is a sentence in the log of a pod of `app`?"""
    return any(sentence in made.log(pod, container) for pod in made.pods(app))


def test_apps_without_mysql_wait_and_say_for_whom(namespace):
    secret = [item for item in objects(namespace, "mysql-statefulset.yaml") if item["kind"] == "Secret"]
    namespace.apply_objects(secret + objects(namespace, "write-app.yaml", "read-app.yaml"))
    eventually(lambda: says(namespace, "write-app", "init-db", "mysql-0.mysql does not resolve"), 60)
    eventually(lambda: says(namespace, "read-app", "read-app", "mysql-read does not resolve"), 60)
    for app in ("write-app", "read-app"):
        for found in namespace.pods(app).values():
            statuses = found["status"].get("initContainerStatuses", []) + found["status"]["containerStatuses"]
            assert all(status["restartCount"] == 0 for status in statuses)


def make(made: Deployment, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
    """Run a make target against the namespace of `made`."""
    return subprocess.run(
        ["make", "--no-print-directory", *arguments, f"NAMESPACE={made.namespace}"],
        cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_make_verify_and_status_and_dns_name_the_namespace_and_show_the_pods(deployment):
    verified = make(deployment, "verify")
    assert verified.returncode == 0, verified.stderr
    assert deployment.namespace in verified.stderr
    assert "mysql-0    primary" in verified.stdout
    assert "mysql-1    replica  mysql-0.mysql   ON/ON                is there" in verified.stdout
    status = make(deployment, "status")
    assert "statefulset.apps/mysql" in status.stdout, status.stderr
    answers = make(deployment, "dns")
    assert answers.returncode == 0, answers.stderr
    addresses = {pod["status"]["podIP"] for pod in deployment.pods().values()}
    assert all(address in answers.stdout for address in addresses)
    cluster_ip = deployment.kubectl("get", "service", "mysql-read", "-o", "jsonpath={.spec.clusterIP}")
    assert cluster_ip in answers.stdout


def test_make_clean_asks_first_and_make_undeploy_keeps_the_volumes(namespace):
    # Without pods, for speed: what the targets delete and keep is the point.
    items = objects(namespace, "mysql-statefulset.yaml")
    next(item for item in items if item["kind"] == "StatefulSet")["spec"]["replicas"] = 1
    namespace.apply_objects(items)
    eventually(lambda: namespace.kubectl("get", "pvc", "-o", "name") == "persistentvolumeclaim/data-mysql-0\n", 30)
    refused = make(namespace, "clean", stdin="n\n")
    assert refused.returncode != 0
    assert namespace.kubectl("get", "statefulset", "-o", "name")
    assert make(namespace, "undeploy").returncode == 0
    assert (
        namespace.kubectl("get", "statefulset,service,configmap", "-l", "app.kubernetes.io/part-of", "-o", "name") == ""
    )
    assert namespace.kubectl("get", "pvc", "-o", "name") == "persistentvolumeclaim/data-mysql-0\n"
    cleaned = make(namespace, "clean", stdin="y\n")
    assert cleaned.returncode == 0, cleaned.stderr
    assert namespace.kubectl("get", "pvc", "-o", "name") == ""


def test_make_says_what_is_missing():
    def run(**environment):
        return subprocess.run(
            ["scripts/where"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=environment
        )

    no_kubectl = run(PATH="/usr/bin:/bin", KUBECTL="kubectl-that-is-not-there")
    assert no_kubectl.returncode == 1
    assert "install it" in no_kubectl.stderr
    kubeconfig = kubectl("config", "view", "--raw")
    assert kubeconfig
    no_context = run(PATH=subprocess.os.environ["PATH"], KUBECONFIG="/dev/null")
    assert no_context.returncode == 1
    assert "no current context" in no_context.stderr
