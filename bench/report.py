"""What was measured, as tables and a picture in docs/performance.md, and which targets were missed."""

import json
import math
import re
from datetime import datetime
from statistics import median

from running_demo import PROJECT

PAGE = PROJECT / "docs" / "performance.md"

MARKERS = "<!-- written by make bench -->", "<!-- end of what make bench writes -->"
CLUSTER_MARKERS = "<!-- written by make bench-cluster -->", "<!-- end of what make bench-cluster writes -->"
COLOURS = {"naive": "#9aa0a6", "ours": "#1a73e8", "ceiling": "#c9b458"}


def say(line):
    """Print a line with the time."""
    print(f"{datetime.now():%H:%M:%S} {line}", flush=True)


def load_figures(line):
    """The figures in the line that load.lua printed. If nobody had an answer, p50_ms and p99_ms are infinite."""
    figures = json.loads(line)
    if not figures["requests"]:  # wrk says 0 ms, which would be very fast
        figures |= {"p50_ms": math.inf, "p99_ms": math.inf}
    return figures


def ratio(figures, one, other, figure="rate"):
    """How many times as high a figure of one program is as that of another: the median of the rounds' ratios."""
    return median(
        mine[figure] / theirs[figure] if theirs[figure] else math.inf  # a naive app may answer nothing in time
        for mine, theirs in zip(figures[one], figures[other], strict=True)
    )


def medians(rounds):
    """The median of each figure over several rounds: [{"a": 1}, {"a": 3}, {"a": 2}] gives {"a": 2}. Errors add up."""
    return {
        name: sum(each[name] for each in rounds) if name == "errors" else median(each[name] for each in rounds)
        for name in rounds[0]
    }


def table(header, rows):
    """A table in Markdown; numbers are rounded to three digits."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(text, line)) + " |" for line in lines) + "\n"


def text(value):
    """A cell of a table."""
    if not isinstance(value, float):
        return "-" if value is None else str(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def missed(targets):
    """The sentences on targets that were missed. A target is (what, value, "at least" or "at most", limit)."""
    return [
        f"{what}: {text(value)}, but the target is {sense} {text(limit)}"
        for what, value, sense, limit in targets
        if not (value >= limit if sense == "at least" else value <= limit)
    ]


def verdicts(targets):
    """The targets, as `missed` takes them, as a table."""
    return table(
        ["", "measured", "target", ""],
        [
            [what, float(value), f"{sense} {limit}", "missed" if missed([(what, value, sense, limit)]) else "met"]
            for what, value, sense, limit in targets
        ],
    )


def insert(page, part, markers=MARKERS):
    """The text of a page with what is between the markers replaced by `part`."""
    begin, end = markers
    return re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n\n{part}\n{end}", page, flags=re.DOTALL)


def picture(groups):
    """An SVG with a bar for each program in each group: {"GET /users": {"ours": 500.0, ...}}; the longest is 100 %."""
    bars, y = [], 10
    for name, values in groups.items():
        bars.append(f'<text x="0" y="{y + 14}" font-weight="bold">{name}</text>')
        y += 22
        for kind, value in values.items():
            width = 400 * value / max(values.values())
            bars.append(f'<text x="0" y="{y + 14}">{kind}</text>')
            bars.append(f'<rect x="70" y="{y}" width="{width:.0f}" height="18" fill="{COLOURS[kind]}"/>')
            bars.append(f'<text x="{76 + width:.0f}" y="{y + 14}">{text(float(value))}/s</text>')
            y += 22
        y += 14
    # Text in a grey that can be read on white and on black.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 560 {y}" width="560" height="{y}" role="img" '
        'aria-label="Requests a second at 16 clients" font-family="sans-serif" font-size="13" fill="#767676">\n'
        + "\n".join(bars)
        + "\n</svg>\n"
    )
