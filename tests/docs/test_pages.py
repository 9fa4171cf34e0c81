"""The runner of the documentation notices a page that is wrong."""

import re

import pytest

from docs.pages import BLOCK, ROOT, Samples, blocks, difference, excerpts, masked, quotes
from docs.test_scripts import LACKING

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("kubernetes/**/*.md")])
RUN = [page for page in PAGES if page.parent != ROOT / "docs" or page.name == "how-it-works.md"]
A, B = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "8b2c0d1e-cb0f-11f1-8c3a-0242ac110002"


def page(tmp_path, text):
    file = tmp_path / "page.md"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("NAME  READY\nmysql-0  1/1\n", "NAME      READY\n\nmysql-0   1/1\n"),
        ("mysql-0  1/1  ...", "mysql-0   1/1   Running   2m"),
        ("first\n...\nlast", "first\nlast"),
        ("first\n...\nlast", "first\na\nb\nlast"),
        ("mysql-0  10.244.1.7", "mysql-0  10.42.0.112"),
        (f"1  {A}", f"1  {B}"),
        (f"{A}:1-42", f"{B}:1-7:9,{A}:1-3"),
        ("pod/write-app-6d4b9c7f5d-x2x7k", "pod/write-app-84b9c4f5dd-2nq5v"),
        ("mysql-0  1/1  Running  17s", "mysql-0  1/1  Running  2m3s"),
        ("node/kind-worker cordoned", "node/pool-1.example cordoned"),
        ("2026-11-28T01:00:00Z 2026-11-28T01:00:07Z", "2027-01-01T23:59:59Z 2027-01-02T00:01:00Z"),
        ("2026-11-28T01:00:00Z 2026-11-28T01:00:00Z", "2027-01-01T23:59:59Z 2027-01-02T00:00:01Z"),
        (
            "done",
            "Waiting for 1 pods to be ready...\npartitioned roll out complete: 2 new pods have been updated...\ndone",
        ),
    ],
)
def test_output_as_shown(shown, printed):
    assert difference(shown, printed) == ""


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("mysql-0  1/1", "mysql-0   0/1"),
        ("mysql-0  1/1  ...", "mysql-0   1/1"),
        ("mysql-0", "mysql-0\nmysql-1"),
        ("mysql-0\nmysql-1", "mysql-0"),
        ("a.b", "a-b"),
        ("first\n...\nlast", "first\na"),
        ("", "a"),
        ("mysql-0  10.244.1.7", "mysql-0  None"),
        (f"{A}:1-42", A),
        ("pod/write-app-6d4b9c7f5d-x2x7k", "pod/write-app-0"),
        ("mysql-0  0/1  Running  17s", "mysql-0  1/1  Running  17s"),
        ("20 mysql-1", "19 mysql-1"),
        ("10.244.1.7\n10.244.1.7", "10.244.1.7\n10.244.1.8"),  # the same
        ("10.244.1.7\n10.244.1.8", "10.244.1.7\n10.244.1.7"),  # another
        (f"{A}\n{A}:1-42", f"{A}\n{B}:1-42"),
        ("a-x2x7k b-x2x7k", "a-x2x7k b-x2x7l"),
        ("2026-11-28T01:00:00Z 2026-11-28T01:00:07Z", "2026-11-28T01:00:07Z 2026-11-28T01:00:00Z"),
        ("2026-11-28T01:00:00Z 2026-11-28T01:00:00Z", "2026-11-28T01:00:00Z 2026-11-28T01:00:03Z"),
    ],
)
def test_output_not_as_shown(shown, printed):
    assert difference(shown, printed) != ""


def test_the_same_value_in_two_blocks():
    samples = Samples()
    assert difference("mysql-0 10.244.1.7\nmysql-1 10.244.2.5", "mysql-0 10.1.1.1\nmysql-1 10.1.1.2", samples) == ""
    assert difference("10.244.2.5", "10.1.1.2", samples) == ""
    assert difference("10.244.2.5", "10.1.1.1", samples) != ""
    assert difference("10.244.2.9", "10.1.1.3", samples) == ""
    assert "something else" in difference("10.244.2.11", "10.1.1.1", samples)  # shown as another


