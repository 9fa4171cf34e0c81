"""The pages and the files of the lessons use the words of the field, in sentences that are understood at once."""

import re

import pytest

from docs.pages import ROOT

# What not to write, and what to write.
VOCABULARY = {
    r"\banew\b": "again, recreated",
    r"\bfor ever\b": "forever, without limit",
    r"\bwhom\b": "which, or turn the sentence round",
    r"\bof (its|their) own\b(?! (then|operator))": "its own, their own",
    r"\bone certain\b|\ba certain\b": "one particular",
    r"\bnobody\b": "say who does not: no client, Kubernetes does not",
    r"\bsomebody\b": "say who: a client, a person",
    r"\bthe way of the (write|read|data)\b": "the path of",
    r"\bover (write|read)-app\b": "through",
    r"\b(takes|took) (it|them) out of\b": "removes from",
    r"\b(is|are) let in\b": "may connect",
    r"\bthe data are\b": "the data is",
    r"\b[Ll]icence\b": "license",
    r"\bmaster and slave\b(?!,)": "source and replica (older texts may be quoted once)",
    r"\bcan not\b": "cannot",
    r"\b(simply|obviously|of course)\b": "leave it out",
    r"\binitialis|\brecognis|\borganis|\bbehaviou?r\b(?<=our)": "U.S. spelling",
    r"\b(three )?persons\b": "identity, people",
}
OTHERS = {"docs/chaos.md", "docs/performance.md"}  # generated
FILES = [
    file.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "kubernetes/lessons/**/*.md", "kubernetes/lessons/**/*.yaml")
    for file in sorted(ROOT.glob(pattern))
]
PROGRAMS = [
    file.relative_to(ROOT).as_posix()
    for folder in ("read-app", "write-app", "demo", "tests")
    for file in sorted((ROOT / folder).rglob("*"))
    if file.suffix in (".py", ".sh", ".html", ".js", "") and file.is_file() and file.name != "test_words.py"
]
MEANT = r"Who copies whom|\bnobody@|the user nobody"  # a heading, an address, an account


def said(text, markdown):
    """Return (line, sentence-like piece) of what a text says: prose without code, or comments of YAML and scripts."""
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if markdown and line.startswith("```"):
            in_code = not in_code
        elif markdown and not in_code:
            yield number, re.sub(r"`[^`]*`", "", line)
        elif not markdown and "#" in line:
            yield number, line.partition("#")[2]


def wrong_words(text, markdown=True):
    return [
        f"line {number}: {found[0]!r}; instead: {instead}"
        for number, line in said(text, markdown)
        for pattern, instead in VOCABULARY.items()
        if (found := re.search(pattern, line))
    ]


@pytest.mark.parametrize("file", [file for file in FILES if file not in OTHERS])
def test_words(file):
    assert wrong_words((ROOT / file).read_text(), markdown=file.endswith(".md")) == []


@pytest.mark.parametrize("file", [*PROGRAMS, "Makefile"])
def test_words_of_programs(file):
    """Comments, docstrings, log lines, and the pages of the apps."""
    lines = (ROOT / file).read_text().splitlines()
    assert [wrong for line in lines for wrong in wrong_words("#" + re.sub(MEANT, "", line), markdown=False)] == []


@pytest.mark.parametrize(
    "text", ["It is made anew.", "for whom", "a volume of its own", "Nobody knows.".lower(), "one certain pod"]
)
def test_a_wrong_word_is_noticed(text):
    assert len(wrong_words(text)) == 1
    assert len(wrong_words(f"name: a # {text}", markdown=False)) == 1
    assert wrong_words(f"```\n{text}\n```\n`{text}`") == []
