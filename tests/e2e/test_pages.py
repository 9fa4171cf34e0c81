"""The tests of tests/browser, on the cluster."""

from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

# Pytest collects what it finds in this module: the same tests, with the target below.
from browser.conftest import chromium, opened, register  # noqa: F401 - fixtures
from browser.test_both_pages import *  # noqa: F403 - the very tests
from browser.test_pictures import *  # noqa: F403 - the pictures of README.md
from browser.test_read_page import *  # noqa: F403 - the very tests
from browser.test_write_page import *  # noqa: F403 - the very tests


@pytest.fixture(scope="session")
def target(deployment):
    """The deployment, as the tests of the pages want it, with pages that link to each other's NodePorts."""
    for app, variable, url in (
        ("write-app", "READ_PORT", deployment.read_url),
        ("read-app", "WRITE_PORT", deployment.write_url),
    ):
        deployment.kubectl("set", "env", f"deployment/{app}", f"{variable}={urlsplit(url).port}")
    deployment.wait_ready()

    def scale(replicas):
        deployment.kubectl("scale", "statefulset/mysql", f"--replicas={replicas}")

    return SimpleNamespace(
        write_url=deployment.write_url,
        read_url=deployment.read_url,
        sql=lambda server, statement: deployment.sql(f"mysql-{server}", statement),
        kill=lambda server: deployment.signal_mysqld(f"mysql-{server}", "KILL"),
        stop=scale,  # to N pods: pod N goes
        start=lambda server: scale(server + 1),
    )
