"""The truth of `replicated`: had another MySQL pod acknowledged a transaction before its client got the answer?

Yes, if semi-synchronous replication was on during the whole commit. That is so if it was on in a look before the
commit and in one after it, and the server has not switched it off in between (Rpl_semi_sync_source_no_times counts
how often it did). Both looks must be on the connection that commits, because another connection's look could be one at
the server before a restart. When in doubt, the answer is no.
"""

import time

import pymysql

from connection import Connection

FRESH_FOR = 1.0  # seconds in which the look after one commit counts as the look before the next
# The GTID of this connection's newest transaction, and how often semi-sync was switched off, and whether it is on, such
# as '0,ON'. The server reads these two in this order, which matters: in the other order, '0,ON' could be said of the
# moment after it was switched off.
LOOK = """
SELECT (SELECT GTID FROM performance_schema.events_transactions_history
    WHERE THREAD_ID = PS_CURRENT_THREAD_ID() AND GTID LIKE '%:%' ORDER BY EVENT_ID DESC LIMIT 1),
  GROUP_CONCAT(VARIABLE_VALUE ORDER BY VARIABLE_NAME) FROM performance_schema.global_status
WHERE VARIABLE_NAME IN ('Rpl_semi_sync_source_no_times', 'Rpl_semi_sync_source_status')
"""


class Writer(Connection):
    """A connection to the primary, and the state of semi-sync when it last looked."""

    gtid: str | None = None
    state = ""
    looked = 0.0

    def look(self) -> None:
        self.gtid, self.state = self.row(LOOK)
        self.looked = time.monotonic()

    def look_before_commit(self) -> None:
        """Look, unless the last look is fresh and semi-sync was on then. (If it was off, a replica may be back now.)"""
        if not self.state.endswith(",ON") or time.monotonic() - self.looked > FRESH_FOR:
            self.look()

    def look_after_commit(self) -> tuple[str | None, bool]:
        """Return the GTID of the commit, and whether it is replicated. An error here does not undo the commit."""
        before = self.state
        try:
            self.look()
        except (pymysql.Error, OSError):
            self.close()
            return None, False
        return self.gtid, self.state == before and before.endswith(",ON")
