"""What the tests of the pages do again and again."""

import uuid
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe

SCREENSHOTS = Path(__file__).resolve().parents[2] / ".cache" / "screenshots"
# Best practices, too, and not only what WCAG 2.2 AA demands.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
REPAIR = 90_000  # milliseconds in which a broken pod must be back


class Watched:
    """What a page did: the hosts it asked, the bytes it got, and what the console said."""

    def __init__(self, page):
        self.requests, self.bytes, self.complaints = [], {}, []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfinished", self.weigh)
        page.on("console", lambda message: self.complain(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def weigh(self, request):
        sizes = request.sizes()
        self.bytes.setdefault(request.url, sizes["responseBodySize"] + sizes["responseHeadersSize"])

    def complain(self, kind, text):
        # Chromium itself reports each answer that is no success this way; what the pages make of those is tested.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
            self.complaints.append(text)


def new_email():
    """An email address that is not registered yet."""
    return f"{uuid.uuid4().hex[:12]}@example.org"


def fill(page, name, email):
    """Fill the form and send it with the Enter key."""
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Email address").fill(email)
    page.get_by_label("Email address").press("Enter")


def check_accessibility(page):
    """Fail with axe's report if it finds anything."""
    results = Axe().run(page, options={"runOnly": RULES})
    assert results.violations_count == 0, results.generate_report()


def screenshot(page, name):
    """Write the whole page to .cache/screenshots/NAME.png."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
