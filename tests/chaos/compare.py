"""What the MySQL pods have, compared with the ledger and with each other."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from chaos.load import Attempt

Row = tuple[int, str, str]  # id, name, email


@dataclass
class Findings:
    """What is not as it must be. All lists are empty when all is well, but for given_up."""

    lost: set[str] = field(default_factory=set)  # emails that were acknowledged, and are missing in a pod
    given_up: set[str] = field(default_factory=set)  # the same, of writes that nothing was promised for
    foreign: set[str] = field(default_factory=set)  # rows that no client wrote, or wrote differently
    duplicates: set[str] = field(default_factory=set)  # emails and ids that are there twice
    different: set[str] = field(default_factory=set)  # rows that not all pods have

    @property
    def all_is_well(self) -> bool:
        """Whether nothing was found that is against the promise."""
        return not (self.lost or self.foreign or self.duplicates or self.different)


def compare(attempts: Collection[Attempt], pods: dict[str, list[Row]], unpromised: Collection[str] = ()) -> Findings:
    """Compare the rows of every pod with the attempts that were made, and with those of the other pods.

    unpromised: emails whose loss is not against the promise (their only copy was destroyed).
    """
    found = Findings()
    names = {attempt.email: attempt.name for attempt in attempts}
    ids = {attempt.email: attempt.id for attempt in attempts if attempt.id is not None}
    known = {attempt.email for attempt in attempts if attempt.status in ("acknowledged", "present")}
    for rows in pods.values():
        emails = {email for _, _, email in rows}
        missing = known - emails
        found.given_up |= missing & set(unpromised)
        found.lost |= missing - set(unpromised)
        found.foreign |= {
            email for number, name, email in rows if names.get(email) != name or ids.get(email, number) != number
        }
        for column in (0, 2):
            found.duplicates |= {str(value) for value, n in Counter(row[column] for row in rows).items() if n > 1}
    if pods:
        tables = [set(rows) for rows in pods.values()]
        found.different = {email for _, _, email in set.union(*tables) - set.intersection(*tables)}
    return found


def gtid_set(gtids: Collection[str]) -> str:
    """The GTIDs (uuid:number) as a GTID set: uuid:1-3:5,..."""
    numbers = defaultdict(list)
    for gtid in gtids:
        source, _, number = gtid.rpartition(":")
        numbers[source].append(int(number))
    parts = []
    for source, found in numbers.items():
        intervals = []
        for number in sorted(found):
            if intervals and number == intervals[-1][1] + 1:
                intervals[-1][1] = number
            else:
                intervals.append([number, number])
        parts.append(":".join([source, *(f"{first}-{last}" for first, last in intervals)]))
    return ",".join(parts)
