"""The runner of the documentation notices a page that is wrong."""

import pytest

from docs.pages import blocks, matches


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
    ],
)
def test_output_as_shown(shown, printed):
    assert matches(shown, printed)


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
    ],
)
def test_output_not_as_shown(shown, printed):
    assert not matches(shown, printed)


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
