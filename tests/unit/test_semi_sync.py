"""write-app: `replicated` is never said falsely."""

import pytest


class Connection:
    """A connection on which one look after another finds what it is told to."""

    def __init__(self, *states):
        self.states, self.closed, self.last_look = list(states), False, None

    def row(self, _):
        state = self.states.pop(0)
        if isinstance(state, Exception):
            raise state
        return "uuid:1", state

    def close(self):
        self.closed = True


@pytest.mark.parametrize(
    ("first", "second", "replicated"),
    [("0,ON", "0,ON", True), ("0,ON", "1,ON", False), ("0,ON", "1,OFF", False), ("0,OFF", "0,ON", False),
     ("0,OFF", "0,OFF", False)],
)  # fmt: skip
def test_replicated_only_if_on_throughout(write_app, first, second, replicated):
    semi_sync, connection = write_app.semi_sync, Connection(first, second)
    before = semi_sync.look_before(connection, None)
    after = semi_sync.look_after(connection, before)
    assert (after.gtid, semi_sync.is_replicated(before, after)) == ("uuid:1", replicated)


def test_a_fresh_look_is_used_again(write_app):
    last = write_app.semi_sync.look(Connection("0,ON"))
    assert write_app.semi_sync.look_before(Connection(), last) is last


@pytest.mark.parametrize(("state", "age"), [("0,OFF", 0), ("0,ON", 1.1)])
def test_an_old_look_or_one_that_was_off_is_not(write_app, state, age):
    last = write_app.semi_sync.look(Connection(state))
    last = last._replace(taken=last.taken - age)
    assert write_app.semi_sync.look_before(Connection("2,ON"), last).state == "2,ON"


def test_a_look_that_fails_after_the_commit_fails_nothing(write_app):
    semi_sync, connection = write_app.semi_sync, Connection("0,ON", ConnectionResetError())
    before = semi_sync.look_before(connection, None)
    after = semi_sync.look_after(connection, before)
    assert (after, semi_sync.is_replicated(before, after), connection.closed) == (None, False, True)
