"""What MySQL pods that come, die and copy each other's data cost; and one client that watches who answers."""

import http.client
import re
import threading
import time
from itertools import pairwise
from statistics import median

from bench.servers import catch_up
from manifests import Manifests
from running_demo import PROJECT, wait_until

IDENTITY = "/mysql-pod"
EVERY = 0.1  # seconds between the requests of the one client whose answers are counted
SETTLED, WATCHED = 15, 30  # seconds: when a new pod must have its share, and how long that is counted
MEGABYTES = 1024  # of data to copy
COPIES = 3  # times


class Balance:
    """One client with one connection that asks the demo's read-app who answers, ten times a second.

    with Balance(demo) as balance: ...; then balance.share(), balance.gap(), balance.failed (a number), and
    balance.answers: [(when, pod)].
    """

    def __init__(self, demo):
        services = Manifests(PROJECT / "kubernetes").services
        service = next(each for each in services if each.name == "read-app")
        self.client = http.client.HTTPConnection(service.address, service.port, timeout=10)
        self.answers, self.failed = [], 0  # (when, pod)
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        """Ask until the end."""
        while not self.end.wait(EVERY):
            try:
                self.client.request("GET", IDENTITY)
                answer = self.client.getresponse()
                found = re.search(r'"mysql_pod":"([^"]*)"', answer.read().decode())
                self.answers.append((time.monotonic(), found[1]))
            except (OSError, http.client.HTTPException, TypeError):
                self.failed += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()

    def share(self):
        """The smallest share that a pod had of the answers in any 60 seconds, in %."""
        pods = [pod for _, pod in self.answers]
        window = min(len(pods), round(60 / EVERY))
        counts = [pods[first : first + window].count("mysql-0") for first in range(len(pods) - window + 1)]
        return 100 * min(min(counts), window - max(counts)) / window

    def gap(self):
        """The longest time without an answer of one of the two pods, in seconds."""
        return max(
            later - earlier
            for name in ("mysql-0", "mysql-1")
            for times in [[when for when, pod in self.answers if pod == name]]
            for earlier, later in pairwise(times)
        )


def come_and_go(demo):
    """Start mysql-2, and kill it, while one client asks: {"share": its part of the answers in %, "failed": reads}."""
    with Balance(demo) as balance:
        demo.start(2)
        demo.wait_until_ready(2, 600)  # it has missed two million users and all registrations
        begin = time.monotonic() + SETTLED
        end = begin + WATCHED
        wait_until(lambda: balance.answers[-1][0] > end, 2 * (SETTLED + WATCHED), "read-app does not answer")
        demo.kill(2)
        wait_until(lambda: not demo.is_ready(2), 10, "the killed server still answers")
        demo.wait_until_ready(2)
    pods = [pod for when, pod in balance.answers if begin <= when < end]
    demo.stop(2)
    return {"share": 100 * pods.count("mysql-2") / len(pods), "failed": balance.failed}


# 32 rows of a megabyte each.
FILL = """
USE bulk;
INSERT INTO megabytes (text)
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 32)
SELECT REPEAT(SHA2(RAND(), 256), 16384) FROM numbers
"""
# Run in the pod of mysql-1: prints the size in MB, and what the clock says before CLONE, after it and after cp.
# With a DATA DIRECTORY a server clones beside its own data, so this is what a new pod's scratch server does.
COPY = """
set -euo pipefail
cd /var/lib/mysql
rm -rf clone cp
before=$EPOCHREALTIME
mysql -u root <<SQL
SET GLOBAL clone_valid_donor_list = 'mysql-0.mysql:3306';
CLONE INSTANCE FROM replicator@'mysql-0.mysql':3306 IDENTIFIED BY '$(</etc/mysql/conf.d/replicator.password)'
  DATA DIRECTORY = '$PWD/clone' REQUIRE SSL;
SQL
sync -f clone
between=$EPOCHREALTIME
cp -r clone cp
sync -f cp
echo "$(du -sm clone | cut -f 1) $before $between $EPOCHREALTIME"
rm -rf clone cp
"""


def copy_times(demo):
    """Copy a GB of data: {"mb", "clone" and "cp": seconds until it is on disk, "restart": those of a killed server}."""
    demo.sql(0, "CREATE DATABASE bulk")
    demo.sql(0, "CREATE TABLE bulk.megabytes (id BIGINT AUTO_INCREMENT PRIMARY KEY, text LONGTEXT)")
    for _ in range(0, MEGABYTES, 32):
        demo.sql(0, FILL)
    catch_up(demo)
    copies = [[float(number) for number in demo.exec("mysql-1", "bash", "-c", COPY).split()] for _ in range(COPIES)]
    demo.kill(1)
    killed = time.monotonic()
    demo.wait_until_ready(1)
    return {
        "mb": copies[0][0],
        "clone": median(between - before for _, before, between, _ in copies),
        "cp": median(after - between for _, _, between, after in copies),
        "restart": time.monotonic() - killed,
    }
