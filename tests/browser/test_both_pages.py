"""What is promised of both pages: small, steady, accessible, from one host, recognisably one product."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from browser.helpers import check_accessibility

PROJECT = Path(__file__).resolve().parents[2]
BOTH = pytest.mark.parametrize("which", ["write_url", "read_url"])


@BOTH
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_accessible_and_not_too_wide(opened, target, which, scheme, width):
    page = opened(getattr(target, which), width=width, color_scheme=scheme)
    check_accessibility(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width


@BOTH
def test_page_weight(opened, target, which):
    page = opened(getattr(target, which))
    page.wait_for_load_state("load")
    page.get_by_role("heading", level=1).wait_for()
    assert sum(page.watched.bytes.values()) < 60_000, page.watched.bytes


@BOTH
def test_asks_no_other_host(opened, target, which):
    url = getattr(target, which)
    page = opened(url)
    page.wait_for_timeout(2000)
    assert {urlsplit(asked).netloc for asked in page.watched.requests} == {urlsplit(url).netloc}


@BOTH
def test_nothing_moves_after_the_first_paint(opened, target, which):
    page = opened(getattr(target, which))
    page.wait_for_timeout(2500)
    shift = page.evaluate(
        "new Promise(done => { new PerformanceObserver(list => done(list.getEntries().map(e => e.value)))"
        ".observe({type: 'layout-shift', buffered: true}); setTimeout(() => done([]), 500) })"
    )
    assert sum(shift) < 0.01


@BOTH
def test_no_inline_code_is_allowed(opened, target, which):
    page = opened(getattr(target, which))
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p id=tried style=\"position: fixed\">')")
    assert page.locator("#tried").evaluate("element => getComputedStyle(element).position") == "static"
    assert all("Content Security Policy" in complaint for complaint in page.watched.complaints)
    page.watched.complaints.clear()


def test_one_look():
    shared = [
        (PROJECT / app / "static" / "style.css").read_text().partition("/* ---- this page only ---- */")[0]
        for app in ("write-app", "read-app")
    ]
    assert shared[0] == shared[1]
    assert len(shared[0]) > 1000
