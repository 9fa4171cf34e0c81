"""The truth of `replicated`: had another MySQL pod acknowledged a transaction before its client got the answer?

Yes, if semi-synchronous replication was on during the whole commit. That is so if it was on in a look before the
commit and in one after it, and the server has not switched it off in between (Rpl_semi_sync_source_no_times counts
how often it did). Both looks must be on the connection that commits, because another connection's look could be
one at the server before a restart. When in doubt, the answer is no.
"""

import time
from typing import NamedTuple

import pymysql

from connection import Connection

FRESH_FOR = 1.0  # seconds in which a look counts as one before the next commit
# The GTID of this connection's newest transaction, and how often semi-sync was switched off, and whether it is on, such
# as '0,ON'. The server reads these two in this order, which matters: in the other order, '0,ON' could be said of the
# moment after it was switched off.
LOOK = """
SELECT (SELECT GTID FROM performance_schema.events_transactions_history
    WHERE THREAD_ID = PS_CURRENT_THREAD_ID() AND GTID LIKE '%:%' ORDER BY EVENT_ID DESC LIMIT 1),
  GROUP_CONCAT(VARIABLE_VALUE ORDER BY VARIABLE_NAME) FROM performance_schema.global_status
WHERE VARIABLE_NAME IN ('Rpl_semi_sync_source_no_times', 'Rpl_semi_sync_source_status')
"""


class Look(NamedTuple):
    """What a connection saw: its newest GTID, the state of semi-sync, and when (of time.monotonic)."""

    gtid: str | None
    state: str
    taken: float


def look(connection: Connection) -> Look:
    """Look now. Raises pymysql.Error or OSError."""
    gtid, state = connection.row(LOOK)
    return Look(gtid, state, time.monotonic())


def look_before(connection: Connection, last: Look | None) -> Look:
    """Return a look to compare with after the commit: the last one of this connection if that is fresh and was on."""
    if last and last.state.endswith(",ON") and time.monotonic() - last.taken < FRESH_FOR:
        return last
    return look(connection)


def look_after(connection: Connection, before: Look) -> Look | None:
    """Return a look after the commit, or None if that fails: the commit has happened, so this fails nothing."""
    try:
        return look(connection)
    except (pymysql.Error, OSError):
        connection.close()
        return None


def is_replicated(before: Look, after: Look | None) -> bool:
    """Tell whether semi-sync was on from one look to the other."""
    return after is not None and before.state.endswith(",ON") and after.state == before.state
