"""Both pages are small, steady and accessible, come from one host, and look like one product."""

import pytest

from browser.helpers import check_accessibility

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
def test_nothing_moves_after_the_first_paint(opened, target, which):
    page = opened(getattr(target, which))
    if which == "read_url":  # it has changed by itself twice
        for _ in range(2):
            with page.expect_response("**/live?*"):
                pass
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
