"""Fixtures for all tests, and the rule that in CI nothing may be skipped."""

import os
import signal

import pytest

from running_demo import PROJECT, Demo, remove_abandoned, why_not_here


def pytest_configure():
    """Keep tmp_path and what Chromium writes inside the project, remove what killed runs left, and forget make."""
    temporary = PROJECT / ".cache" / "tmp-of-tests"
    temporary.mkdir(parents=True, exist_ok=True)
    os.environ["TMPDIR"] = str(temporary)
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        os.environ.pop(name, None)  # make that a test runs is a reader's, not a part of the make that runs the tests
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(PROJECT / ".cache"))
    remove_abandoned()
    # SIGTERM ends the tests as Ctrl-C does: what they started is stopped and deleted.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("stopped by SIGTERM", 128 + signal.SIGTERM))
    node = PROJECT / ".cache" / "chromium" / "node"
    if node.exists():  # tests/chromium made it, on a machine without Node.js's libraries
        os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(node))


@pytest.fixture(scope="session")
def demo():
    """The running demo (see running_demo.Demo), shared by all tests of the session.

    A test that breaks something (kill, freeze, stop) repairs it, or waits until it is repaired, before it ends.

        def test_reads(demo):
            assert requests.get(f"{demo.read_url}/users").ok
            assert demo.sql(1, "SELECT @@read_only") == [["1"]]
    """
    if reason := why_not_here():
        pytest.skip(reason)
    demo = Demo()
    try:
        yield demo.wait_until_up()
    finally:
        demo.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """In CI a skipped test is a failed one: whatever it needs, CI must have."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure in CI: {report.longrepr[2]}"
