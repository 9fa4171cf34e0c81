"""The two pages in Chromium, against the demo; tests/e2e/test_pages.py runs the same tests against a cluster.

Screenshots go to .cache/screenshots. BROWSER is the browser's file when it is not /usr/bin/chromium.
"""

import os
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


@pytest.fixture(scope="session")
def target(demo):
    """What is tested: write_url, read_url, sql(server, statement), kill(server), stop(server), start(server)."""
    return demo


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
