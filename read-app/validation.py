"""The query string of /users."""

import re
from collections.abc import Mapping

LIMIT = 200  # users a page
LARGEST_ID = 2**63 - 1

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
INTERVAL = r":[1-9]\d{0,17}(-[1-9]\d{0,17})?"
# A transaction, such as 3e11fa47-71ca-11e1-9e33-c80aa9429562:23, or a set of them as MySQL writes it.
PART = rf"\s*{UUID}(:[a-z_]\w{{0,31}}|{INTERVAL})*{INTERVAL}\s*"
GTIDS = re.compile(rf"(?=.{{1,1000}}\Z){PART}(,{PART})*", re.ASCII | re.IGNORECASE | re.DOTALL)


def check_users_query(query: Mapping[str, str], default_limit: int) -> tuple[int, int, str | None, dict[str, str]]:
    """Check the query string of /users. Returns (limit, before, after, errors): a sentence for each wrong value."""
    errors = {}

    def number(name: str, default: int, most: int) -> int:
        text = query.get(name)
        if text is None:
            return default
        if text.isascii() and text.isdigit() and len(text) <= 19 and 1 <= int(text) <= most:
            return int(text)
        errors[name] = f"{name} must be a whole number from 1 to {most}."
        return default

    limit = number("limit", default_limit, LIMIT)
    before = number("before", LARGEST_ID, LARGEST_ID)
    after = query.get("after")
    if after is not None and not GTIDS.fullmatch(after):
        errors["after"] = "after must be a GTID, as write-app answers it: 3e11fa47-71ca-11e1-9e33-c80aa9429562:23"
    return limit, before, after, errors
