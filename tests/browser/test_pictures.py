"""The pictures in images/. `make pictures` takes them on a cluster; other runs leave them in .cache/screenshots."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.helpers import SCREENSHOTS, fill, new_email, screenshot

PROJECT = Path(__file__).resolve().parents[2]
SCHEMES = pytest.mark.parametrize(("scheme", "suffix"), [("light", ""), ("dark", "-dark")])
PEOPLE = [
    "Ada Lovelace",
    "Grace Hopper",
    "Katherine Johnson",
    "Margaret Hamilton",
    "Barbara Liskov",
    "Radia Perlman",
    "Annie Easley",
]


DRAWINGS = sorted((PROJECT / "images").glob("*.svg"))


@SCHEMES
@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda file: file.stem)
def test_drawing(chromium, drawing, scheme, suffix):
    """At the width at which README.md shows it, nothing sticks out of its picture."""
    page = chromium.new_page(viewport={"width": 830, "height": 600}, color_scheme=scheme)
    page.set_content(f'<body style="margin: 0">{drawing.read_text()}</body>')
    page.locator("svg").screenshot(path=SCREENSHOTS / f"{drawing.stem}{suffix}.png")
    outside = page.evaluate("""() => [...document.querySelectorAll("svg text")].filter(text => {
        const box = text.getBoundingClientRect(), page = document.querySelector("svg").getBoundingClientRect()
        return box.left < page.left || box.right > page.right || box.bottom > page.bottom
    }).map(text => text.textContent)""")
    assert outside == []
    page.close()


def card(page, title, name):
    """Write one card of a page, down to its last words, to .cache/screenshots/NAME.png."""
    found = page.get_by_role("heading", name=title).locator("xpath=ancestor::*[contains(@class, 'card')][1]")
    page.set_viewport_size({"width": 1200, "height": 2200})  # the whole card in view
    found.scroll_into_view_if_needed()
    edge = found.bounding_box()
    drawn = [child.bounding_box() for child in found.locator("xpath=./*").all()]
    bottom = max(box["y"] + box["height"] for box in drawn if box and box["height"])
    edge["height"] = bottom - edge["y"] + 24
    page.screenshot(path=SCREENSHOTS / f"{name}.png", clip=edge)


@SCHEMES
def test_screenshots(opened, target, register, scheme, suffix):
    page = opened(target.write_url, color_scheme=scheme, device_scale_factor=1.5)
    screenshot(page, f"write-empty{suffix}")
    for person in PEOPLE:
        register(person, f"{person.split()[0].lower()}.{new_email()[:4]}@example.org")
    fill(page, "Karen Spärck Jones", f"karen.{new_email()[:4]}@example.org")
    expect(page.locator("#outcome")).to_contain_text("is registered")
    screenshot(page, f"write-page{suffix}")
    card(page, "your write took", f"write{suffix}")

    page.get_by_role("link", name="Read it back").click()
    page.get_by_label("How often").fill("10")
    page.get_by_label("How often").blur()
    expect(page.locator("#strip li")).to_have_count(30)
    expect(page.locator("tr:target")).to_be_visible()
    screenshot(page, f"read-page{suffix}")
    card(page, "Who copies whom", f"read{suffix}")


@SCHEMES
@pytest.mark.parametrize("which", ["write", "read"])
def test_phone(opened, target, which, scheme, suffix):
    page = opened(getattr(target, f"{which}_url"), width=360, color_scheme=scheme)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    screenshot(page, f"{which}-phone{suffix}")
