"""The registration page."""

import re

import pytest
from playwright.sync_api import expect

from browser.helpers import REPAIR, check_accessibility, fill, new_email, screenshot

MARKUP = "<img src=x onerror=alert(1)><b>bold</b>"


def test_registered_and_read_back(opened, target):
    page = opened(target.write_url)
    fill(page, "Grace Hopper", new_email())
    expect(page.locator("#outcome")).to_contain_text(re.compile(r"User \d+ is registered"))
    way = page.locator(".path")
    expect(way).to_contain_text("mysql-0 the primary")
    expect(way.locator("summary")).to_have_text(re.compile(r"^[0-9a-f]{8}…:\d+$"))
    way.locator("summary").click()
    expect(way.locator("details")).to_contain_text(re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:\d+"))
    expect(way).to_contain_text("Replicated before you got the answer")
    check_accessibility(page)

    page.get_by_role("link", name="Read it back").click()
    own = page.locator("tr:target")
    expect(own).to_contain_text("Grace Hopper")
    others = page.locator("tbody tr:not(:target)").first
    colour = "element => getComputedStyle(element).backgroundColor"
    assert not others.count() or own.evaluate(colour) != others.evaluate(colour)


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no javascript"])
def test_wrong_values_are_explained_at_their_fields(opened, target, javascript):
    page = opened(target.write_url, java_script_enabled=javascript)
    fill(page, "", "nobody@")
    name, email = page.get_by_label("Name", exact=True), page.get_by_label("Email address")
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_accessible_description(re.compile("Please enter a name"))
    expect(email).to_have_accessible_description(re.compile("after the @"))
    expect(email).to_have_value("nobody@")
    if javascript:
        expect(name).to_be_focused()
        check_accessibility(page)

    fill(page, "Now right", new_email())
    expect(page.locator("#outcome")).to_contain_text("is registered")
    expect(name).not_to_have_attribute("aria-invalid", "true")
    expect(name).to_have_value("")


def test_address_that_is_registered_already(opened, target, register):
    page = opened(target.write_url)
    fill(page, "Somebody else", register()["email"])
    expect(page.locator("#email-error")).to_contain_text("registered already")
    expect(page.get_by_label("Email address")).to_be_focused()


def test_keyboard_alone(opened, target):
    page = opened(target.write_url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the form")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.type("Only Keys")
    page.keyboard.press("Tab")
    page.keyboard.type(new_email())
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("#outcome")).to_contain_text("is registered")
    expect(page.locator("#outcome")).to_be_focused()


def test_without_javascript(opened, target):
    page = opened(target.write_url, java_script_enabled=False)
    fill(page, MARKUP, new_email())
    expect(page.locator("#outcome")).to_contain_text("is registered")
    page.reload()  # registers nothing again
    expect(page.locator("#outcome")).to_contain_text("is registered")
    page.get_by_role("link", name="Read it back").click()
    expect(page.locator("tr:target b")).to_have_text(MARKUP)


def test_no_answer_keeps_what_was_typed(opened, target):
    page = opened(target.write_url)
    page.route("**/submit", lambda route: route.abort())
    address = new_email()
    fill(page, "Patient", address)
    expect(page.locator("#cut")).to_contain_text("no answer came")
    expect(page.get_by_label("Email address")).to_have_value(address)
    check_accessibility(page)
    page.unroute("**/submit")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#outcome")).to_contain_text("is registered")


def test_primary_away_and_back(opened, target):
    page = opened(target.write_url)
    away = page.get_by_text("What you typed is still here. Reads go on")
    page.get_by_label("Name", exact=True).fill("Patient")
    page.get_by_label("Email address").fill(new_email())
    target.kill(0)  # last, because it is back within a second or two
    page.get_by_label("Email address").press("Enter")
    expect(away).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Patient")
    check_accessibility(page)
    expect(page.locator(".path .lost")).to_contain_text("mysql-0")
    screenshot(page, "write-primary-away")

    registered = page.get_by_text("is registered")
    end = page.evaluate("performance.now()") + REPAIR
    while not registered.is_visible():
        assert page.evaluate("performance.now()") < end
        with page.expect_response("**/submit"):
            page.get_by_role("button", name="Try again").click()
        expect(away.or_(registered)).to_be_visible()
