"""Chaos: faults are injected into the demo under load, and no acknowledged write may be missing afterwards.

    make chaos            every fault three times, and on until 20,000 writes were acknowledged; about 40 minutes;
                          writes docs/chaos.md
    make chaos SHORT=1    every fault once; ten minutes

It takes any cluster that kubectl's current context names, and deploys into its own namespace. Threads write
through write-app and keep a ledger of every attempt (.cache/chaos/*.jsonl), others read through read-app. After
each fault, and when all is whole again, every MySQL pod is compared with the ledger and with the other pods: rows and
GTID sets. A line is printed for each fault. It ends with status 1 if an acknowledged write is missing, a row is there
that no client wrote, pods differ, `replicated: true` was said while no replica could have acknowledged, or
a limit of the table FAULTS was exceeded (in the short form, twice the limit).

Faults of nodes need commands that only you can know. They are run by sh, with the node's name in $NODE:

    CHAOS_NODES    names of two or more nodes that may fail; the MySQL pods are put on them, and read-app on others
    CHAOS_CUT      takes a node off the network              kind: docker network disconnect kind $NODE
    CHAOS_HEAL     puts it back                              kind: docker network connect kind $NODE
    CHAOS_CRASH    kills all that runs on it, at once        kind: docker kill $NODE
    CHAOS_REVIVE   starts it again                           kind: docker start $NODE

Without them these faults are skipped, which is said at the end and is a failure when CI=true.

It must be able to fail. To see that it does:

- Take semi-sync away: in primary.sh in kubernetes/mysql-statefulset.yaml, change `rpl_semi_sync_source_enabled = ON`
  to OFF. It ends before the first fault: no write is ever `replicated: true`.
- Delete a row by hand while it runs: kubectl -n chaos-... exec mysql-0 -c mysql -- mysql -u root -e
  'DELETE FROM userdb.users LIMIT 1'. The fault's line shows it as lost, and the run ends with status 1.
"""

import itertools
import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from chaos import faults
from chaos.cluster import NODE_COMMANDS, Chaos, Outcome, add_ballast, under_load, versions
from chaos.faults import PRIMARY, REPLICA
from e2e.cluster import ROOT, ClusterError


@dataclass
class Fault:
    """A fault and its limits, in seconds: the longest time without a write, and in which reads failed.

    0: no read may fail, as long as one MySQL pod is there to answer.
    """

    name: str
    inject: object
    write_gap: float | None = None
    reads_failing: float = 0
    node: bool = False


