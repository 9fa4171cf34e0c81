"""The shell functions of divergence.sh, without a server: what they make of a set of GTIDs and of a binary log."""

import subprocess

import pytest
import yaml

from manifests.test_manifests import PROJECT

MANIFEST = PROJECT / "kubernetes" / "mysql-statefulset.yaml"
UUID = "8c7e1b52-cb6b-11f0-9f4f-0242ac110002"
OTHER = "9d8f2c63-cb6b-11f0-9f4f-0242ac110002"


def run(command: str, *arguments: str) -> str:
    """What a command prints after divergence.sh was read."""
    [script] = [item["data"]["divergence.sh"] for item in yaml.safe_load_all(MANIFEST.read_text()) if "data" in item]
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}\n{command}", "bash", *arguments],
        capture_output=True, text=True, timeout=10, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize(
    ("gtids", "transactions"),
    [
        ("", []),
        (f"{UUID}:5", [f"{UUID}:5"]),
        (f"{UUID}:1-3:7,{OTHER}:9-10", [f"{UUID}:{n}" for n in (1, 2, 3, 7)] + [f"{OTHER}:{n}" for n in (9, 10)]),
        (
            f"{UUID}:1-2:night_job:1:4-5",
            [f"{UUID}:{n}" for n in ("1", "2", "night_job:1", "night_job:4", "night_job:5")],
        ),
    ],
    ids=["empty", "one", "intervals of two servers", "tagged"],
)
def test_each_and_count_agree_about_a_set(gtids, transactions):
    assert run('each "$1"', gtids).split() == transactions
    assert run('count "$1"', gtids).split() == [str(len(transactions))]


def changed_nothing(*statements: str) -> bool:
    """Does changed_nothing say so of a binary log in which each statement is a transaction?"""
    log = "".join(
        f"log.1\t4\tGtid\t1\t9\tSET @@SESSION.GTID_NEXT= '{UUID}:{n}'\nlog.1\t9\tQuery\t1\t99\t{statement}\n"
        for n, statement in enumerate(statements, 1)
    )
    server = 'server() { if [ "$1" = \'SHOW BINARY LOGS\' ]; then echo log.1; else printf %s "$events"; fi; }'
    command = f"{server}\nevents=$1; changed_nothing {UUID}:1-{len(statements)} server && echo yes || echo no"
    return run(command, log) == "yes\n"


@pytest.mark.parametrize(
    "statement",
    [
        "FLUSH STATUS",
        "flush tables",
        "use `userdb`; ANALYZE TABLE users",
        "/* from a tool */ OPTIMIZE TABLE userdb.users",
        r"FLUSH\n  PRIVILEGES",
        "FLUSH HOSTS /* xid=12 */",
    ],
)
def test_a_statement_that_changes_no_row_is_known_however_it_is_written(statement):
    assert changed_nothing(statement)


@pytest.mark.parametrize(
    "statement", ["INSERT INTO users VALUES (1)", "CREATE TABLE flush (id INT)", "FLUSH STATUS; DROP TABLE users"]
)
def test_a_statement_that_changes_something_is_no_flush(statement):
    assert not changed_nothing("FLUSH STATUS", statement)