def test_lines_in_any_order():
    samples = Samples()
    assert difference("10.244.1.7\n10.244.2.5", "10.1.1.2\n10.1.1.1", samples) == ""
    for printed in "10.1.1.1 mysql\n10.1.1.2 mysql", "10.1.1.2 mysql\n10.1.1.1 mysql":
        assert difference("10.244.1.7 mysql\n10.244.2.5 mysql", printed, samples, any_order=True) == ""
    printed = "10.1.1.3 mysql\n10.1.1.1 mysql"
    assert difference("10.244.1.7 mysql\n10.244.2.5 mysql", printed, samples, any_order=True) != ""


def test_lines_in_any_order_need_no_known_value():
    shown = "POD ADDRESS\nmysql-0 10.244.1.3\n10.244.1.3 mysql\n10.244.2.4 mysql"
    printed = "POD ADDRESS\nmysql-0 10.9.9.9\n{} mysql\n{} mysql"
    for addresses in ("10.9.9.9", "10.1.1.1"), ("10.1.1.1", "10.9.9.9"):
        assert difference(shown, printed.format(*addresses), any_order=True) == ""
    assert difference(shown, printed.format("10.1.1.1", "10.1.1.2"), any_order=True) != ""


def test_counts_may_differ_and_their_sum_may_not():
    assert difference("  11 mysql-0\n   9 mysql-1", "   8 mysql-0\n  12 mysql-1", counted=True) == ""
    assert difference("  11 mysql-0\n   9 mysql-1", "   8 mysql-0\n  11 mysql-1", counted=True) != ""
    assert difference("  11 mysql-0\n   9 mysql-1", "  20 mysql-0", counted=True) != ""
    assert difference("  20 mysql-1", "  20 mysql-0", counted=True) != ""


def test_a_page_for_the_namespace_default_runs_in_another(tmp_path, monkeypatch):
    monkeypatch.setenv("PAGES_NAMESPACE", "readme-1a2b3c")
    text = "```sh\necho mysql.default.svc in $PAGES_NAMESPACE\n```\n\n```text\nmysql.default.svc in default\n```\n"
    [block] = blocks(page(tmp_path, text))
    block.run()
    block.output = "mysql.other.svc in default\n"
    with pytest.raises(AssertionError):
        block.run()


def test_a_page_for_the_ports_of_readme_runs_with_others(tmp_path, monkeypatch):
    text = "```sh\necho http://localhost:30000/submit http://localhost:30001/users\n```\n"
    monkeypatch.setenv("PAGES_30000", "http://10.0.0.1:30004")
    [block] = blocks(
        page(tmp_path, text + "\n```text\nhttp://10.0.0.1:30004/submit http://localhost:30001/users\n```\n")
    )
    block.run()


def test_an_excerpt_is_a_part_of_the_file_linked_last(tmp_path):
    text = "[one](one.yaml) [two](../two.yaml)\n\n```yaml\nspec:\n  clusterIP: None\n```\n"
    assert excerpts(page(tmp_path, text)) == [(3, tmp_path / "../two.yaml", "spec:\n  clusterIP: None\n")]
    assert excerpts(page(tmp_path, "```bash\ntrue\n```\n")) == [(1, None, "true\n")]


@pytest.mark.parametrize(
    ("excerpt", "verbatim"),
    [
        ("spec:\n  clusterIP: None\n", True),
        ("clusterIP: None\n", True),
        ("metadata:\n# ...\n  clusterIP: None\n", True),
        ("  clusterIP: None\n# ...\nmetadata:\n", False),  # the other way round
        ("spec:\n  clusterIP: 10.96.0.1\n", False),
        ("spec:\nclusterIP: None\n", False),
        ("spec:\n  name: mysql\n", False),
    ],
)
def test_an_excerpt_is_verbatim(excerpt, verbatim):
    assert quotes(excerpt, "metadata:\n  name: mysql\nspec:\n  clusterIP: None\n  ports: []\n") == verbatim


def test_masked_lines_are_counted():
    assert masked("a\nb ...\n...\n\nd\n") == 0.5
    assert masked("") == 0


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_excerpts_of_the_pages(file):
    wrong = [
        f"{file.name}:{line}"
        for line, source, text in excerpts(file)
        if not (source and source.exists() and quotes(text, source.read_text()))
    ]
    assert wrong == []


