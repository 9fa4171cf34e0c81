"""Which DNS servers the pods may ask: clusters run them in different places, and not always as pods."""

import ipaddress

import pytest
import yaml

from manifests.test_manifests import PROJECT

POLICIES = {
    item["metadata"]["name"]: item["spec"]
    for item in yaml.safe_load_all((PROJECT / "kubernetes" / "network-policies.yaml").read_text())
}
KUBE_SYSTEM = {"kubernetes.io/metadata.name": "kube-system"}
OPENSHIFT_DNS = {"kubernetes.io/metadata.name": "openshift-dns"}


def selects(selector, labels):
    """Return whether a label selector that has only matchLabels selects these labels."""
    assert selector.keys() <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()


def is_peer(peer, address, namespace):
    """Return whether a peer of a rule includes `address`, in a namespace with these labels (None: not a pod)."""
    if "ipBlock" in peer:
        return namespace is None and ipaddress.ip_address(address) in ipaddress.ip_network(peer["ipBlock"]["cidr"])
    assert peer.keys() == {"namespaceSelector"}
    return namespace is not None and selects(peer["namespaceSelector"], namespace)


def allows(policy, address, protocol, port, namespace=None):
    """Return whether the egress rules of a policy allow a connection; a rule without `to` allows every address."""
    return any(
        {"protocol": protocol, "port": port} in rule["ports"]
        and ("to" not in rule or any(is_peer(peer, address, namespace) for peer in rule["to"]))
        for rule in policy["egress"]
    )


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
@pytest.mark.parametrize(
    ("address", "port", "namespace"),
    [
        pytest.param("10.244.0.2", 53, KUBE_SYSTEM, id="kubeadm, kind, minikube, k3s: pods of kube-system"),
        pytest.param("fd00:10:244::2", 53, KUBE_SYSTEM, id="the same with IPv6"),
        pytest.param("169.254.20.10", 53, None, id="NodeLocal DNSCache"),
        pytest.param("169.254.25.10", 53, None, id="NodeLocal DNSCache as kubespray installs it"),
        pytest.param("fd00:90::a", 53, None, id="NodeLocal DNSCache with IPv6"),
        pytest.param("169.254.169.254", 53, None, id="GKE Cloud DNS"),
        pytest.param("172.20.0.10", 53, None, id="EKS Auto Mode: a server on the node, behind the Service's address"),
        pytest.param("10.128.0.9", 5353, OPENSHIFT_DNS, id="OpenShift: another namespace, another port"),
    ],
)
def test_dns_is_allowed_wherever_a_cluster_has_it(address, port, namespace, protocol):
    assert allows(POLICIES["default-deny"], address, protocol, port, namespace)


@pytest.mark.parametrize(("protocol", "port"), [("TCP", 443), ("TCP", 3306), ("UDP", 123), ("TCP", 80)])
def test_nothing_but_dns_is_allowed_to_all_pods(protocol, port):
    for address, namespace in (("10.244.0.2", KUBE_SYSTEM), ("192.0.2.1", None)):
        assert not allows(POLICIES["default-deny"], address, protocol, port, namespace)
