"""What is read from MySQL. Every read is one round trip, and is tried again at another pod if one fails."""

import json
import time

import pymysql

from errors import Behind, Unavailable, is_cut, log_error
from pool import Pool

TRY_FOR = 5.0  # seconds, in which a read is tried again
WAIT_FOR_GTIDS = 1.5  # seconds that a replica gets to catch up with what the client wants to see

# The server makes one JSON value of the page, which costs less than taking every row and column from the protocol
# in Python. Its order is not defined, so the rows are sorted again.
USERS = """
SELECT @@global.read_only, (
  SELECT JSON_ARRAYAGG(JSON_ARRAY(id, name, email, DATE_FORMAT(created_at, '%%Y-%%m-%%dT%%T.%%f'))) FROM (
    SELECT id, name, email, created_at FROM users WHERE id < %s ORDER BY id DESC LIMIT %s
  ) AS page
)
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
        read_only, text = reader.row(USERS, (before, limit + 1))
        rows = sorted(json.loads(text or "[]"), reverse=True)
        found = [
            {"id": number, "name": name, "email": email, "created_at": made[:-3] + "Z"}
            for number, name, email, made in rows[:limit]
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
        (read_only,) = reader.row("SELECT @@global.read_only")
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
