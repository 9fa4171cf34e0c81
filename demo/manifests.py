"""The pods and Services that a cluster would make from the files in kubernetes/.

Nothing of it is repeated in the demo: commands, scripts, configuration, passwords, probes and ports are the manifests'.
"""

import base64
from dataclasses import dataclass
from pathlib import Path

import yaml

FILES = ("mysql-statefulset.yaml", "write-app.yaml", "read-app.yaml")


@dataclass
class Pod:
    """One pod: its template's spec and what tells it from its siblings."""

    name: str
    ordinal: int
    spec: dict
    labels: dict
    address: str  # its own, on the loopback interface of the demo's network namespace
    claims: list  # names of the volumes that outlive the pod
    follows: str = ""  # the pod that must be ready before this one is created


@dataclass
class Service:
    """One Service port: a name, and behind it the pods that its selector finds."""

    name: str
    headless: bool
    address: str
    port: int
    port_name: str
    target_port: int
    node_port: int  # 0 if it has none
    pods: list


class Manifests:
    """All objects of the three files in `folder`; `replicas` overrides the StatefulSet's number of pods."""

    def __init__(self, folder, replicas=None):
        self.objects = [
            item for file in FILES for item in yaml.safe_load_all((Path(folder) / file).read_text()) if item
        ]
        self.pods = []
        for item in self.objects:
            if item["kind"] in ("StatefulSet", "Deployment"):
                self._add_pods(item, replicas)
        self.services = [
            service for item in self.objects if item["kind"] == "Service" for service in self._services(item)
        ]

    def _add_pods(self, item, replicas):
        ordered = item["kind"] == "StatefulSet"
        name, spec, template = item["metadata"]["name"], item["spec"], item["spec"]["template"]
        # A StatefulSet makes its pods one after another. The apps could start at once and wait, as they do in a
        # cluster; here they start after the primary, so that the first log lines are not about waiting.
        previous = "" if ordered else next(pod.name for pod in self.pods if pod.claims)
        count = replicas if ordered and replicas else spec["replicas"]
        if ordered and count == 1:  # the line that the manifest asks for
            entries = [entry for each in template["spec"]["containers"] for entry in each.get("env", [])]
            next(entry for entry in entries if entry["name"] == "SINGLE_POD")["value"] = "yes"
        for ordinal in range(count):
            self.pods.append(
                Pod(
                    name=f"{name}-{ordinal}",
                    ordinal=ordinal,
                    spec=template["spec"],
                    labels=template["metadata"]["labels"],
                    address=f"127.0.1.{len(self.pods) + 1}",
                    claims=[claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])],
                    follows=previous,
                )
            )
            if ordered:
                previous = f"{name}-{ordinal}"

    def _services(self, item):
        name, spec = item["metadata"]["name"], item["spec"]
        pods = [pod for pod in self.pods if spec["selector"].items() <= pod.labels.items()]
        number = [other["metadata"]["name"] for other in self.objects if other["kind"] == "Service"].index(name) + 1
        for port in spec["ports"]:
            yield Service(
                name=name,
                headless=spec.get("clusterIP") == "None",
                address=f"127.0.2.{number}",
                port=port["port"],
                port_name=port["name"],
                target_port=port_number(pods[0].spec["containers"][0], port["targetPort"]),
                node_port=port.get("nodePort", 0),
                pods=pods,
            )

    def pod(self, name):
        """The pod `name`; KeyError if the manifests have none."""
        for pod in self.pods:
            if pod.name == name:
                return pod
        raise KeyError(name)

    def files_of(self, kind, name):
        """The files that a ConfigMap or Secret gives a pod, {key: text}; None if there is no such object."""
        for item in self.objects:
            if item["kind"] == kind and item["metadata"]["name"] == name:
                if kind == "ConfigMap":
                    return item["data"]
                encoded = {key: base64.b64decode(value).decode() for key, value in item.get("data", {}).items()}
                return encoded | item.get("stringData", {})
        return None

    def environment(self, container, pod):
        """The container's environment variables, {name: value}."""
        return {entry["name"]: self._value(entry, pod) for entry in container.get("env", [])}

    def _value(self, entry, pod):
        if "value" in entry:
            return entry["value"]
        source = entry["valueFrom"]
        if "secretKeyRef" in source:
            return self.files_of("Secret", source["secretKeyRef"]["name"])[source["secretKeyRef"]["key"]]
        return {"metadata.name": pod.name, "status.podIP": pod.address}[source["fieldRef"]["fieldPath"]]


def port_number(container, port):
    """A port's number, whether `port` is one already or the name of one of the container's ports."""
    if isinstance(port, int):
        return port
    return next(entry["containerPort"] for entry in container["ports"] if entry["name"] == port)
