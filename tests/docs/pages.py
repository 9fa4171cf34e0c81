"""The pages of the documentation as programs: their command blocks, and the output that they promise.

How a page is written, so that it can be run as it stands:

- A fenced block marked ``sh`` is what the reader types, in the root of the repository. It must succeed.
- A block marked ``text`` straight after it is all that the commands print. White space and empty lines
  do not count; ``...`` stands for anything in a line, and on a line of its own for any number of lines.
- A comment before the block that the reader does not see changes that: ``<!-- fails -->`` for commands that
  must fail, ``<!-- not run: REASON -->`` for what is not run here.
- The last block of a page cleans up.
"""

import contextlib
import difflib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK_SECONDS = 600

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>fails|not run:[^>]+?) -->\n+)?"
    r"^```sh\n(?P<commands>.*?)^```$"
    r"(?:\n+^```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Block:
    """Commands of a page. `output` is None when the page shows none, `mark` when it has no comment."""

    place: str
    commands: str
    output: str | None
    mark: str | None

    def run(self):
        """Run the commands; AssertionError says which block did not do what the page says."""
        done = subprocess.run(  # the page is ours
            ["bash", "-ec", self.commands],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # as in the reader's terminal
            text=True,
            timeout=BLOCK_SECONDS,
        )
        said = f"{self.place}\n{self.commands}\nended with status {done.returncode} and printed:\n{done.stdout}"
        assert (done.returncode != 0) == (self.mark == "fails"), said
        if self.output is not None and not matches(self.output, done.stdout):
            difference = difflib.unified_diff(_lines(self.output), _lines(done.stdout), "shown", "printed", lineterm="")
            raise AssertionError(f"{self.place}\n{self.commands}\n" + "\n".join(difference))


def blocks(page):
    """Return the blocks of a page (a Path) that are to be run, in order."""
    text = page.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("commands"))
        block = Block(f"{page}:{line}", match["commands"], match["output"], match["mark"])
        if not (block.mark or "").startswith("not run"):
            found.append(block)
    return found


@contextlib.contextmanager
def current_namespace(namespace, kubeconfig):
    """Make `namespace` kubectl's current one while pages are run; `kubeconfig` is the file for that."""
    kubeconfig.write_bytes(subprocess.check_output(["kubectl", "config", "view", "--raw", "--minify", "--flatten"]))
    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = str(kubeconfig)
    try:
        subprocess.check_call(["kubectl", "config", "set-context", "--current", f"--namespace={namespace}"])
        yield
    finally:
        del os.environ["KUBECONFIG"]
        if before is not None:
            os.environ["KUBECONFIG"] = before


def matches(shown, printed):
    """Is `printed` what the page shows? See the top of this file for what `...` and white space mean."""
    pattern = ""
    for line in _lines(shown):
        if line == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += re.escape(line).replace(r"\.\.\.", ".+") + r"\n"
    return re.fullmatch(pattern, "".join(line + "\n" for line in _lines(printed))) is not None


def _lines(text):
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]
