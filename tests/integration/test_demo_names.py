"""Names outside the cluster decide nothing: what another DNS server answers, or that it does not, delays no primary."""

import shutil
import time

import pytest
import requests

from running_demo import Demo, new_folder, wait_until

OUTSIDE = ["SERVFAIL", "REFUSED", "nothing", "wildcard"]
SLOWER = (
    15  # seconds more than with an outside that answers; a lookup that waits for it costs 10 and more for each name
)


def write(demo):
    """Register a user; the answer, or None if there was none, or it was a refusal."""
    email = f"{time.time_ns()}@example.com"
    try:
        answer = requests.post(f"{demo.write_url}/submit", json={"name": "Ada", "email": email}, timeout=20)
    except requests.RequestException:
        return None
    return answer.json() if answer.status_code == 201 else None


def seconds_until_replicated(demo):
    """How long it takes until a write is on two pods again after the pod mysql-0 was deleted and made again."""
    demo.stop(0)
    start = time.monotonic()
    demo.start(0)
    wait_until(lambda: (written := write(demo)) and written["replicated"], 120, demo.tail)
    return time.monotonic() - start


@pytest.fixture(scope="module")
def usual(demo):
    return seconds_until_replicated(demo)


@pytest.mark.parametrize("outside", OUTSIDE)
def test_a_new_primary_opens_as_soon_as_ever(demo, usual, outside):
    answers = demo.folder / "outside-names"
    answers.write_text(outside)
    try:
        assert seconds_until_replicated(demo) < usual + SLOWER
    finally:
        answers.unlink()


@pytest.mark.parametrize("outside", ["nothing", "wildcard"])
def test_a_first_deploy_opens(outside):
    folder = new_folder()
    (folder / "outside-names").write_text(outside)
    demo = Demo(folder=folder)
    try:
        demo.wait_until_up()
        wait_until(lambda: (written := write(demo)) and written["replicated"], 60, demo.tail)
    finally:
        demo.close()
        shutil.rmtree(folder, ignore_errors=True)
