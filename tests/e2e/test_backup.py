"""Backup, and restore row by row: after a bad DELETE, to a point in time, and into an empty deployment."""

# What a backup contains, and which pod it comes from: tests/integration/test_backup.py

import gzip
import json
import re
import subprocess
import time
import uuid

import pytest

from e2e.cluster import ROOT, eventually


def make(deployment, *arguments: str, fails: bool = False) -> str:
    """What a make target says in the deployment's namespace."""
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments, f"NAMESPACE={deployment.namespace}"],
        cwd=ROOT, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert bool(done.returncode) is fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(deployment, pod: str) -> list[list[str]]:
    """Every column of every user, exactly."""
    return deployment.sql(pod, "SELECT id, HEX(name), HEX(email), created_at FROM userdb.users ORDER BY id")


def same_everywhere(deployment, wanted: list[list[str]]) -> bool:
    return all(rows(deployment, pod) == wanted for pod in ("mysql-0", "mysql-1"))


def register(deployment, count: int) -> None:
    for number in range(count):
        answer = deployment.post(f"Zoë '\"\\ 😀 {number}", f"{uuid.uuid4().hex}@example.com")
        assert answer.status_code == 201, answer.text


@pytest.fixture(scope="module")
def backup(deployment) -> str:
    """The name of a backup, and three users that are in it."""
    register(deployment, 3)
    deployment.catch_up("mysql-1")
    said = make(deployment, "backup")
    count = len(rows(deployment, "mysql-0"))
    assert f"-- Table userdb.users: {count} rows, checksum" in said
    return re.search(r"userdb-\S+\.sql\.gz", said)[0]


def test_a_bad_delete_is_undone_to_just_before_it(deployment, backup):
    register(deployment, 2)
    # Another database, an account and a password are touched, too.
    deployment.sql("mysql-0", "CREATE DATABASE other; CREATE TABLE other.t (id INT PRIMARY KEY);"
                   " INSERT INTO other.t VALUES (1); CREATE USER other; GRANT SELECT ON other.t TO other;"
                   " ALTER USER other IDENTIFIED BY 'a-password'; DROP USER other; DROP DATABASE other")  # fmt: skip
    before = rows(deployment, "mysql-0")
    deployment.sql("mysql-0", "DELETE FROM userdb.users")
    register(deployment, 1)  # goes on meanwhile
    deleted = re.findall(r"^(\S+) .*Delete userdb\.users", make(deployment, "history"), re.MULTILINE)[-1]
    said = make(deployment, "restore", f"FROM={backup}", f"TO_BEFORE={deleted}")
    assert same_everywhere(deployment, before)
    # What was registered since is offered, and can be added with the statement that is printed.
    assert "1 of the users in userdb_before_" in said
    deployment.sql("mysql-0", re.search(r"INSERT INTO userdb\.users [^']*", said)[0])
    assert len(rows(deployment, "mysql-0")) == len(before) + 1


def test_what_a_restore_refuses(deployment, backup):
    """Nothing is replaced when the backup, or the transaction, is not what it seems."""
    before = rows(deployment, "mysql-0")
    assert "there is no backup no-such" in make(deployment, "restore", "FROM=no-such", fails=True)
    unknown = f"{uuid.uuid4()}:1"
    said = make(deployment, "restore", f"FROM={backup}", f"TO_BEFORE={unknown}", fails=True)
    assert f"does not know the transaction {unknown}" in said
    assert rows(deployment, "mysql-0") == before


def job(deployment, name: str, change) -> str:
    """Run a changed copy of the backup's Job and return the sentence with which it failed."""
    made = json.loads(
        deployment.kubectl("create", "job", name, "--from=cronjob/mysql-backup", "--dry-run=client", "-o", "json")
    )
    change(made["spec"]["template"]["spec"])
    deployment.kubectl("create", "-f", "-", stdin=json.dumps(made))

    def state():
        return json.loads(deployment.kubectl("get", "job", name, "-o", "json"))["status"]

    eventually(lambda: state().get("failed") or state().get("succeeded"), timeout=180, every=1)
    assert state().get("failed") == 1
    return deployment.kubectl("get", "pods", "-l", f"job-name={name}", "-o", "jsonpath={..terminated.message}")


