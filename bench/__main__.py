"""make bench: both apps measured beside a naive one and beside the ceiling, in one run on this machine.

    make bench            about half an hour; writes docs/performance.md and docs/performance.svg
    make bench SOAK=1     ten minutes of load on both apps: no errors, no growth, no leaks; writes nothing

It starts a demo of its own on free ports, so `make demo` may run beside it; nothing else should. All programs are
measured in turn, round after round, so that what else the machine does hits all alike; figures are medians of the
rounds. It ends with status 1, and says which, if a target was missed.
"""

import argparse
import os
import platform
import re
import statistics
import sys
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime
from itertools import product

from bench import report, servers
from bench.pods import Balance, come_and_go, copy_times
from bench.servers import Server
from running_demo import PROJECT, Demo, why_not_here

PICTURE = PROJECT / "docs" / "performance.svg"
ROUNDS = 6
SECONDS = 2  # a measurement; in one second, what only the first requests cost would weigh too much
TURNS = 40  # of what is compared with a target near by: rounds are too few, and too far apart
CLIENTS = (1, 16, 64)
SMALL, LARGE = "thousand", "million"  # databases
USERS, IDENTITY, SUBMIT = "/users?limit=50", "/mysql-pod", "/submit"
APPS = {USERS: "read-app", IDENTITY: "read-app", SUBMIT: "write-app"}  # who answers it


