"""Every lesson does on a real cluster what its page says, and leaves nothing behind.

Before the deployment that other tests share is made, hence the number in this file's name (`make e2e` sorts ONLY): a
lab drains a node, and what it prints names every MySQL pod that is evicted, also of another deployment.
"""

import subprocess
import time

import pytest

from docs.pages import ROOT, blocks, current_namespace
from e2e.cluster import Deployment

LESSONS = ROOT / "kubernetes" / "lessons"
LABS = sorted((LESSONS / "break-it").glob("*.md"), key=lambda page: (page.name != "README.md", page.name))
HOW_IT_WORKS = ROOT / "docs" / "how-it-works.md"  # first of all: it shows the GTIDs of a new deployment
# What is not in a namespace and so is not deleted with it: everything that lessons make there says "lesson".
OUTSIDE = "{range .items[*]}{.kind} {.metadata.name} {.metadata.labels} {.spec.claimRef.namespace}{'\\n'}{end}"


def left_by_lessons():
    """Return the lines about namespaces, volumes and nodes that have something of a lesson."""
    command = ["kubectl", "get", "namespaces,persistentvolumes,nodes", "-o", f"jsonpath={OUTSIDE}"]
    return [line for line in subprocess.check_output(command, text=True).splitlines() if "lesson" in line]


@pytest.mark.timeout(1500)  # a reader needs fifteen minutes, a busy machine more
@pytest.mark.parametrize(
    "lesson",
    [
        "headless-service",
        "volumes",
        "deployment-versus-statefulset",
        "volume-claim-templates",
        "mysql-cluster",
    ],
)
def test_lesson(lesson):
    run_lesson(lesson)


def run_lesson(lesson):
    """Run the blocks of a lesson's page, and clean up as its last block says, in any case."""
    *steps, clean_up = blocks(LESSONS / lesson / "README.md")
    before = set(left_by_lessons())  # of a reader, or of another test
    try:
        for step in steps:
            step.run()
    finally:
        clean_up.run()
    # The provisioner deletes a volume a few seconds after its claim.
    deadline = time.monotonic() + 60
    while (left := set(left_by_lessons()) - before) and time.monotonic() < deadline:
        time.sleep(1)
    assert left == set()


@pytest.fixture(scope="module")
def _demo_to_break(tmp_path_factory):
    """The main demo in its own namespace, which is made kubectl's current one."""
    demo = Deployment("labs")
    try:
        demo.apply()
        demo.wait_ready(300)
        kubeconfig = tmp_path_factory.mktemp("labs") / "kubeconfig"
        with current_namespace(demo.namespace, kubeconfig, (demo.write_url, demo.read_url)):
            yield
    finally:
        demo.remove()


def cordoned():
    """Return the names of the nodes that take no new pods."""
    names = "jsonpath={.items[?(@.spec.unschedulable)].metadata.name}"
    return set(subprocess.check_output(["kubectl", "get", "nodes", "-o", names], text=True).split())


@pytest.mark.timeout(1500)
@pytest.mark.usefixtures("_demo_to_break")
@pytest.mark.parametrize("page", [HOW_IT_WORKS, *LABS], ids=lambda page: page.name)
def test_page_on_the_demo(page):
    before = cordoned()
    try:
        for step in blocks(page):
            step.run()
    finally:  # a lab that drains nodes may have failed before it gives them back
        for node in cordoned() - before:
            subprocess.check_call(["kubectl", "uncordon", node])