# fmt: off
FAULTS = [
    Fault("primary: mysqld killed",         faults.kill(PRIMARY),                   write_gap=5),
    Fault("replica: mysqld killed",         faults.kill(REPLICA),                   write_gap=10),
    Fault("primary: pod deleted",           faults.delete(PRIMARY),                 write_gap=10),
    Fault("replica: pod deleted",           faults.delete(REPLICA),                 write_gap=10),
    Fault("both: mysqld killed at once",    faults.kill(PRIMARY, REPLICA),          write_gap=10, reads_failing=2),
    Fault("primary: pod without grace",     faults.delete(PRIMARY, "--grace-period=0", "--force"), write_gap=15),
    Fault("replica: pod without grace",     faults.delete(REPLICA, "--grace-period=0", "--force"), write_gap=10),
    Fault("replica: frozen for 20 s",       faults.freeze(REPLICA),                 write_gap=10),
    Fault("primary: frozen for 20 s",       faults.freeze(PRIMARY),                 write_gap=25),
    Fault("MySQL: rolling restart",         faults.rollout("statefulset/mysql"),    write_gap=10),
    Fault("write-app: rolling update",      faults.rollout("deployment/write-app"), write_gap=2),
    Fault("read-app: rolling update",       faults.rollout("deployment/read-app"),  write_gap=2),
    Fault("replica: volume destroyed",      faults.destroy_volume(REPLICA),         write_gap=10),
    Fault("primary: volume destroyed",      faults.destroy_volume(PRIMARY),         write_gap=25),
    Fault("primary: data wiped and killed", faults.wipe_and_kill,                   write_gap=25),
    Fault("scaled from 2 to 4",             faults.scale(4),                        write_gap=10),
    Fault("replica: volume lost, four pods", faults.destroy_volume(REPLICA),        write_gap=10),
    Fault("scaled from 4 to 2",             faults.scale(2),                        write_gap=10),
    Fault("replica: node cut off",          faults.cut(REPLICA),                    node=True),
    Fault("primary: node cut off",          faults.cut(PRIMARY),                    node=True),
    Fault("replica: node loses power",      faults.crash(REPLICA),                  node=True),
    Fault("primary: node loses power",      faults.crash(PRIMARY),                  node=True),
    # Two faults at once. mysql-0 stays closed for as long as the other pod is silent, so there is no limit.
    Fault("replica killed, empty primary",  faults.replica_is_killed_while_empty_primary_waits, reads_failing=90),
    Fault("primary: volume, replica Pending", faults.primary_loses_its_volume_while_replica_is_pending,
          reads_failing=90, node=True),
    Fault("upgrade, and primary killed",    faults.during_rollout(PRIMARY), reads_failing=15),
    Fault("primary deleted, upstream DNS away", faults.delete_without_upstream_dns, write_gap=15, reads_failing=2),
    Fault("rotation, and primary killed",   faults.rotate_and_lose_the_primary, reads_failing=15),
    # It takes read-app's pods, too, and comes last because of that: see FORGOTTEN_AFTER.
    Fault("every pod deleted at once",      faults.delete_everything,               write_gap=15, reads_failing=15),
]
ON_SMALL_VOLUME = [
    # MySQL looks once a minute whether a full disk has room again.
    Fault("primary: volume full for 15 s",  faults.fill_volume(PRIMARY),            write_gap=80),
    Fault("replica: volume full for 15 s",  faults.fill_volume(REPLICA),            write_gap=80),
]
# fmt: on
ENOUGH = 20_000  # acknowledged writes in the long form
# Seconds for which Linux remembers a connection that was being opened to a pod when that died. A new one that happens
# to have the same port is sent to the dead pod, too, and fails, whatever the demo does. It explains single reads that
# were reset in the minute after every pod had been deleted. The next round, in which no read may fail, waits.
FORGOTTEN_AFTER = 120

COLUMNS = (
    ("tried", lambda o: o.tried, sum),
    ("acked", lambda o: o.acknowledged, sum),
    ("unknown", lambda o: o.unknown, sum),
    ("not repl.", lambda o: o.not_replicated, sum),
    ("write gap", lambda o: round(o.write_gap, 1), max),
    ("read gap", lambda o: round(o.read_gap, 1), max),
    ("failed reads", lambda o: o.failed_reads, sum),
    ("whole after", lambda o: round(o.whole_after, 1), max),
    ("lost", lambda o: len(o.findings.lost), sum),
    ("given up", lambda o: len(o.findings.given_up), sum),
    ("foreign", lambda o: len(o.findings.foreign), sum),
    ("dupl.", lambda o: len(o.findings.duplicates), sum),
)


