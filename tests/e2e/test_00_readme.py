"""The walk-through of README.md, first of all: it needs the NodePorts that it names, and nothing deployed yet."""

import pytest

from docs.pages import ROOT, blocks, current_namespace
from e2e.cluster import Deployment, node_ports


@pytest.mark.timeout(1500)
def test_walk_through(tmp_path):
    namespace = Deployment("readme", enforce="privileged")  # what a namespace without a rule enforces
    try:
        assert not {30000, 30001} & node_ports(), "NodePort 30000 or 30001 is taken: delete the other copy of the demo"
        with current_namespace(namespace.namespace, tmp_path / "kubeconfig"):
            for step in blocks(ROOT / "README.md"):
                step.run()
    finally:
        namespace.remove()
