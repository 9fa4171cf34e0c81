"""The reading page."""

import time
import uuid
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import expect

from browser.helpers import REPAIR, check_accessibility, screenshot

MARKUP = "<script>alert(1)</script><b>bold</b>"


@pytest.fixture(scope="module")
def twenty_users(target):
    """Makes sure that there is more than one page of users."""
    for number in range(20):
        user = {"name": f"User {number}", "email": f"user{number}-{time.time_ns()}@example.org"}
        assert requests.post(f"{target.write_url}/submit", json=user, timeout=15).ok


def test_stored_markup_is_text(opened, target, register):
    user = register(MARKUP)
    page = opened(f"{target.read_url}/?after={user['gtid']}#user-{user['id']}")
    expect(page.locator("tr:target b")).to_have_text(MARKUP)


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
@pytest.mark.usefixtures("twenty_users")
def test_turning_pages(opened, target, javascript):
    page = opened(target.read_url, java_script_enabled=javascript)

    def numbers():
        return [int(text) for text in page.locator("tbody tr[id] td:first-child").all_inner_texts()]

    newest = numbers()
    if javascript:
        page.evaluate("window.stayed = true")
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Newest")).to_be_visible()
    assert newest == sorted(newest, reverse=True)
    assert numbers()[0] < newest[-1]
    assert not javascript or page.evaluate("window.stayed")
    page.go_back()
    expect(page.get_by_role("link", name="Newest")).to_be_hidden()
    assert numbers()[-1] == newest[-1]


def test_both_pods_answer(opened, target):
    page = opened(target.read_url)
    page.get_by_label("How often").fill("10")
    expect(page.locator("#rate-text")).to_have_text("10 a second")
    expect(page.locator("#strip li")).to_have_count(30)
    for pod in "0", "1":
        assert page.locator("#strip").get_by_text(pod, exact=True).count() >= 3
    shares = page.locator("#shares .share").all_inner_texts()
    assert 98 <= sum(int(share.split()[0]) for share in shares) <= 102


def test_pause(opened, target):
    page = opened(target.read_url)
    page.get_by_label("How often").fill("10")
    expect(page.locator("#strip li").nth(4)).to_be_visible()
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("button", name="Pause updates").click()
    page.wait_for_load_state("networkidle")
    asked = len(page.watched.requests)
    page.wait_for_timeout(1500)
    assert len(page.watched.requests) == asked
    page.get_by_role("button", name="Start").click()
    page.wait_for_event("request")


def test_asks_once_a_second_and_never_when_hidden(opened, target):
    page = opened(target.read_url)
    page.wait_for_timeout(4000)
    paths = [urlsplit(url).path for url in page.watched.requests]
    for path in "/mysql-pod", "/live":
        assert 1 <= paths.count(path) <= 5

    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_load_state("networkidle")
    asked = len(page.watched.requests)
    page.wait_for_timeout(2500)
    assert len(page.watched.requests) == asked
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_event("request")


def test_colours_are_steady(opened, target):
    page = opened(target.read_url)

    def colours():
        style = (
            "pods => pods.map(pod => [pod.dataset.pod, getComputedStyle(pod.querySelector('.pod')).backgroundColor])"
        )
        return dict(page.locator("#shares li").evaluate_all(style))

    before = colours()
    page.reload()
    assert colours() == before
    assert len(set(before.values())) == len(before) >= 2


def test_first_paint_needs_no_second_request(opened, target, register):
    register("Painted first")
    page = opened(target.read_url, java_script_enabled=False)
    expect(page.locator("h1 + p")).to_contain_text("answered")
    expect(page.locator("tbody")).to_have_count(2)
    expect(page.locator(".topology")).to_contain_text("mysql-1")
    expect(page.get_by_role("rowheader", name="mysql-read")).to_be_visible()
    expect(page.locator("#strip li")).to_have_count(1)
    expect(page.locator("noscript p")).to_have_text("Reload the page to ask again: the answers change.")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)


def test_names_and_addresses(opened, target):
    page = opened(target.read_url)

    def addresses(name):
        cell = (
            page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True)).get_by_role("cell")
        )
        return [code.split()[0] for code in cell.locator("code").all_inner_texts()]

    pods = [address for server in ("0", "1") for address in addresses(f"mysql-{server}.mysql")]
    assert sorted(addresses("mysql")) == sorted(pods)
    assert len(pods) == 2


def test_replica_is_seen_to_go_and_come_back(opened, target):
    page = opened(target.read_url)
    replica = page.locator(".topology [data-pod=mysql-1]")
    expect(replica).to_contain_text("up to date with mysql-0")
    target.stop(1)  # not killed: it would be back before the page asks again
    expect(replica).not_to_contain_text("up to date with mysql-0")
    screenshot(page, "read-replica-away")
    target.start(1)
    expect(replica).to_contain_text("up to date with mysql-0", timeout=REPAIR)


def test_stopped_replication_is_shown(opened, target):
    page = opened(target.read_url)
    replica = page.locator(".topology [data-pod=mysql-1]")
    expect(replica).to_contain_text("up to date with mysql-0")
    target.sql(1, "STOP REPLICA SQL_THREAD")
    try:
        expect(replica).to_contain_text("is not copying")
        screenshot(page, "read-replica-broken")
        check_accessibility(page)
    finally:
        target.sql(1, "START REPLICA SQL_THREAD")
    expect(replica).to_contain_text("up to date with mysql-0")


def test_diverged_replica_is_shown_and_a_person_must_decide(opened, target):
    page = opened(target.read_url)
    replica = page.locator(".topology [data-pod=mysql-1]")
    expect(replica).to_contain_text("up to date with mysql-0")
    gtid = f"{uuid.uuid4()}:1"
    transaction = f"SET gtid_next = '{gtid}'; COMMIT; SET gtid_next = AUTOMATIC"
    target.sql(1, f"SET GLOBAL super_read_only = OFF; {transaction}; SET GLOBAL super_read_only = ON")
    try:
        expect(replica).to_contain_text("has diverged from mysql-0", timeout=REPAIR)
        words = page.locator(".words")
        expect(words).to_contain_text(gtid.partition(":")[0])
        expect(words).to_contain_text("docs/operations.md#divergence")
        expect(words).not_to_contain_text("delete")
        screenshot(page, "read-replica-diverged")
        check_accessibility(page)
    finally:
        target.sql(0, transaction)  # an empty transaction: now the source has it, too
    expect(replica).to_contain_text("up to date with mysql-0", timeout=REPAIR)


def test_pod_that_is_gone_is_still_drawn(opened, target):
    page = opened(target.read_url)
    # As after scaling down from three: this page has seen mysql-2, and DNS no longer has it.
    page.route("**/live?*", lambda route: route.continue_(url=f"{target.read_url}/live?pods=3"))
    expect(page.locator(".topology [data-pod=mysql-2][data-gone]")).to_contain_text("is gone")
    screenshot(page, "read-pod-gone")
    check_accessibility(page)
