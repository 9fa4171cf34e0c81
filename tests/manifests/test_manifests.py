"""The files in kubernetes/: valid, admitted by Pod Security `restricted`, and what the parts promise to each other."""

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
OLDEST, NEWEST = "1.30", "1.36"  # preStop.sleep needs 1.30: before, its feature gate is off
FILES = sorted((PROJECT / "kubernetes").glob("*.yaml"))  # what `kubectl apply -f kubernetes/` applies
LESSONS = sorted((PROJECT / "kubernetes").glob("*/**/*.yaml"))


def objects(files):
    """Every object of the files as a pytest parameter, named like "write-app.yaml:Service/write-app"."""
    return [
        pytest.param(item, id=f"{file.name}:{item['kind']}/{item['metadata'].get('name')}")
        for file in files
        for item in yaml.safe_load_all(file.read_text())
        if item
    ]


def pod_spec(item):
    """The spec of the pods that an object makes, None if it makes none."""
    spec = item.get("spec", {})
    if item["kind"] == "Pod":
        return spec
    if item["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec.get("template", {}).get("spec")


DEPLOYED = objects(FILES)
ALL = objects([*FILES, *LESSONS])
PODS = [item for item in ALL if pod_spec(item.values[0])]
BY_NAME = {(item.values[0]["kind"], item.values[0]["metadata"]["name"]): item.values[0] for item in DEPLOYED}


def containers(spec):
    return [*spec.get("initContainers", []), *spec["containers"]]


def keys_that_are_twice(node):
    """The keys that a mapping of a composed YAML document has twice: the last one wins without a word."""
    if isinstance(node, yaml.SequenceNode):
        return [key for each in node.value for key in keys_that_are_twice(each)]
    if not isinstance(node, yaml.MappingNode):
        return []
    names = [key.value for key, _ in node.value]
    own = [name for name in names if names.count(name) > 1]
    return own + [key for _, value in node.value for key in keys_that_are_twice(value)]


@pytest.mark.parametrize("file", [*FILES, *LESSONS], ids=lambda file: file.name)
def test_no_key_is_twice(file):
    assert [key for document in yaml.compose_all(file.read_text()) for key in keys_that_are_twice(document)] == []


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("item", ALL)
def test_schema(item, version):
    kubernetes_validate.validate(item, version, strict=True)


def test_the_pages_name_the_oldest_and_the_newest_version():
    readme = (PROJECT / "README.md").read_text()
    assert f"Kubernetes {OLDEST} or later" in readme
    assert f"validated with Kubernetes {NEWEST}" in readme


def test_schema_check_notices_a_misspelt_field():
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"selectr": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, NEWEST, strict=True)


def against_restricted(spec):
    """What Pod Security `restricted` would refuse in a pod's spec: a list of sentences."""
    wrong = []
    pod = spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            wrong.append(f"{field} is on")
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    wrong += [
        f"volume {each['name']} is of another kind" for each in spec.get("volumes", []) if not allowed & each.keys()
    ]
    for container in containers(spec):
        own, name = container.get("securityContext", {}), container["name"]
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            wrong.append(f"{name} may gain privileges")
        capabilities = own.get("capabilities", {})
        if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            wrong.append(f"{name} keeps capabilities")
        if (
            own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True
            or own.get("runAsUser", pod.get("runAsUser")) == 0
        ):
            wrong.append(f"{name} may run as root")
        if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in ("RuntimeDefault", "Localhost"):
            wrong.append(f"{name} has no seccomp profile")
        if any(port.get("hostPort") for port in container.get("ports", [])):
            wrong.append(f"{name} has a host port")
    return wrong


