"""A backup contains everything, comes from a pod that has everything, and can be restored."""

import contextlib
import re
import subprocess
import threading
import time

import pytest
import requests

from integration.backup_pod import BackupPod
from running_demo import PROJECT, wait_until

# Names that are reserved words or need quoting, and every kind of object.
EVERYTHING = r"""
CREATE DATABASE `shop-``x` CHARACTER SET latin1;
USE `shop-``x`;
CREATE TABLE `groups` (id INT AUTO_INCREMENT PRIMARY KEY, d DOUBLE, j JSON, b BLOB, g GEOMETRY, t TIMESTAMP NULL,
  n VARCHAR(20) CHARACTER SET utf8mb4, v INT GENERATED ALWAYS AS (LENGTH(n)), x DECIMAL(30, 10), KEY ((LOWER(n))));
CREATE TABLE `order` (id INT PRIMARY KEY, g INT, FOREIGN KEY (g) REFERENCES `groups` (id));
CREATE TABLE `user log'\` (id INT PRIMARY KEY);
INSERT INTO `groups` (d, j, b, g, t, n, x) VALUES (PI() * 1e100, '{"a": [1, 2.5, "ü"]}', x'00ff27',
  ST_GeomFromText('POINT(1 2)'), NOW(), 'Zoë 😀', 1.5), (NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO `order` VALUES (1, 1);
CREATE TRIGGER `key` BEFORE INSERT ON `groups` FOR EACH ROW SET NEW.x = 1;
CREATE VIEW `select` AS SELECT * FROM `groups`;
CREATE VIEW `a view of a view` AS SELECT id FROM `select`;
CREATE PROCEDURE `call`() SELECT COUNT(*) FROM `groups`;
CREATE FUNCTION seven() RETURNS INT DETERMINISTIC RETURN 7;
CREATE VIEW by_function AS SELECT seven();
CREATE EVENT weekly ON SCHEDULE EVERY 1 WEEK DO DELETE FROM `order`;
CREATE DATABASE empty_one;
"""


@pytest.fixture
def pod(demo, tmp_path):
    return BackupPod(demo, tmp_path / "pod")


@pytest.fixture
def everything(demo):
    """Databases with every kind of object on both servers."""
    run_sql(demo, EVERYTHING)
    catch_up(demo)
    yield
    run_sql(demo, "DROP DATABASE `shop-``x`; DROP DATABASE empty_one")
    catch_up(demo)


def run_sql(demo, script):
    """Run statements on the primary; they come by standard input, so nothing has to be quoted."""
    subprocess.run([*in_pod(demo, "mysql-0"), "mysql", "-u", "root", "--default-character-set=utf8mb4"], input=script,
                   text=True, check=True)  # fmt: skip


def in_pod(demo, name):
    return [PROJECT / "demo" / "exec", "--folder", demo.folder, name]


def catch_up(demo):
    [[gtids]] = demo.sql(0, "SELECT REPLACE(@@gtid_executed, '\\n', '')")
    assert demo.sql(1, f"SELECT WAIT_FOR_EXECUTED_GTID_SET('{gtids}', 30)") == [["0"]]


def users(demo):
    return int(demo.sql(0, "SELECT COUNT(*) FROM userdb.users")[0][0])


def register(demo):
    email = f"{time.monotonic_ns()}@example.com"
    assert requests.post(f"{demo.write_url}/submit", json={"name": "B", "email": email}, timeout=20).status_code == 201


@pytest.mark.usefixtures("everything")
def test_everything_is_in_a_backup_and_comes_back(demo, pod):
    register(demo)
    said = pod.run("bash", "/scripts/backup.sh")
    assert "WARNING" not in said
    assert f"-- Table userdb.users: {users(demo)} rows, checksum" in said
    assert "-- Table shop-`x.user log'\\: 0 rows, checksum 0" in said
    [name] = pod.backups()
    # What is in the scratch server then, and what is in mysql-0.
    compare = 'mapfile -t all < <(bash $D list); bash $D definitions "${all[@]}"; bash $D contents "" "${all[@]}"'
    restore = f". /scripts/common.sh; start_server empty; bash /scripts/restore.sh {name} >/dev/null"
    restored = pod.run(
        "bash", "-ec", f"{restore}; export SOCKET=/scratch/empty.sock D=/scripts/databases.sh; {compare}"
    )
    program = (pod.folder / "scripts" / "databases.sh").read_text()
    (demo.folder / "data" / "mysql-0" / ".databases.sh").write_text(program)
    wanted = demo.exec("mysql-0", "bash", "-ec", f"D=/var/lib/mysql/.databases.sh; {compare}")
    assert restored == wanted
    for what in (
        "TRIGGER `key`",
        "VIEW `select`",
        "PROCEDURE `call`",
        "FUNCTION `seven`",
        "EVENT `weekly`",
        "empty_one",
    ):
        assert what in wanted


