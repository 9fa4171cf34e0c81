"""The scripts that a learner runs need nothing that macOS lacks: its bash is 3.2, its tools are BSD's."""

import re

import pytest

from docs.pages import ROOT

LACKING = (
    r"\bmapfile\b|\breadarray\b|\bdeclare -A\b|\blocal -n\b|\$\{\w+(?:,,|\^\^)|"
    r"(?<!kubectl )\bwait -n\b|\bsort -V\b|\bgrep -P\b"
)


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").iterdir()))
def test_scripts_run_on_macos(script):
    lines = (ROOT / "scripts" / script).read_text().splitlines()
    assert [line for line in lines if not line.startswith("#") and re.search(LACKING, line)] == []


def test_what_macos_lacks_is_noticed():
    assert all(re.search(LACKING, line) for line in ("mapfile -t pods", "| sort -V)", 'echo "${name,,}"'))