# A namespace that says of itself that its pods may do more than `restricted` allows.
PRIVILEGED = {
    item.values[0]["metadata"]["name"]
    for item in ALL
    if item.values[0]["kind"] == "Namespace"
    and item.values[0]["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted"
}


@pytest.mark.parametrize(
    "item", [item for item in PODS if item.values[0]["metadata"].get("namespace") not in PRIVILEGED]
)
def test_pod_security_restricted(item):
    assert against_restricted(pod_spec(item)) == []


def test_restricted_check_notices_each_field():
    spec = {"hostNetwork": True, "volumes": [{"name": "a", "hostPath": {}}], "containers": [{"name": "b"}]}
    assert against_restricted(spec) == [
        "hostNetwork is on",
        "volume a is of another kind",
        "b may gain privileges",
        "b keeps capabilities",
        "b may run as root",
        "b has no seccomp profile",
    ]


@pytest.mark.parametrize("item", [item for item in DEPLOYED if pod_spec(item.values[0])])
def test_pods_are_good_neighbours(item):
    spec = pod_spec(item)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    for container in containers(spec):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
        assert container["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize("item", DEPLOYED)
def test_goes_into_the_current_namespace(item):
    assert item["kind"] != "Namespace"
    assert "namespace" not in item["metadata"]


@pytest.mark.parametrize("item", DEPLOYED)
def test_labels(item):
    labels = item["metadata"]["labels"]
    assert labels["app.kubernetes.io/part-of"] == "mysql-replication-demo"
    assert {"app.kubernetes.io/name", "app.kubernetes.io/component"} <= labels.keys()


@pytest.mark.parametrize("item", PODS)
def test_images_are_pinned_and_for_every_architecture(item):
    spec = pod_spec(item)
    for container in containers(spec):
        name, _, tag = container["image"].rpartition(":")
        assert name, f"{container['image']} has no tag"
        assert re.match(r"\d+\.\d+", tag), f"{container['image']} can become another image"
    required = spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    assert not required
    assert not spec.get("nodeSelector")


def test_mysql_pods_prefer_one_architecture():
    """CLONE refuses a donor of another architecture (error 3866)."""
    affinity = pod_spec(BY_NAME["StatefulSet", "mysql"])["affinity"]
    [node] = affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    [apart] = affinity["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    [term] = node["preference"]["matchExpressions"]
    assert (term["key"], term["operator"], len(term["values"])) == ("kubernetes.io/arch", "In", 1)
    assert node["weight"] >= apart["weight"]


@pytest.mark.parametrize("service", ["mysql", "mysql-read", "write-app", "read-app"])
def test_services_have_both_address_families_where_the_cluster_has_them(service):
    spec = BY_NAME["Service", service]["spec"]
    assert spec["ipFamilyPolicy"] == "PreferDualStack"
    assert "ipFamilies" not in spec  # of a single family, the cluster's


@pytest.mark.parametrize("name", [("StatefulSet", "mysql"), ("Deployment", "write-app"), ("Deployment", "read-app")])
def test_scratch_volumes_have_a_limit(name):
    """Those of backup and restore hold the whole database, so they have none."""
    scratch = [each["emptyDir"] for each in pod_spec(BY_NAME[name])["volumes"] if "emptyDir" in each]
    assert scratch
    assert all(each.get("sizeLimit") for each in scratch)


@pytest.mark.parametrize("app", ["write-app", "read-app"])
def test_rollouts_of_the_apps(app):
    spec = BY_NAME["Deployment", app]["spec"]
    assert spec["minReadySeconds"] > 0
    assert spec["revisionHistoryLimit"] > 0
    [spread] = pod_spec(BY_NAME["Deployment", app])["topologySpreadConstraints"]
    assert spread["matchLabelKeys"] == ["pod-template-hash"]


def test_dockerfiles_are_for_every_architecture():
    for file in PROJECT.glob("*-app/Dockerfile"):
        instructions = "\n".join(line for line in file.read_text().splitlines() if not line.startswith("#"))
        assert re.search(r"^FROM python:3\.14-slim", instructions, re.MULTILINE)
        assert not re.search(r"--platform|amd64|arm64|x86_64|aarch64|@sha256", instructions)


def test_headless_service_names_every_pod():
    service = BY_NAME["Service", "mysql"]["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    assert BY_NAME["StatefulSet", "mysql"]["spec"]["serviceName"] == "mysql"


def test_mysql_read_has_an_address_and_only_ready_pods():
    service = BY_NAME["Service", "mysql-read"]["spec"]
    assert service.get("type", "ClusterIP") == "ClusterIP"
    assert "clusterIP" not in service
    assert not service.get("publishNotReadyAddresses")


@pytest.mark.parametrize(("name", "port"), [("write-app", 30000), ("read-app", 30001)])
def test_node_ports(name, port):
    service = BY_NAME["Service", name]["spec"]
    assert service["type"] == "NodePort"
    assert [each["nodePort"] for each in service["ports"]] == [port]


@pytest.mark.parametrize("service", ["mysql", "mysql-read", "write-app", "read-app"])
def test_services_find_their_pods(service):
    spec = BY_NAME["Service", service]["spec"]
    owners = [item for item in BY_NAME.values() if item["kind"] in ("StatefulSet", "Deployment")]
    found = [
        item for item in owners if spec["selector"].items() <= item["spec"]["template"]["metadata"]["labels"].items()
    ]
    assert [item["metadata"]["name"] for item in found] == [service.removesuffix("-read")]
    for item in found:
        assert spec["selector"].items() <= item["spec"]["selector"]["matchLabels"].items()
        ports = [port["name"] for each in item["spec"]["template"]["spec"]["containers"] for port in each["ports"]]
        assert {port["targetPort"] for port in spec["ports"]} <= set(ports)


def test_mysql_keeps_its_data_on_the_default_storage_class():
    statefulset = BY_NAME["StatefulSet", "mysql"]["spec"]
    (claim,) = statefulset["volumeClaimTemplates"]
    assert statefulset["replicas"] == 2
    assert claim["metadata"]["name"] == "data"
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi"
    assert "storageClassName" not in claim["spec"]
    assert {each["image"] for each in containers(statefulset["template"]["spec"])} == {"mysql:9.7"}


@pytest.mark.parametrize(("app", "host"), [("write-app", "mysql-0.mysql"), ("read-app", "mysql-read")])
def test_apps_get_their_database_from_the_environment(app, host):
    (container,) = pod_spec(BY_NAME["Deployment", app])["containers"]
    environment = {each["name"]: each for each in container["env"]}
    assert container["image"] == f"{app}:1.0.0"
    assert environment["DB_HOST"]["value"] == host
    assert environment["DB_NAME"]["value"] == "userdb"
    assert environment["DB_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "mysql"
    assert [environment.get("DB_PORT", {"value": "3306"})["value"]] == ["3306"]


def test_no_password_outside_the_secret():
    passwords = BY_NAME["Secret", "mysql"]["stringData"].values()
    rest = [str(item) for (kind, _), item in BY_NAME.items() if kind != "Secret"]
    assert passwords
    assert [password for password in passwords if any(password in text for text in rest)] == []


@pytest.mark.parametrize("app", ["write-app", "read-app"])
def test_metrics_have_a_port_of_their_own_that_no_service_has(app):
    template = BY_NAME["Deployment", app]["spec"]["template"]
    ports = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(ports["metrics"])
    assert [port["targetPort"] for port in BY_NAME["Service", app]["spec"]["ports"]] == ["http"]
    [rule] = BY_NAME["NetworkPolicy", "apps"]["spec"]["ingress"]
    assert {port["port"] for port in rule["ports"]} == {"http", "metrics"}


@pytest.mark.parametrize("app", ["write-app", "read-app"])
def test_tls_is_required_and_no_container_says_less_than_another(app):
    spec = BY_NAME["Deployment", app]["spec"]["template"]["spec"]
    for container in containers(spec):
        environment = {each["name"]: each.get("value") for each in container["env"]}
        assert (environment["DB_TLS"], environment["DB_CA"]) == ("require", "/tls/ca.crt")
