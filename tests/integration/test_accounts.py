"""Each account may do what it is for, and nothing else; a restart changes neither that nor a password."""

import re

import pytest

from dangerous import ALLOWED, DENIED, STATEMENTS

PASSWORDS = {"appuser": "password123", "readuser": "read-password123", "replicator": "replication-password123",
             "backup": "backup-password123"}  # fmt: skip


def client(demo, user, password, *options, host="mysql-0.mysql"):
    """What an account gets over the network, errors too."""
    command = ["env", f"MYSQL_PWD={password}", "mysql", "--no-defaults", "-u", user, "-h", host, *options]
    return demo.exec("mysql-1", "bash", "-c", '"$@" 2>&1 || true', "bash", *command)


def logs_in(demo, user, password, server=0):
    return client(demo, user, password, "-Ne", "SELECT 'in'", host=f"mysql-{server}.mysql") == "in\n"


def grants(demo, server):
    return {user: demo.sql(server, f"SHOW GRANTS FOR '{user}'@'%'") for user in PASSWORDS}


@pytest.mark.parametrize("user", ALLOWED)
def test_an_account_does_only_what_it_is_for(demo, user):
    script = ";\n".join(STATEMENTS) + ";\n"
    command = 'MYSQL_PWD=$2 mysql --no-defaults -u "$1" -h mysql-0.mysql --force <<<"$3" 2>&1; rm -rf /tmp/clone'
    said = demo.exec("mysql-0", "bash", "-c", command, "bash", user, PASSWORDS[user], script)
    errors = {int(line): int(code) for code, line in re.findall(r"^ERROR (\d+) \(\w+\) at line (\d+):", said, re.M)}
    assert set(errors.values()) <= DENIED, said
    assert errors
    assert {statement for n, statement in enumerate(STATEMENTS, 1) if n not in errors} == ALLOWED[user]


def test_no_grant_is_for_more_databases_than_it_names(demo):
    """In the name of a database, _ and % are wildcards unless a backslash is before them."""
    names = [
        name
        for server in (0, 1)
        for [name] in demo.sql(
            server, "SELECT Db FROM mysql.db WHERE User IN ('probe', '" + "', '".join(PASSWORDS) + "')"
        )
    ]
    assert names
    assert [name for name in names if re.search(r"(?<!\\)[_%]", name)] == []


def test_a_grant_that_is_not_in_the_file_is_revoked_at_the_next_start(demo):
    before = grants(demo, 1)
    demo.sql(0, "GRANT SELECT, LOCK TABLES ON userdb.* TO backup; GRANT RELOAD ON *.* TO backup;"
                " GRANT ALL ON userdb_restore.* TO backup; GRANT SELECT ON *.* TO replicator")  # fmt: skip
    assert grants(demo, 0) != before
    demo.kill(0)
    demo.wait_until_ready(0)
    assert grants(demo, 0) == before
