"""The pictures in images/. `make pictures` copies them there; other runs only leave them in .cache/screenshots."""

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


@SCHEMES
def test_architecture(chromium, scheme, suffix):
    page = chromium.new_page(viewport={"width": 1080, "height": 600}, color_scheme=scheme, device_scale_factor=1.5)
    page.goto((PROJECT / "images" / "architecture.svg").as_uri())
    expect(page.get_by_text("mysql-read", exact=True)).to_be_visible()
    page.screenshot(path=SCREENSHOTS / f"architecture{suffix}.png", omit_background=True)
    page.close()


@SCHEMES
def test_pages(opened, target, register, scheme, suffix):
    page = opened(target.write_url, color_scheme=scheme)
    screenshot(page, f"write-empty{suffix}")
    for person in PEOPLE:
        register(person, f"{person.split()[0].lower()}.{new_email()[:4]}@example.org")
    fill(page, "Karen Spärck Jones", f"karen.{new_email()[:4]}@example.org")
    expect(page.locator("#outcome")).to_contain_text("is registered")
    screenshot(page, f"write{suffix}")

    page.get_by_role("link", name="Read it back").click()
    page.get_by_label("How often").fill("10")
    page.get_by_label("How often").blur()
    expect(page.locator("#strip li")).to_have_count(30)
    expect(page.locator("tr:target")).to_be_visible()
    screenshot(page, f"read{suffix}")


@SCHEMES
@pytest.mark.parametrize("which", ["write", "read"])
def test_phone(opened, target, which, scheme, suffix):
    page = opened(getattr(target, f"{which}_url"), width=360, color_scheme=scheme)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    screenshot(page, f"{which}-phone{suffix}")
