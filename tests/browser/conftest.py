"""The two pages in Chromium, against the demo, or against a cluster when E2E_WRITE_URL and E2E_READ_URL say where.

Against a cluster, pods are reached with kubectl in its current context, in the namespace E2E_NAMESPACE. Screenshots go
to .cache/screenshots; BROWSER is the browser's file when it is not /usr/bin/chromium.
"""

import os
import subprocess
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import expect, sync_playwright

from browser.helpers import Watched, new_email

# In a container there is no sandbox to be had; the rest keeps Chromium from calling its maker.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

expect.set_options(timeout=10_000)


class Cluster:
    """The same as running_demo.Demo, as far as these tests use it, on the cluster of the current kubectl context."""

    def __init__(self):
        self.write_url, self.read_url = os.environ["E2E_WRITE_URL"].rstrip("/"), os.environ["E2E_READ_URL"].rstrip("/")

    def exec(self, pod, *command):
        """Run a command in a pod; what it printed."""
        namespace = os.environ.get("E2E_NAMESPACE", "default")
        return subprocess.check_output(
            ["kubectl", "--namespace", namespace, "exec", pod, "-c", "mysql", "--", *command], text=True
        )

    def sql(self, server, statement):
        """Run SQL as root on server N; its rows as lists of strings."""
        lines = self.exec(f"mysql-{server}", "mysql", "-u", "root", "--batch", "--skip-column-names", "-e", statement)
        return [line.split("\t") for line in lines.splitlines()]

    def kill(self, server):
        """kill -9 of mysqld; the container is started again."""
        self.exec(f"mysql-{server}", "bash", "-c", 'kill -KILL "$(</var/run/mysqld/mysqld.pid)"')


@pytest.fixture(scope="session")
def target(request):
    """What is tested: write_url, read_url, sql(server, statement), kill(server)."""
    return Cluster() if "E2E_WRITE_URL" in os.environ else request.getfixturevalue("demo")


@pytest.fixture(scope="session")
def chromium():
    """The browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("BROWSER", "/usr/bin/chromium"), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, target):
    """Returns open(url, width=1200, **context options): a page; after the test it must not have misbehaved.

    page.watched has what it did. No page may complain in the console, or ask any host but the one it came from.
    """
    pages = []

    def open_page(url, width=1200, **options):
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        page = context.new_page()
        page.watched = Watched(page)
        pages.append(page)
        page.goto(url)
        return page

    yield open_page
    hosts = {urlsplit(url).netloc for url in (target.write_url, target.read_url)}
    for page in pages:
        asked = {urlsplit(url).netloc for url in page.watched.requests}
        complaints = page.watched.complaints
        page.context.close()
        assert complaints == []
        assert asked <= hosts


@pytest.fixture
def register(target):
    """Returns register(name): the answer of write-app to the registration of a new user with that name."""

    def post(name="Ada Lovelace", email=None):
        user = {"name": name, "email": email or new_email()}
        answer = requests.post(f"{target.write_url}/submit", json=user, timeout=15)
        assert answer.status_code == 201, answer.text
        return answer.json() | user

    return post
