"""The comparison notices whatever can be wrong, so that a green chaos run means something."""

import pytest

from chaos.compare import compare, gtid_set
from chaos.load import Attempt, longest_gap

ANN = Attempt("ann@example.com", "Ann", 1, 2, "acknowledged", id=1)
BOB = Attempt("bob@example.com", "Bob", 1, 2, "unknown")
EVE = Attempt("eve@example.com", "Eve", 1, 2, "present")
LEDGER = [ANN, BOB, EVE]
GOOD = [(1, "Ann", "ann@example.com"), (3, "Eve", "eve@example.com")]


@pytest.mark.parametrize("rows", [GOOD, [*GOOD, (2, "Bob", "bob@example.com")]])
def test_nothing_wrong(rows):
    assert compare(LEDGER, {"mysql-0": rows, "mysql-1": rows}).all_is_well


@pytest.mark.parametrize(
    ("rows", "what", "whose"),
    [
        (GOOD[1:], "lost", "ann@example.com"),
        (GOOD[:1], "lost", "eve@example.com"),
        ([*GOOD, (4, "Joe", "joe@example.com")], "foreign", "joe@example.com"),
        ([*GOOD, (4, "Rob", "bob@example.com")], "foreign", "bob@example.com"),
        ([(9, "Ann", "ann@example.com"), GOOD[1]], "foreign", "ann@example.com"),
        ([*GOOD, (5, "Ann", "ann@example.com")], "duplicates", "ann@example.com"),
        ([*GOOD, (3, "Bob", "bob@example.com")], "duplicates", "3"),
    ],
)
def test_wrong_in_all_pods(rows, what, whose):
    found = compare(LEDGER, {"mysql-0": rows, "mysql-1": rows})
    assert whose in getattr(found, what)
    assert not found.all_is_well


def test_wrong_in_one_pod():
    found = compare(LEDGER, {"mysql-0": GOOD, "mysql-1": [*GOOD, (2, "Bob", "bob@example.com")]})
    assert found.different == {"bob@example.com"}
    assert not found.all_is_well


def test_lost_without_a_promise():
    found = compare(LEDGER, {"mysql-0": GOOD[1:]}, unpromised={"ann@example.com"})
    assert found.given_up == {"ann@example.com"}
    assert found.all_is_well


def test_gtid_set():
    assert gtid_set(["a:3", "a:1", "a:2", "a:7", "b:tag:5"]) == "a:1-3:7-7,b:tag:5-5"


def test_longest_gap_counts_the_ends():
    assert longest_gap([2, 3, 99], 1, 8) == 5
    assert longest_gap([], 1, 8) == 7