def main():
    """Measure or soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soak", type=int, nargs="?", const=600, metavar="SECONDS", help="of load; 600 if not said")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    if reason := why_not_here():
        sys.exit(reason)
    wrk = servers.find_wrk()
    demo = Demo(replicas=None if arguments.soak else 3)
    try:
        demo.wait_until_up()
        servers.enter_network(demo)
        servers.make_accounts(demo)
        failures = soak(demo, wrk, arguments.soak) if arguments.soak else measure(demo, wrk, arguments.rounds)
    finally:
        demo.close()
    if failures:
        sys.exit("Missed:\n" + "\n".join(failures))


# -- measuring


def measure(demo, wrk, rounds):
    """Compare all programs and write the page; returns the sentences on missed targets."""
    demo.stop(2)  # it is the newcomer, later
    mysql = max(servers.memory([pid]) for pid in servers.mysqld_processes(demo))
    report.say("a thousand users, a million users ...")
    servers.fill(demo, SMALL, 1_000)
    servers.fill(demo, LARGE, 1_000_000)
    mysqlds = servers.mysqld_processes(demo)
    ports = iter(range(9000, 9100))
    contestants = {  # (path, database): the programs that answer it
        (app, database): [Server(demo, kind, app, database, next(ports)) for kind in kinds]
        for app in ("read-app", "write-app")
        # A naive app would send a million users with every answer, which takes longer than anybody waits.
        for database, kinds in ((SMALL, ("ours", "naive", "ceiling")), (LARGE, ("ours", "ceiling")))
    }
    # Two that explain a difference: the ceiling as routes of Flask, and a naive app that reads no certificates.
    flask = Server(demo, "flask", "read-app", SMALL, next(ports))
    spared = Server(demo, "spared", "write-app", SMALL, next(ports))
    ours = {app: contestants[app, SMALL][0] for app in ("read-app", "write-app")}
    cold = {server.kind: server.cold_start for server in contestants["read-app", SMALL]}
    cells = [
        (path, clients, server)
        for path, clients, database in product((USERS, IDENTITY, SUBMIT), CLIENTS, (SMALL, LARGE))
        if path != IDENTITY or database == SMALL  # does not look at the users
        for server in [
            *contestants[APPS[path], database],
            *([spared] if (path, clients, database) == (SUBMIT, 16, SMALL) else []),
        ]
    ]
    report.say("warming up ...")
    for path, clients, server in [*cells, (USERS, 16, flask)]:
        if clients == 16:
            servers.load(wrk, server.url + path, max(CLIENTS), 1)
    figures = defaultdict(list)  # (path, clients, kind, database): those of each round
    with Balance(demo) as balance:
        for number in range(1, rounds + 1):
            report.say(f"round {number} of {rounds}, {len(cells) * SECONDS} s ...")
            for path, clients, server in cells:
                key = path, clients, server.kind, server.database
                figures[key].append(one(wrk, mysqlds, path, clients, server))
        turns = {}
        for path, others in {USERS: [flask, contestants["read-app", LARGE][0]], IDENTITY: [flask], SUBMIT: []}.items():
            mine, _, ceiling = contestants[APPS[path], SMALL]
            turns[path] = take_turns(wrk, mysqlds, path, [mine, ceiling, *others])
    trips = {
        (path, server.kind): round_trips(demo, wrk, path, server)
        for path, clients, server in cells
        if clients == 16 and server.database == SMALL and server.kind in ("naive", "ours", "ceiling")
    }
    memory = {app: servers.memory(server.processes()) for app, server in ours.items()}
    for server in {flask, *(server for _, _, server in cells)}:
        server.close()
    report.say("a third MySQL pod comes and dies ...")
    newcomer = come_and_go(demo)
    report.say("a GB of data ...")
    copies = copy_times(demo)
    targets = judge(figures, turns, memory, mysql, balance, newcomer, copies)
    write(figures, turns, trips, cold, copies, targets, rounds)
    return report.missed(targets)


def one(wrk, mysqlds, path, clients, server):
    """Measure once: the figures of wrk, requests a second, and milliseconds of CPU time a request."""
    pids = server.processes()
    before = servers.cpu_seconds(pids), servers.cpu_seconds(mysqlds)
    figures = servers.load(wrk, server.url + path, clients, SECONDS)
    after = servers.cpu_seconds(pids), servers.cpu_seconds(mysqlds)
    servers.settle(server)
    number = max(figures["requests"], 1)
    return figures | {
        "rate": figures["requests"] / figures["seconds"],
        "app_ms": 1000 * (after[0] - before[0]) / number,
        "mysql_ms": 1000 * (after[1] - before[1]) / number,
    }


def take_turns(wrk, mysqlds, path, programs):
    """Measure ours, the ceiling and more in turns, at 16 clients: {(kind, database): [figures of a turn]}."""
    report.say(f"{path}: {len(programs)} programs take turns, {len(programs) * TURNS * SECONDS} s ...")
    figures = defaultdict(list)
    for number in range(TURNS):
        for server in programs if number % 2 else reversed(programs):
            figures[server.kind, server.database].append(one(wrk, mysqlds, path, 16, server))
    report.say(f"{path}: {report.text(report.ratio(figures, ('ours', SMALL), ('ceiling', SMALL)))} of the ceiling")
    return figures


def round_trips(demo, wrk, path, server):
    """Statements and new connections a request; those that a pool makes by itself are in it."""
    statements, connections = servers.asked(demo, server.kind)
    requests = max(servers.load(wrk, server.url + path, 16, SECONDS)["requests"], 1)
    after = servers.asked(demo, server.kind)
    return (after[0] - statements) / requests, (after[1] - connections) / requests


def judge(figures, turns, memory, mysql, balance, newcomer, copies):
    """The targets, for report.missed.

    figures: {(path, clients, kind, database): [those of a round]}; turns: {path: what `take_turns` returned}.
    """

    def over_naive(path):
        return report.ratio(figures, (path, 16, "ours", SMALL), (path, 16, "naive", SMALL))

    def over(path, ceiling, figure="rate"):
        return report.ratio(turns[path], ("ours", SMALL), (ceiling, SMALL), figure)

    slower = report.ratio(turns[USERS], ("ours", LARGE), ("ours", SMALL), "p99_ms")
    measured = [*figures.items(), *(item for path in turns for item in turns[path].items())]
    failed = sum(each["errors"] for key, results in measured if "ours" in key for each in results)
    return [
        ("/users over the naive app", over_naive(USERS), "at least", 8),
        ("/users over Flask's ceiling", over(USERS, "flask"), "at least", 0.9),
        ("/mysql-pod over Flask's ceiling", over(IDENTITY, "flask"), "at least", 0.9),
        ("/submit over the naive app", over_naive(SUBMIT), "at least", 3),
        ("/submit over the bare ceiling", over(SUBMIT, "ceiling"), "at least", 0.8),
        ("/users, p99 over that of Flask's ceiling", over(USERS, "flask", "p99_ms"), "at most", 1.3),
        ("/mysql-pod, p99 over that of Flask's ceiling", over(IDENTITY, "flask", "p99_ms"), "at most", 1.3),
        ("/submit, p99 over that of the bare ceiling", over(SUBMIT, "ceiling", "p99_ms"), "at most", 1.3),
        ("/users, p99 with a million users over that with a thousand", slower, "at most", 1.3),
        ("failed requests", failed + balance.failed, "at most", 0),
        ("one client, smallest share of a MySQL pod in 60 s, %", balance.share(), "at least", 25),
        ("one client, longest time without one of the two pods, s", balance.gap(), "at most", 10),
        ("a new third MySQL pod, its share from 15 s after it was ready, %", newcomer["share"], "at least", 25),
        ("reads that failed while it came and died", newcomer["failed"], "at most", 0),
        ("CLONE of a GB, its speed over that of cp", copies["cp"] / copies["clone"], "at least", 0.6),
        ("an idle MySQL server, MB", mysql, "at most", 350),
        ("read-app after all this, MB", memory["read-app"], "at most", 80),
        ("write-app after all this, MB", memory["write-app"], "at most", 80),
    ]


# -- the page


def write(figures, turns, trips, cold, copies, targets, rounds):
    """Write the tables and the picture."""
    results = {key: report.medians(values) for key, values in figures.items()}
    names = {USERS: f"GET {USERS}", IDENTITY: f"GET {IDENTITY}", SUBMIT: f"POST {SUBMIT}"}
    kinds = ("naive", "ours", "ceiling")
    speed, cost = [], []
    for path, database, clients in product(names, (SMALL, LARGE), CLIENTS):
        cells = {kind: results.get((path, clients, kind, database)) for kind in kinds}
        if not cells["ours"]:
            continue
        rates = [cells[kind] and cells[kind]["rate"] for kind in kinds]
        delays = [
            cells[kind] and f"{report.text(cells[kind]['p50_ms'])} / {report.text(cells[kind]['p99_ms'])}"
            for kind in kinds
        ]
        users = "1,000" if database == SMALL else "1,000,000"
        part_of_ceiling = report.ratio(figures, (path, clients, "ours", database), (path, clients, "ceiling", database))
        speed.append([names[path], users, clients, *rates, part_of_ceiling, *delays])
    for path, kind in product(names, kinds):
        result = results[path, 16, kind, SMALL]
        cost.append([names[path], kind, result["app_ms"], result["mysql_ms"], *trips[path, kind]])
    misses = report.missed(targets)
    part = "\n".join(
        [
            f"`make bench` on {datetime.now(UTC):%Y-%m-%d}: {machine()}. {rounds} rounds of {SECONDS} s each.\n",
            "![Requests a second at 16 clients](performance.svg)\n",
            "Requests a second, and milliseconds for half of the requests / for 99 % of them (inf: no answer):\n",
            report.table(["", "users", "clients", *kinds, "ours / ceiling", *(f"{kind} ms" for kind in kinds)], speed),
            "CPU time, statements and new connections a request, at 16 clients with 1,000 users:\n",
            report.table(
                ["", "", "app ms", "both MySQL servers ms", "statements", "connections"],
                cost,
            ),
            explain(figures, turns),
            "From the start of the process to the first answer with the database: "
            + ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in cold.items())
            + ".\n",
            f"{copies['mb']:,.0f} MB of data: CLONE from the primary {copies['clone']:.1f} s, `cp` of the same files "
            f"{copies['cp']:.1f} s, both until they are on disk. A killed replica with that much is ready again after "
            f"{copies['restart']:.1f} s.\n",
            "Targets, at 16 clients with 1,000 users. Those over a ceiling and those of p99 are medians of "
            f"{TURNS} turns, each of {SECONDS} s for the one program and {SECONDS} s for the other.\n",
            report.verdicts(targets),
        ]
    )
    report.PAGE.write_text(report.insert(report.PAGE.read_text(), part))
    PICTURE.write_text(
        report.picture(
            {name: {kind: results[path, 16, kind, SMALL]["rate"] for kind in kinds} for path, name in names.items()}
        )
    )
    print(part)
    report.say(f"{len(targets) - len(misses)} of {len(targets)} targets met")


def explain(figures, turns):
    """The sentences on the programs that are there for an explanation only."""

    def over(path, one, other):
        return report.text(report.ratio(turns[path], (one, SMALL), (other, SMALL)))

    spared = report.ratio(figures, (SUBMIT, 16, "ours", SMALL), (SUBMIT, 16, "spared", SMALL))
    return (
        "With 16 clients and 1,000 users: Flask's ceiling, the bare one's functions as routes of Flask, reaches "
        f"{over(USERS, 'flask', 'ceiling')} (/users) and {over(IDENTITY, 'flask', 'ceiling')} (/mysql-pod) of the "
        f"ceiling; ours reaches {over(USERS, 'ours', 'flask')} and {over(IDENTITY, 'ours', 'flask')} of that. "
        "PyMySQL reads the certificates of all authorities for each connection of the naive app; were it spared that, "
        f"ours would be {report.text(spared)} times as fast at /submit.\n"
    )


def machine():
    """What it was measured on."""
    models = re.findall(r"model name\s*: (.*)", open("/proc/cpuinfo").read())  # noqa: SIM115 - closed at once: nobody keeps it
    versions = {name: pinned(name) for name in ("gunicorn", "Flask", "PyMySQL")}
    return (
        f"{os.cpu_count()} x {models[0] if models else platform.machine()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
    )


def pinned(name):
    """The version of a package in read-app's requirements."""
    return re.search(rf"^{name}==(\S+)", (PROJECT / "read-app" / "requirements.txt").read_text(), re.MULTILINE)[1]


