"""The pages of the documentation as programs: their command blocks, and the output that they promise.

How a page is written, so that it can be run as it stands:

- A fenced block marked ``sh`` is what the reader types, in the root of the repository. It must succeed.
- A block marked ``text`` straight after it is all that the commands print. White space, empty lines and what
  ``kubectl rollout status`` says do not count. ``...`` stands for anything in a line, and on a line by itself for any
  number of lines: use it sparingly, a test counts such lines.
- The output shows real sample values. Those that differ from run to run are compared by their shape: an IPv4 address,
  a UUID, a GTID, a set of GTIDs, the random end of a pod's name, a node of kind, a time, an age.
- The same address, UUID, GTID, pod or node twice on a page means the same value twice in the run, and different ones
  mean different values. Times in one block must be in the order shown; equal times may be two seconds apart.
- The counts of ``uniq -c`` may differ; their sum may not.
- The page is written for the namespace ``default`` and the ports of ``localhost`` that README.md names; the runner
  puts those of the run in their place.
- A comment before the block that the reader does not see changes that: ``<!-- fails -->`` for commands that must fail,
  ``<!-- any order -->`` for lines in any order, ``<!-- not run: REASON -->`` for what is not run here.
- The last block of a page cleans up.

A block marked ``yaml``, ``bash`` or ``python`` quotes the file that the page linked last; see `excerpts`.
"""

import contextlib
import difflib
import itertools
import os
import re
import subprocess
import textwrap
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK_SECONDS = 600

BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>fails|any order|not run:[^>]+?) -->\n+)?"
    r"^```sh\n(?P<commands>.*?)^```$"
    r"(?:\n+^```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
