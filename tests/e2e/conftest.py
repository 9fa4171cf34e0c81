"""The deployment that the end-to-end tests share, and one that a test may break as it likes."""

import collections
import contextlib
import sys
from pathlib import Path

import pytest

from e2e.cluster import ClusterError, Deployment, kubectl


@pytest.fixture(scope="session", autouse=True)
def _cluster():
    try:
        kubectl("get", "--raw", "/readyz", timeout=15)
    except (ClusterError, FileNotFoundError) as error:
        pytest.exit(
            f"no cluster to test on: {error}. Install kubectl and choose a context: kubectl config use-context NAME", 1
        )


@pytest.fixture(scope="session")
def deployment():
    """The whole demo, ready. A test that breaks something waits until it is whole again before it ends."""
    made = Deployment()
    try:
        made.apply()
        made.wait_ready()
        yield made
    except ClusterError:
        explain(made)
        raise
    finally:
        made.remove()


def explain(made: Deployment) -> None:
    """Print what a reader of a failed run wants to see."""
    for what in (["get", "pods,pvc", "-o", "wide"], ["get", "events", "--sort-by=.lastTimestamp"]):
        with contextlib.suppress(ClusterError):
            print(made.kubectl(*what), file=sys.stderr)


def pytest_terminal_summary(terminalreporter):
    """Print how long each file took."""
    seconds = collections.Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[Path(report.nodeid.split("::")[0]).name] += report.duration
    for file, duration in seconds.most_common():
        terminalreporter.write_line(f"{duration:6.0f} s  {file}")