@pytest.mark.parametrize("file", RUN, ids=lambda file: str(file.relative_to(ROOT)))
def test_outputs_of_the_pages_show_what_they_prove(file):
    """At most a third of an output's lines may say `...`."""
    assert [block.place for block in blocks(file) if masked(block.output or "") > 1 / 3] == []


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_pages_give_nothing_harmful_to_copy(file):
    assert "YES=1" not in file.read_text()


def not_for_every_shell(commands):
    """Return what fails when a reader types it into zsh, or into the bash of macOS: patterns, comments, and so on."""
    unquoted = re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"", "''", commands)
    return re.findall(rf"\S*\w[\[?*]\S*|(?<=\s)#.*|!\w+|{LACKING}", unquoted)


@pytest.mark.parametrize("file", RUN, ids=lambda file: str(file.relative_to(ROOT)))
def test_commands_of_the_pages_work_in_every_shell(file):
    shown = [match["commands"] for match in BLOCK.finditer(file.read_text())]
    assert [wrong for commands in shown for wrong in not_for_every_shell(commands)] == []


def test_commands_for_one_shell_are_noticed():
    wrong = ["ls a[0]", "curl localhost/users?limit=1", "ls data*", "ls # all of them", "mapfile -t pods"]
    assert all(not_for_every_shell(commands) for commands in wrong)
    right = ["get -o 'jsonpath={.items[0]}' \"a # $x[0]\"", "[ 1 = 1 ]", "for i in {1..20}; do true; done"]
    assert not any(not_for_every_shell(commands) for commands in right)


def test_the_main_page_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 230


def test_blocks_are_run_in_order_with_their_output(tmp_path):
    text = "```sh\necho 1\n```\n\nIn between.\n\n```sh\necho 2\n```\n\n```text\n2\n```\n\n```\na picture\n```\n"
    found = blocks(page(tmp_path, text))
    assert [(block.commands, block.output) for block in found] == [("echo 1\n", None), ("echo 2\n", "2\n")]
    for block in found:
        block.run()


def test_wrong_output_is_an_error_that_names_the_line(tmp_path):
    [block] = blocks(page(tmp_path, "# Title\n\n```sh\necho right\n```\n\n```text\nwrong\n```\n"))
    with pytest.raises(AssertionError, match=r"page\.md:3\necho right\n(.|\n)*-wrong\n\+right"):
        block.run()


def test_a_command_that_fails_in_the_middle_is_an_error(tmp_path):
    [block] = blocks(page(tmp_path, "```sh\nfalse\necho after\n```\n"))
    with pytest.raises(AssertionError, match="status 1"):
        block.run()


def test_a_block_that_is_to_fail(tmp_path):
    fails, works = blocks(page(tmp_path, "<!-- fails -->\n```sh\nfalse\n```\n\n<!-- fails -->\n```sh\ntrue\n```\n"))
    fails.run()
    with pytest.raises(AssertionError, match="status 0"):
        works.run()


def test_a_block_that_is_not_run(tmp_path):
    assert blocks(page(tmp_path, "<!-- not run: it never ends -->\n```sh\nsleep infinity\n```\n")) == []


def not_for_zsh(commands):
    """Return the lines that an interactive zsh, the shell of macOS, takes differently: comments, unquoted patterns."""
    heredoc = re.sub(r"<<'?(\w+)'?\n.*?^\1$", "", commands, flags=re.MULTILINE | re.DOTALL)
    unquoted = re.sub(r"""'[^']*'|"(?:\\.|[^"\\])*"|\$\?|\$\(\(.*?\)\)|\[ .*? \]""", "Q", heredoc, flags=re.DOTALL)
    return [line for line in unquoted.splitlines() if re.search(r"(^|\s)#|[?*\[]|(^|\s)=\w", line)]


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_blocks_can_be_pasted_into_zsh(file):
    commands = re.findall(r"^```sh\n(.*?)^```$", file.read_text(), re.MULTILINE | re.DOTALL)
    assert [line for block in commands for line in not_for_zsh(block)] == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("echo a # not a comment in zsh", True),
        ("curl localhost/users?limit=3", True),
        ("kubectl get pods -o jsonpath={.items[0]}", True),
        ("curl 'localhost/users?limit=3' \"$a [x]\"; for i in {1..20}; do [ $? = 0 ]; done", False),
        ("kubectl get pods -l component!=passwords", False),
    ],
)
def test_what_zsh_takes_differently_is_noticed(line, wrong):
    assert bool(not_for_zsh(line)) == wrong