_EXCERPT = re.compile(r"^```(?:yaml|bash|python)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_QUOTED_FILE = re.compile(r"\]\(([^)#\s]+\.(?:yaml|sh))\)")

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_INTERVALS = r"\d+(?:-\d+)?(?::\d+(?:-\d+)?)*"
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"  # the characters of which Kubernetes makes the ends of names
# What is shown and, if that is something else, what is then accepted.
_SHAPES = {
    "gtids": (rf"{_UUID}:{_INTERVALS}(?:,{_UUID}:{_INTERVALS})*", None),
    "uuid": (_UUID, None),
    "time": (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", None),
    "address": (r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", None),
    "name": (rf"(?<=-){_RANDOM}{{5,10}}(?:-{_RANDOM}{{5}})?(?![\w-])", None),
    "node": (r"\bkind-(?:control-plane|worker\d*)\b", r"[\w.-]+"),
    "age": (r"(?<![\w.-])\d+[smhd](?:\d+[smh])?(?![\w.-])", None),
}
_SAMPLE = re.compile("|".join(f"(?P<{shape}>{shown})" for shape, (shown, _) in _SHAPES.items()))
_LASTING = {"gtids", "uuid", "address", "name", "node"}  # the same sample is the same value
_SECONDS_APART = 2
_ROLLOUT = re.compile(r"[Ww]aiting for |partitioned roll out complete|deployment .* successfully rolled out")


class Samples:
    """What the sample values of a page are in this run, as far as its blocks have shown them."""

    def __init__(self):
        """Know nothing yet."""
        self._real = {}
        self._sample = {}

    def real(self, sample):
        """Return the value of this run, None if it is not known."""
        return self._real.get(sample)

    def learn(self, pairs):
        """Take over (shape, sample, real) triples; return the first that contradicts what is known, else None."""
        for shape, sample, real in pairs:
            if shape in _LASTING:
                if self._real.setdefault(sample, real) != real or self._sample.setdefault(real, sample) != sample:
                    return shape, sample, real
                if shape == "gtids":
                    shown, printed = re.findall(_UUID, sample), re.findall(_UUID, real)
                    servers = zip(shown, printed, strict=True) if len(shown) == len(printed) else ()
                    if sample not in shown and (wrong := self.learn(("uuid", *pair) for pair in servers)):
                        return wrong
        return None


@dataclass
class Block:
    """Commands of a page. `output` is None when the page shows none, `mark` when it has no comment."""

    place: str
    commands: str
    output: str | None
    mark: str | None
    samples: Samples = field(default_factory=Samples)  # of the whole page

    def run(self):
        """Run the commands; AssertionError says which block did not do what the page says."""
        namespace = os.environ.get("PAGES_NAMESPACE", "default")
        commands = self.commands.replace(".default.svc", f".{namespace}.svc")
        for port in "30000", "30001":
            url = f"http://localhost:{port}"
            commands = commands.replace(url, os.environ.get(f"PAGES_{port}", url))
        done = subprocess.run(  # the page is ours
            ["bash", "-ec", commands],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # as in the reader's terminal
            text=True,
            timeout=BLOCK_SECONDS,
        )
        said = f"{self.place}\n{self.commands}\nended with status {done.returncode} and printed:\n{done.stdout}"
        assert (done.returncode != 0) == (self.mark == "fails"), said
        if self.output is not None:
            printed = re.sub(rf"\b{re.escape(namespace)}\b", "default", done.stdout)
            any_order, counted = self.mark == "any order", "uniq -c" in self.commands
            if wrong := difference(self.output, printed, self.samples, any_order=any_order, counted=counted):
                raise AssertionError(f"{self.place}\n{self.commands}\n{wrong}")


def blocks(page):
    """Return the blocks of a page (a Path) that are to be run, in order."""
    text = page.read_text()
    samples = Samples()
    found = []
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("commands"))
        block = Block(f"{page}:{line}", match["commands"], match["output"], match["mark"], samples)
        if not (block.mark or "").startswith("not run"):
            found.append(block)
    return found


def excerpts(page):
    """Return (line, file, text) of each quotation in a page: `file` is the last linked before it, None if none is."""
    text = page.read_text()
    found = []
    for match in _EXCERPT.finditer(text):
        links = _QUOTED_FILE.findall(text, 0, match.start())
        file = page.parent / links[-1] if links else None
        found.append((text.count("\n", 0, match.start("text")), file, match["text"]))
    return found


def quotes(excerpt, file_text):
    """Is each part of the excerpt, between lines ``# ...``, a part of the file, in this order, but for indentation?"""
    lines = [line.rstrip() for line in file_text.splitlines()]
    at = 0
    for part in re.split(r"^\s*# \.\.\.$\n?", excerpt, flags=re.MULTILINE):
        wanted = _dedented(part.splitlines())
        if not wanted:
            continue
        places = range(at, len(lines) - len(wanted) + 1)
        found = next((n for n in places if _dedented(lines[n : n + len(wanted)]) == wanted), None)
        if found is None:
            return False
        at = found + len(wanted)
    return True


def _dedented(lines):
    return textwrap.dedent("\n".join(lines)).strip("\n").splitlines()


def masked(output):
    """Return the share of an output's lines that say ``...`` somewhere."""
    lines = _lines(output)
    return sum("..." in line for line in lines) / len(lines) if lines else 0


@contextlib.contextmanager
def current_namespace(namespace, kubeconfig, urls=()):
    """Make `namespace` kubectl's current one while pages are run; `kubeconfig` is the file for that.

    `urls` are those of write-app and read-app, if they have other ports than README.md says.
    """
    kubeconfig.write_bytes(subprocess.check_output(["kubectl", "config", "view", "--raw", "--minify", "--flatten"]))
    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = str(kubeconfig)
    variables = {"PAGES_NAMESPACE": namespace, **dict(zip(("PAGES_30000", "PAGES_30001"), urls, strict=False))}
    os.environ.update(variables)
    try:
        subprocess.check_call(["kubectl", "config", "set-context", "--current", f"--namespace={namespace}"])
        yield
    finally:
        for name in ("KUBECONFIG", *variables):
            del os.environ[name]
        if before is not None:
            os.environ["KUBECONFIG"] = before


def difference(shown, printed, samples=None, *, any_order=False, counted=False):
    """Return how `printed` differs from what the page shows, "" if it does not. See the top of this file.

    `samples` are the values known so far; those of this output are added to them.
    """
    samples = samples or Samples()
    shown_lines, printed_lines = _lines(shown), _lines(printed)
    if any_order:
        printed_lines.sort(key=_without_values)
        orders = list(_orders(shown_lines))
        fits = (lines for lines in orders if not _difference(lines, printed_lines, deepcopy(samples), counted))
        shown_lines = next(fits, orders[0])
    return _difference(shown_lines, printed_lines, samples, counted)


def _without_values(line):
    return _SAMPLE.sub(lambda sample: f"<{sample.lastgroup}>", line)


def _orders(lines):
    """Yield the lines sorted, in each order of those that differ in sample values only."""
    groups = itertools.groupby(sorted(lines, key=_without_values), key=_without_values)
    for order in itertools.product(*(itertools.permutations(group) for _, group in groups)):
        yield list(itertools.chain(*order))


def _difference(shown_lines, printed_lines, samples, counted):
    found = []  # (shape, sample) of each group of the pattern
    pattern = "".join(_pattern(line, samples, found, counted) for line in shown_lines)
    match = re.fullmatch(pattern, "".join(line + "\n" for line in printed_lines))
    if not match:
        return "\n".join(difflib.unified_diff(shown_lines, printed_lines, "shown", "printed", lineterm=""))
    triples = [(shape, sample, real) for (shape, sample), real in zip(found, match.groups(), strict=True)]
    return (
        _wrong_value(samples.learn(triples))
        or _wrong_order([(sample, real) for shape, sample, real in triples if shape == "time"])
        or _wrong_sum([(int(sample), int(real)) for shape, sample, real in triples if shape == "count"])
    )


def _pattern(line, samples, found, counted):
    """Return the regular expression for one line, and append what its groups are to `found`."""
    if line == "...":
        return r"(?:.*\n)*"
    pattern, end = "", 0
    if counted and (count := re.match(r"\d+(?= )", line)):
        found.append(("count", count[0]))
        pattern, end = r"(\d+)", count.end()
    for sample in _SAMPLE.finditer(line, end):
        pattern += _literally(line[end : sample.start()])
        shape, end = sample.lastgroup, sample.end()
        found.append((shape, sample[0]))
        real = samples.real(sample[0]) if shape in _LASTING else None
        shown, accepted = _SHAPES[shape]
        pattern += f"({re.escape(real) if real else accepted or shown})"
    return pattern + _literally(line[end:]) + r"\n"


def _literally(text):
    return re.escape(text).replace(r"\.\.\.", ".+")


def _wrong_value(wrong):
    if not wrong:
        return ""
    shape, sample, real = wrong
    return f"this {shape} is shown as {sample}, which is something else in this run: {real}"


def _wrong_order(times):
    for (shown, printed), (shown_later, printed_later) in itertools.permutations(times, 2):
        apart = (datetime.fromisoformat(printed_later) - datetime.fromisoformat(printed)).total_seconds()
        if (shown < shown_later and apart < 0) or (shown == shown_later and apart > _SECONDS_APART):
            return f"shown: {shown}, then {shown_later}\nprinted: {printed}, then {printed_later}"
    return ""


def _wrong_sum(counts):
    shown, printed = (sum(numbers) for numbers in zip(*counts, strict=True)) if counts else (0, 0)
    return "" if shown == printed else f"the counts are {shown} together, printed were {printed}"


def _lines(text):
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not _ROLLOUT.match(line)]