def main(short: bool) -> int:
    """Run all faults, print a line each, and return the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up, too
    start = time.monotonic()
    skipped = [name for name in ("CHAOS_NODES", *NODE_COMMANDS) if not os.environ.get(name)]
    nodes = [] if skipped else os.environ["CHAOS_NODES"].split()
    chosen = [fault for fault in FAULTS if nodes or not fault.node]
    ledger = ROOT / ".cache" / "chaos" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl"
    print(f"The ledger: {ledger.relative_to(ROOT)}", flush=True)
    rounds = 1 if short else 3
    outcomes: list[Outcome] = []
    problems: list[str] = []
    what = ""
    try:
        with under_load(nodes, ledger, not short, small_volume="500Mi") as chaos:
            what = versions(chaos)
            print(f"{what}\n\n{row('', [name for name, _, _ in COLUMNS])}", flush=True)
            for fault in ON_SMALL_VOLUME * rounds:
                outcomes.append(run(chaos, fault))
        with under_load(nodes, ledger, not short) as chaos:
            add_ballast(chaos)
            for number, fault in enumerate(itertools.cycle(chosen)):
                acknowledged = sum(outcome.acknowledged for outcome in outcomes)
                if number >= len(chosen) * rounds and (short or acknowledged >= ENOUGH):
                    break
                if number and number % len(chosen) == 0:
                    time.sleep(FORGOTTEN_AFTER)
                outcomes.append(run(chaos, fault))
    except (AssertionError, ClusterError, KeyboardInterrupt) as error:
        problems.append(f"stopped: {error or 'interrupted'}")
    problems += [f"{outcome.fault}: {sentence}" for outcome in outcomes for sentence in outcome.wrong]
    print(row("all", [collect([value(o) for o in outcomes] or [0]) for _, value, collect in COLUMNS]))
    if skipped:
        sentence = f"SKIPPED: {len(FAULTS) - len(chosen)} faults of nodes, because {', '.join(skipped)} are not set"
        print(sentence)
        if os.environ.get("CI") == "true":
            problems.append(sentence)
    minutes = (time.monotonic() - start) / 60
    verdict = f"{'FAILED' if problems else 'passed'} in {minutes:.1f} minutes"
    print("\n".join(["", *problems, verdict]))
    if not short:
        write_page(what, outcomes, verdict, problems)
    return bool(problems)


def run(chaos: Chaos, fault: Fault) -> Outcome:
    """Run one fault, hold it against its limits, and print its line."""
    try:
        outcome = chaos.run(fault.name, fault.inject)
    except AssertionError as error:
        raise AssertionError(f"{fault.name}: not whole: {error}") from error
    slack = 1 if chaos.long else 2  # the short form is for CI, whose machines are shared: there only the gross fails
    if fault.write_gap is not None and outcome.write_gap > fault.write_gap * slack:
        outcome.wrong.append(f"{outcome.write_gap:.1f} s without a write, the limit is {fault.write_gap} s")
    if outcome.failed_reads and outcome.reads_failing_for >= fault.reads_failing * slack:
        limit = f"for {fault.reads_failing} s at most" if fault.reads_failing else "none may"
        why = ", ".join(outcome.why_reads_failed)
        outcome.wrong.append(
            f"{outcome.failed_reads} reads failed, over {outcome.reads_failing_for:.1f} s; {limit} ({why})"
        )
    print(row(fault.name, [value(outcome) for _, value, _ in COLUMNS]), flush=True)
    for sentence in outcome.wrong:
        print(f"    {sentence}", flush=True)
    return outcome


def row(name: str, cells: list) -> str:
    """A line of the table for the terminal."""
    return f"{name:32}" + "".join(
        f"{cell!s:>{max(8, len(head) + 2)}}" for cell, (head, _, _) in zip(cells, COLUMNS, strict=True)
    )


def write_page(what: str, outcomes: list[Outcome], verdict: str, problems: list[str]) -> None:
    """Write docs/chaos.md: the result of this run."""
    page = ROOT / "docs" / "chaos.md"
    page.parent.mkdir(exist_ok=True)
    names = list(dict.fromkeys(outcome.fault for outcome in outcomes))
    lines = [
        "| fault | times | " + " | ".join(name for name, _, _ in COLUMNS) + " |",
        "| --- |" + " ---: |" * (len(COLUMNS) + 1),
    ]
    for name in [*names, "all"]:
        some = [outcome for outcome in outcomes if name in (outcome.fault, "all")]
        cells = [collect(value(o) for o in some) for _, value, collect in COLUMNS]
        lines.append(f"| {name} | {len(some)} | " + " | ".join(map(str, cells)) + " |")
    text = TEXT.format(date=datetime.now(UTC).date(), what=what, verdict=verdict, table="\n".join(lines))
    if problems:
        text += "\nWhat was not as it should be:\n\n" + "".join(f"- {problem}\n" for problem in problems)
    page.write_text(text, encoding="utf-8")


TEXT = """\
# The last result of `make chaos`

This page is written by `make chaos`; what it does and how to run it is said in `tests/chaos/__main__.py`.

{date}: {what}. The run {verdict}.

{table}

- tried: requests to register a user, sent by six threads all the time; acked: those answered with 201; unknown: those
  answered with 503, or not at all. They are sent again until it is known what became of them.
- not repl.: acknowledged with `replicated: false`, because no replica was there within the semi-sync wait.
- write gap, read gap: the longest time in seconds without a write acknowledged, a read answered.
- failed reads: requests to read users that were not answered with 200. MySQL's nodes fail, those of read-app's pods do
  not: a request that a NodePort sends to a pod whose node is gone fails in any cluster until that has noticed.
- whole after: seconds from the end of the fault until every pod was ready and writes were replicated again.
- lost: acknowledged writes that a pod lacks. For the destroyed volume of the primary the promise covers those with
  `replicated: true`; others that went with the volume are given up.
- foreign: rows that no client wrote; dupl.: rows that are there twice.
"""

if __name__ == "__main__":
    sys.exit(main(short="--short" in sys.argv[1:]))
