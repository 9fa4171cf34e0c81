"""make bench: what it makes of its figures."""

import math

from bench import report


def test_median_of_the_rounds_and_sum_of_the_errors():
    rounds = [{"rate": 10.0, "errors": 0}, {"rate": 90.0, "errors": 2}, {"rate": 20.0, "errors": 1}]
    assert report.medians(rounds) == {"rate": 20.0, "errors": 3}


def test_missed_targets_are_named():
    targets = [("speed", 0.79, "at least", 0.8), ("memory, MB", 350.0, "at most", 350), ("errors", 1, "at most", 0)]
    assert report.missed(targets) == [
        "speed: 0.79, but the target is at least 0.8",
        "errors: 1, but the target is at most 0",
    ]


def test_figure_that_is_not_a_number_misses_its_target():
    assert report.missed([("growth, %", float("nan"), "at most", 5)])


def test_table_is_markdown():
    assert report.table(["", "rate"], [["GET /", 1234.5], ["POST /", None]]) == (
        "|  | rate |\n| --- | ---: |\n| GET / | 1,234 |\n| POST / | - |\n"
    )


def test_page_keeps_what_people_wrote():
    begin, end = report.MARKERS
    page = report.insert(f"# Title\n\n{begin}\n\nold\n{end}\nAbout it.\n", "new\n")
    assert page == f"# Title\n\n{begin}\n\nnew\n\n{end}\nAbout it.\n"
    assert report.insert(page, "new\n") == page


def test_an_app_that_answers_nothing_is_not_fast():
    slow = report.load_figures('{"requests": 0, "seconds": 1.0, "p50_ms": 0.0, "p99_ms": 0.0, "errors": 0}')
    fast = report.load_figures('{"requests": 500, "seconds": 1.0, "p50_ms": 9.5, "p99_ms": 20.5, "errors": 0}')
    assert fast["p99_ms"] == 20.5
    assert report.ratio({"slow": [slow], "fast": [fast]}, "slow", "fast", "p99_ms") == math.inf
