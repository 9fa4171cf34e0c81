"""What is read from MySQL. Every read is one round trip, and is tried again at another pod if one fails."""

import time

import pymysql

from errors import Behind, Unavailable, is_cut, log_error
from pool import Pool

TRY_FOR = 5.0  # seconds, in which a read is tried again
WAIT_FOR_GTIDS = 1.5  # seconds that a replica gets to catch up with what the client wants to see

READ_ONLY = "SELECT @@global.read_only"
# As text, because making a datetime of it only to print it again costs more than the rest of the row.
USERS = """
SELECT id, name, email, CAST(created_at AS CHAR), @@global.read_only
FROM users WHERE id < %s ORDER BY id DESC LIMIT %s
"""
HAS_GTIDS = "SELECT GTID_SUBSET(%s, @@global.gtid_executed)"

pool = Pool()


def users(limit, before, after=None):
    """Return a page of users, newest first, and who answered. Raises Unavailable, or Behind.

    limit: how many users at most; before: only users with a smaller id; after: GTIDs that the pod must have.
    """

    def page(reader):
        if after and not reader.row(HAS_GTIDS, (after,))[0]:
            raise Behind(reader.mysql_pod)
        rows = reader.rows(USERS, (before, limit + 1))
        read_only = rows[0][-1] if rows else reader.row(READ_ONLY)[0]
        found = [
            {"id": number, "name": name, "email": email, "created_at": made.replace(" ", "T") + "Z"}
            for number, name, email, made, _ in rows[:limit]
        ]
        return {
            "users": found,
            "next": found[-1]["id"] if len(rows) > limit else None,
            "mysql_pod": reader.mysql_pod,
            "read_only": bool(read_only),
        }

    deadline = time.monotonic() + WAIT_FOR_GTIDS
    pause = 0.01
    pod = None
    while True:
        try:
            return read(page, pod)
        except Behind as behind:
            # Ask that pod again, rather than WAIT_FOR_EXECUTED_GTID_SET: others can use the connection meanwhile.
            pod = behind.mysql_pod
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause *= 1.5


def identity():
    """Return which MySQL pod answers. Raises Unavailable."""

    def who(reader):
        (read_only,) = reader.row(READ_ONLY)
        return {"mysql_pod": reader.mysql_pod, "server_id": reader.server_id, "read_only": bool(read_only)}

    return read(who)


def read(question, prefer=None):
    """Return question(reader), asked of the MySQL pod whose turn it is (or `prefer`), and of others if that fails.

    A read changes nothing, so it can be asked again. Raises Unavailable when none could answer, and what
    `question` raises.
    """
    deadline = time.monotonic() + TRY_FOR
    refusals = 0
    while True:
        reader = pool.lend(deadline, prefer)
        try:
            result = question(reader)
        except (pymysql.Error, OSError) as error:
            if is_cut(error):
                pool.drop(reader)
            else:
                pool.give_back(reader)
                refusals += 1
            log_error(error, reader.mysql_pod)
        except BaseException:
            pool.give_back(reader)
            raise
        else:
            pool.give_back(reader)
            return result
        prefer = None
        if refusals == 3 or time.monotonic() > deadline:
            raise Unavailable
