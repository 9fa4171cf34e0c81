"""What the documentation names exists, and what exists is named: files, make targets, variables, ports, endpoints."""

import re

import pytest
import yaml

from docs.pages import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("kubernetes/**/*.md")])
TEXT = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
# What is meant literally: blocks, and words between backticks.
CODE = {name: "\n".join(re.findall(r"```\w*\n.*?```|`[^`\n]+`", text, re.DOTALL)) for name, text in TEXT.items()}
ALL_CODE = "\n".join(CODE.values())
MANIFESTS = sorted(ROOT.glob("kubernetes/**/*.yaml"))
APPS = [ROOT / "write-app", ROOT / "read-app"]

each_page = pytest.mark.parametrize("page", TEXT)


def values(node, key):
    """Yield every value of `key` anywhere in a manifest."""
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == key)
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from values(child, key)


def targets():
    return set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def variables():
    """The environment variables that the apps read: their settings are in two files each."""
    files = [app / name for app in APPS for name in ("settings.py", "gunicorn.conf.py")]
    return {name for file in files for name in re.findall(r'"([A-Z][A-Z_]{3,})"', file.read_text())}


def ports():
    texts = [file.read_text() for file in ROOT.glob("kubernetes/*.yaml")]
    documents = [document for text in texts for document in yaml.safe_load_all(text)]
    keys = ("nodePort", "containerPort")
    return {str(port) for key in keys for port in values(documents, key)}


def endpoints():
    sources = [file.read_text() for app in APPS for file in app.glob("*.py")]
    return {
        path for source in sources for path in re.findall(r'(?:@app\.(?:get|post)|add_url_rule)\("([^"]+)"', source)
    }


def test_there_is_something_to_check():
    assert {"README.md", "kubernetes/lessons/README.md"} <= TEXT.keys()
    assert {"demo", "test", "deploy"} <= targets()
    assert {"DB_HOST", "DB_PORT", "MYSQL_SERVICE"} <= variables()
    assert {"3306", "8080", "30000", "30001"} <= ports()
    assert {"/", "/submit", "/users", "/healthz"} <= endpoints()


@each_page
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)|(?:src|srcset)=\"([^\"]+)\"", TEXT[page])
    files = [a or b for a, b in links if "://" not in (a or b)]
    assert [file for file in files if not ((ROOT / page).parent / file).exists()] == []


@each_page
def test_files_named_exist(page):
    tops = "|".join(re.escape(path.name) for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
    named = re.findall(rf"(?<![\w./-])((?:{tops})/[\w./-]+)", CODE[page])
    assert [file for file in named if not (ROOT / file.rstrip(".")).exists()] == []


@each_page
def test_make_targets_named_exist(page):
    named = {word for line in re.findall(r"\bmake((?: [a-z][a-z0-9-]*)+)", CODE[page]) for word in line.split()}
    assert named <= targets()


def test_make_targets_are_named():
    named = {word for line in re.findall(r"\bmake((?: [a-z][a-z0-9-]*)+)", ALL_CODE) for word in line.split()}
    assert targets() <= named


@each_page
def test_variables_named_exist(page):
    suffixes = {".py", ".sh", ".yaml", ""}
    files = [file for folder in ("demo", "scripts", "kubernetes", "tests", "write-app", "read-app")
             for file in (ROOT / folder).rglob("*") if file.is_file() and file.suffix in suffixes]  # fmt: skip
    code = "\n".join(file.read_text() for file in [ROOT / "Makefile", *files])
    named = set(re.findall(r"`\$?([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", TEXT[page]))
    assert {name for name in named if not re.search(rf"\b{name}\b", code)} == set()


def test_variables_are_named():
    assert {name for name in variables() if not re.search(rf"\b{name}\b", ALL_CODE)} == set()


@each_page
def test_ports_named_exist(page):
    assert set(re.findall(r"(?<=localhost:)\d+|(?<=127\.0\.0\.1:)\d+|(?<=[Nn]odePort )\d+", TEXT[page])) <= ports()


def test_ports_are_named():
    assert {port for port in ports() if not re.search(rf"\b{port}\b", "\n".join(TEXT.values()))} == set()


@each_page
def test_endpoints_named_exist(page):
    named = set(re.findall(r"\b(?:GET|POST) (/[\w-]*)", TEXT[page]))
    named |= set(re.findall(r"localhost:\d+(/[\w-]+)", TEXT[page]))
    assert named <= endpoints()


def test_endpoints_are_named():
    named = set(re.findall(r"\b(?:GET|POST) (/[\w-]*)", "\n".join(TEXT.values())))
    assert endpoints() <= named


@pytest.mark.parametrize("manifest", [file.relative_to(ROOT).as_posix() for file in MANIFESTS])
def test_manifests_are_named(manifest):
    """In the table of docs/how-it-works.md, or in the page of the lesson that it belongs to."""
    folder, _, name = manifest.rpartition("/")
    page = f"{folder}/README.md" if folder.startswith("kubernetes/lessons/") else "docs/how-it-works.md"
    assert f"{name})" in TEXT[page]


def test_lessons_and_labs_are_linked():
    lessons = ROOT / "kubernetes" / "lessons"
    for folder in (path.name for path in lessons.iterdir() if path.is_dir()):
        assert f"({folder}/)" in TEXT["kubernetes/lessons/README.md"]
        assert f"(kubernetes/lessons/{folder}/)" in TEXT["README.md"]
    for lab in (lessons / "break-it").glob("[0-9]*.md"):
        assert f"({lab.name})" in TEXT["kubernetes/lessons/break-it/README.md"]


def test_folders_are_named():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert {folder for folder in folders if f"{folder}/" not in "\n".join(TEXT.values())} == set()
