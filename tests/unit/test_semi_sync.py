"""write-app: `replicated` is never said falsely."""

import pytest


@pytest.fixture
def writer(write_app, monkeypatch):
    """Returns writer(state, ...): a connection whose looks find these states, one after the other."""

    def make(*states):
        writer, states = write_app.semi_sync.Writer.__new__(write_app.semi_sync.Writer), iter(states)
        writer.closed = False

        def row(_):
            state = next(states)
            if isinstance(state, Exception):
                raise state
            return "uuid:1", state

        monkeypatch.setattr(writer, "row", row, raising=False)
        monkeypatch.setattr(writer, "close", lambda: setattr(writer, "closed", True), raising=False)
        return writer

    return make


@pytest.mark.parametrize(
    ("first", "second", "replicated"),
    [("0,ON", "0,ON", True), ("0,ON", "1,ON", False), ("0,ON", "1,OFF", False), ("0,OFF", "0,ON", False),
     ("0,OFF", "0,OFF", False)],
)  # fmt: skip
def test_replicated_only_if_on_throughout(writer, first, second, replicated):
    writer = writer(first, second)
    writer.look_before_commit()
    assert writer.look_after_commit() == ("uuid:1", replicated)


def test_a_fresh_look_is_used_again(writer):
    writer = writer("0,ON")
    writer.look()
    writer.look_before_commit()
    assert writer.state == "0,ON"


@pytest.mark.parametrize(("state", "age"), [("0,OFF", 0), ("0,ON", 1.1)])
def test_an_old_look_or_one_that_was_off_is_not(writer, state, age):
    writer = writer(state, "2,ON")
    writer.look()
    writer.looked -= age
    writer.look_before_commit()
    assert writer.state == "2,ON"


def test_a_look_that_fails_after_the_commit_fails_nothing(writer):
    writer = writer("0,ON", ConnectionResetError())
    writer.look_before_commit()
    assert writer.look_after_commit() == (None, False)
    assert writer.closed