TRIGGERS = """
USE userdb;
CREATE TABLE `groups` (id INT AUTO_INCREMENT PRIMARY KEY, user BIGINT);
CREATE TRIGGER `order` AFTER INSERT ON users FOR EACH ROW INSERT INTO `groups` (user) VALUES (NEW.id);
CREATE VIEW `select` AS SELECT * FROM `groups`;
CREATE PROCEDURE `call`() SELECT COUNT(*) FROM users;
"""


def test_triggers_views_and_routines_come_back_and_ids_are_not_used_twice(deployment):
    """They are in the backup and in the running database, and the exchange of the tables changes neither."""
    deployment.sql("mysql-0", TRIGGERS)
    register(deployment, 2)
    name = re.search(r"userdb-\S+\.sql\.gz", make(deployment, "backup"))[0]
    before = rows(deployment, "mysql-0"), deployment.sql("mysql-0", "SELECT * FROM userdb.`groups`")
    last = deployment.write()["id"]
    deployment.sql("mysql-0", "DROP PROCEDURE userdb.`call`; DROP VIEW userdb.`select`")
    make(deployment, "restore", f"FROM={name}")
    assert (rows(deployment, "mysql-0"), deployment.sql("mysql-0", "SELECT * FROM userdb.`select`")) == before
    assert deployment.sql("mysql-0", "CALL userdb.`call`()") == [[str(len(before[0]))]]
    new = deployment.write()["id"]
    assert new > last
    assert deployment.sql("mysql-0", "SELECT MAX(user) FROM userdb.`groups`") == [[str(new)]]
    # What was there before is kept, trigger and all; a second restore finds it there and leaves it alone.
    [[kept]] = deployment.sql("mysql-0", "SELECT TRIGGER_SCHEMA FROM information_schema.TRIGGERS WHERE"
                                         " TRIGGER_NAME = 'order' AND TRIGGER_SCHEMA != 'userdb'")  # fmt: skip
    assert re.fullmatch(r"userdb_before_\d{8}_\d{6}", kept)
    assert deployment.sql("mysql-0", f"SELECT MAX(id) FROM {kept}.users") == [[str(last)]]
    deployment.sql("mysql-0", "USE userdb; DROP TRIGGER `order`; DROP VIEW `select`; DROP TABLE `groups`;"
                              " DROP PROCEDURE `call`")  # fmt: skip


def test_two_restores_at_once_do_not_mix(deployment, backup):
    deployment.kubectl("create", "job", "mysql-restore", "--from=cronjob/mysql-restore")
    try:
        said = make(deployment, "restore", f"FROM={backup}", fails=True)
        assert "another restore is running, or was interrupted" in said
    finally:
        deployment.kubectl("delete", "job", "mysql-restore")
    # One that was interrupted left tables behind.
    deployment.sql("mysql-0", "CREATE DATABASE userdb_new_20260101_000000")
    make(deployment, "restore", f"FROM={backup}")
    assert deployment.sql("mysql-0", "SHOW DATABASES LIKE '%\\_new\\_%'") == []


def test_an_encrypted_backup_is_read_with_the_key_only(deployment, tmp_path):
    """With the commands of the page."""
    page = (ROOT / "docs" / "operations.md").read_text()
    make_key = re.search(r"^openssl req .*CN=mysql backup(.|\n)*?-out backup\.crt\n", page, re.MULTILINE)[0]
    decrypt = re.search(r"^openssl cms -decrypt(.|\n)*?\.sql\.gz\n", page, re.MULTILINE)[0]
    subprocess.run(["bash", "-ec", make_key], cwd=tmp_path, check=True, capture_output=True)
    deployment.kubectl("create", "configmap", "mysql-backup-key", f"--from-file={tmp_path}/backup.crt")
    try:
        name = re.search(r"userdb-\S+\.sql\.gz\.cms", make(deployment, "backup"))[0]
    finally:
        deployment.kubectl("delete", "configmap", "mysql-backup-key")
    assert "is encrypted: fetch it" in make(deployment, "restore", f"FROM={name}", fails=True)
    make(deployment, "fetch", f"TO={tmp_path}")
    plain = name.removesuffix(".cms")
    with pytest.raises(OSError, match="gzip"):
        gzip.decompress((tmp_path / name).read_bytes())
    command = decrypt.replace("userdb-20261121T031700Z-42.sql.gz", plain)
    subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True, capture_output=True)
    assert "Restored: userdb" in make(deployment, "restore", f"FROM={tmp_path / plain}")