def test_a_replica_that_is_away_is_replaced_by_the_primary(demo, pod):
    demo.stop(1)
    try:
        register(demo)
        said = pod.run("bash", "/scripts/backup.sh")
    finally:
        demo.start(1)
        demo.wait_until_ready(1)
    assert "WARNING: mysql-1.mysql cannot be asked: " in said
    assert "The backup was made from mysql-0" in said
    assert f"-- Table userdb.users: {users(demo)} rows" in said


def test_a_replica_that_lags_is_not_copied(demo, pod):
    demo.sql(1, "STOP REPLICA SQL_THREAD")
    try:
        register(demo)
        said = pod.run("bash", "/scripts/backup.sh")
    finally:
        demo.sql(1, "START REPLICA SQL_THREAD")
        demo.wait_until_ready(1)
    assert "WARNING: mysql-1.mysql lacks transactions that mysql-0 has had for a minute" in said
    assert f"-- Table userdb.users: {users(demo)} rows" in said


def test_a_wrong_password_is_called_that(pod):
    (pod.folder / "secret" / "backup-password").write_text("another-password")
    said = pod.run("bash", "/scripts/backup.sh", fails=True)
    assert "FAILED: neither MySQL pod can be copied. mysql-1.mysql cannot be asked: ERROR 1045" in said
    assert "does not answer" not in said
    assert pod.backups() == []


def test_reads_do_not_wait_behind_a_long_query(demo, pod):
    """Of the pod that is copied: a lock that waits for the query would make all later reads wait for the lock."""
    register(demo)
    catch_up(demo)
    query = "SELECT SLEEP(60) FROM userdb.users LIMIT 1"
    with subprocess.Popen([*in_pod(demo, "mysql-1"), "mysql", "-u", "root", "-e", query]) as long:
        slowest, done = [0.0], threading.Event()

        def read():
            while not done.is_set():
                started = time.monotonic()
                demo.sql(1, "SELECT COUNT(*) FROM userdb.users")
                slowest[0] = max(slowest[0], time.monotonic() - started)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            runs = "SELECT 1 FROM performance_schema.processlist WHERE INFO LIKE 'SELECT SLEEP%'"
            wait_until(lambda: demo.sql(1, runs), 10, "the long query does not run")
            assert "WARNING" not in pod.run("bash", "/scripts/backup.sh")
            assert long.poll() is None, "the query was not long enough"
        finally:
            done.set()
            reader.join()
            with contextlib.suppress(AssertionError):
                demo.sql(1, "SELECT CONCAT('KILL ', ID) INTO @kill FROM performance_schema.processlist"
                            " WHERE INFO LIKE 'SELECT SLEEP%'; PREPARE s FROM @kill; EXECUTE s")  # fmt: skip
    assert slowest[0] < 5


def test_a_clock_in_the_future_does_not_break_what_is_kept(pod):
    """Seven are kept: those that were made last, not those that say the latest date."""
    volume = pod.folder / "backup"
    for day in range(1, 8):
        (volume / f"userdb-2099010{day}T000000Z-{day}.sql.gz").touch()
    first = re.search(r"userdb-\S+-8\.sql\.gz", pod.run("bash", "/scripts/backup.sh"))[0]
    second = re.search(r"userdb-\S+-9\.sql\.gz", pod.run("bash", "/scripts/backup.sh"))[0]
    assert len(pod.backups()) == 7
    assert {first, second} < set(pod.backups())
    assert "userdb-20990102T000000Z-2.sql.gz" not in pod.backups()