# -- soaking


def soak(demo, wrk, seconds):
    """Load both apps with 64 clients each; returns the sentences on what went wrong."""
    servers.fill(demo, SMALL, 1_000)
    apps = {
        path: Server(demo, "ours", app, SMALL, port)
        for path, app, port in ((USERS, "read-app", 9000), (SUBMIT, "write-app", 9001))
    }
    results = {}

    def run(path, server):
        results[path] = servers.load(wrk, server.url + path, 64, seconds)

    threads = [threading.Thread(target=run, args=item) for item in apps.items()]
    for thread in threads:
        thread.start()
    samples = {path: [] for path in apps}  # (memory in MB, connections to MySQL)
    began = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        time.sleep(10)
        for path, server in apps.items():
            pids = server.processes()
            size, connections = servers.memory(pids), servers.connections(pids)
            samples[path].append((size, connections))
            report.say(f"{time.monotonic() - began:.0f} s, {path}: {size:.0f} MB, {connections} connections to MySQL")
    targets = []
    for path, values in samples.items():
        steady = values[6:] or values
        growth = 100 * (statistics.mean(m for m, _ in steady[-6:]) / statistics.mean(m for m, _ in steady[:3]) - 1)
        report.say(f"{path}: {results[path]}")
        targets += [
            (f"{path}, failed requests", results[path]["errors"], "at most", 0),
            (f"{path}, growth of memory after the first minute, %", growth, "at most", 5),
            (f"{path}, connections to MySQL", max(c for _, c in steady), "at most", 45),
        ]
    for what, value, sense, limit in targets:
        report.say(f"{what}: {report.text(float(value))} ({sense} {limit})")
    return report.missed(targets)


if __name__ == "__main__":
    main()