def test_history_is_read_where_it_is(deployment):
    """mysql-0 copies mysql-1, and its own binary logs begin with the copy."""
    register(deployment, 1)
    deployment.sql("mysql-0", "UPDATE userdb.users SET name = 'before the copy' LIMIT 1")
    deployment.catch_up("mysql-1")
    deployment.kubectl("delete", "pvc/data-mysql-0", "pod/mysql-0")
    eventually(lambda: deployment.whole(2), 180)
    said = make(deployment, "history")
    assert "The binary logs of mysql-1:" in said
    assert "Update userdb.users" in said


def test_a_full_volume_makes_the_backup_fail_with_a_sentence(deployment):
    emails = ", ".join(f"('full', '{uuid.uuid4().hex}@example.com')" for _ in range(500))
    deployment.sql("mysql-0", f"INSERT INTO userdb.users (name, email) VALUES {emails}")

    def small(pod):
        volume = next(each for each in pod["volumes"] if each["name"] == "backup")
        del volume["persistentVolumeClaim"]
        volume["emptyDir"] = {"medium": "Memory", "sizeLimit": "8Ki"}

    try:
        assert "the backup volume is full" in job(deployment, "full-volume", small)
    finally:
        deployment.sql("mysql-0", "DELETE FROM userdb.users WHERE name = 'full'")


@pytest.mark.timeout(1500)
def test_a_million_users_come_back_after_their_table_was_dropped(deployment):
    for first in range(0, 1_000_000, 100_000):
        deployment.sql(
            "mysql-0",
            "SET cte_max_recursion_depth = 100000; INSERT INTO userdb.users (name, email) WITH RECURSIVE numbers (n) AS"
            f" (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {first + 99_999})"
            " SELECT CONCAT('Million ', n), CONCAT('million-', n, '@example.com') FROM numbers",
            timeout=120,
        )
    deployment.catch_up("mysql-1", timeout=240)

    def checksum(pod: str) -> list[list[str]]:
        query = "SELECT COUNT(*), SUM(CRC32(CONCAT_WS(',', id, name, email, created_at))) FROM userdb.users"
        return deployment.sql(pod, query, timeout=120)

    wanted = checksum("mysql-0")
    started = time.monotonic()
    name = re.search(r"userdb-\S+\.sql\.gz", make(deployment, "backup"))[0]
    backed_up = time.monotonic()
    deployment.sql("mysql-0", "DROP TABLE userdb.users")
    make(deployment, "restore", f"FROM={name}")
    print(f"{wanted[0][0]} users: backup {backed_up - started:.0f} s, restore {time.monotonic() - backed_up:.0f} s")
    assert int(wanted[0][0]) >= 1_000_000
    assert checksum("mysql-0") == checksum("mysql-1") == wanted


def test_a_copy_is_restored_into_an_empty_deployment(deployment, backup, tmp_path):
    """The way to another cluster: fetch a backup, lose everything, deploy, restore from the file."""
    copy = ROOT / backup
    try:
        make(deployment, "fetch", f"TO={tmp_path}")
        assert (tmp_path / backup).exists()
        make(deployment, "fetch", f"FROM={backup}")
        assert (tmp_path / backup).read_bytes() == copy.read_bytes()
        checksum = re.search(
            r"Table userdb\.users: \d+ rows, checksum \d+", gzip.decompress(copy.read_bytes()).decode()
        )[0]
        damaged = tmp_path / "damaged.sql.gz"
        damaged.write_bytes(copy.read_bytes()[:-40])
        assert "is damaged" in make(deployment, "restore", f"FROM={damaged}", fails=True)
        make(deployment, "clean", "YES=1")
        deployment.apply()
        deployment.wait_ready()
        assert checksum in make(deployment, "restore", f"FROM={copy}")
        assert len(rows(deployment, "mysql-0")) == int(checksum.split()[2])
        assert same_everywhere(deployment, rows(deployment, "mysql-0"))
    finally:
        copy.unlink(missing_ok=True)
    register(deployment, 1)
