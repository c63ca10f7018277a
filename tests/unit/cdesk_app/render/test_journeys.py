"""What funnel, retention and paths say of their rows, and which marks they ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cdesk_app.render.chart import Chart
from cdesk_app.render.journeys import draw_funnel, draw_paths, draw_retention
from cdesk_app.render.shape import Shape
from tests.stored import stored

Rows = Sequence[Sequence[Any]]


def drawn(draw: Callable[..., Chart | None], names: str, rows: Rows, shape: Shape) -> Chart | None:
    return draw(stored(dict.fromkeys(names.split(), "string"), rows), shape, {}, UTC)


def funnel(*steps: tuple[str, Any]) -> Chart | None:
    return drawn(draw_funnel, "activity reached", steps, Shape("funnel", measure=1, by=(0,)))


def require(chart: Chart | None) -> tuple[Chart, dict[str, Any]]:
    assert chart is not None
    assert chart.spec is not None
    return chart, chart.spec


def test_a_funnel_has_a_bar_a_step_as_wide_as_its_share_of_the_first() -> None:
    made, spec = require(funnel(("cdesk.user_asked", 200), ("b", 100), ("c", 33), ("d", 32)))
    assert spec["data"]["values"] == [
        {"x": "1. user asked", "low": -0.5, "high": 0.5, "text": "200", "inside": True},
        {"x": "2. b", "low": -0.25, "high": 0.25, "text": "100 (50 %)", "inside": True},
        {"x": "3. c", "low": -0.0825, "high": 0.0825, "text": "33 (16 %)", "inside": True},
        {"x": "4. d", "low": -0.08, "high": 0.08, "text": "32 (16 %)", "inside": False},
    ]
    assert made.kind == "funnel"
    assert made.headline == "16 % of 200 came as far as d"
    assert made.finding == "Most are lost before c: 67 % of those one step earlier."
    assert made.alt == (
        "Funnel of 4 steps: 1. user asked 200; 2. b 100 (50 %); 3. c 33 (16 %); 4. d 32 (16 %). "
        f"{made.headline}. {made.finding}"
    )
    assert spec["layer"][0]["encoding"]["x"]["title"] == "reached"


@pytest.mark.parametrize(
    ("counts", "finding"),
    [
        ((1, 1), None),
        ((5,), None),
        ((10, 20), None),
        ((2.0, 2.0), None),
        ((10, 0, 0), "before s1: 100 %"),
        ((4, 1, 0), "before s2: 100 %"),
        ((10, 9, 9), "before s1: 10 %"),
    ],
)
def test_a_funnel_says_where_most_are_lost(counts: Sequence[float], finding: str | None) -> None:
    made, _ = require(funnel(*((f"s{n}", count) for n, count in enumerate(counts))))
    assert made.finding == (
        f"Most are lost {finding} of those one step earlier."
        if finding
        else "No step loses anybody."
    )


@pytest.mark.parametrize("counts", [(0, 0), (-1, 0), (5, None), (None, 5), ("5", 4)])
def test_a_funnel_that_nobody_began_or_that_was_not_counted_is_none(counts: Sequence[Any]) -> None:
    assert funnel(*((f"s{n}", count) for n, count in enumerate(counts))) is None


def test_a_funnel_has_at_most_twenty_steps() -> None:
    _, spec = require(funnel(*((f"s{n}", 100 - n) for n in range(25))))
    assert [one["x"] for one in spec["data"]["values"]][::19] == ["1. s0", "20. s19"]


# -- retention

COHORTS = [
    ("2026-01-05", 10, 0, 1.0),
    ("2026-01-05", 10, None, 0.9),
    ("2026-01-05", 10, 1, None),
    ("2026-01-05", 10, 1, 0.5),
    ("2026-01-05", 10, 2, 0.2),
    ("2026-01-12", 30, 0, 1.0),
    ("2026-01-12", 30, 1, 0.25),
]


def retention(rows: Rows, names: str = "cohort_start customers period retention") -> Chart | None:
    at = {name: place for place, name in enumerate(names.split())}
    by = (at["cohort_start"], at["period"])
    return drawn(draw_retention, names, rows, Shape("retention", measure=at["retention"], by=by))


def shown(spec: dict[str, Any]) -> list[tuple[str, str, float]]:
    return [(one["y"], one["x"], one["v"]) for one in spec["data"]["values"]]


def test_retention_is_a_cell_a_cohort_and_period_and_its_mean_is_by_size() -> None:
    made, spec = require(retention(COHORTS))
    assert shown(spec) == [
        ("2026-01-05", "0", 1.0),
        ("2026-01-05", "1", 0.5),
        ("2026-01-05", "2", 0.2),
        ("2026-01-12", "0", 1.0),
        ("2026-01-12", "1", 0.25),
    ]
    assert made.headline == "31 % came back in period 1, 20 % in period 2"
    assert made.finding == "2 cohorts over 3 periods, weighted by size."
    assert made.alt == (f"Retention heatmap by cohort and period. {made.headline}. {made.finding}")
    encoding = spec["layer"][0]["encoding"]
    assert (encoding["x"]["title"], encoding["y"]["title"], encoding["color"]["title"]) == (
        "periods after the first", None, "came back",
    )  # fmt: skip
    assert encoding["color"]["legend"]["format"] == ".0%"
    assert spec["height"] == 60


def test_without_sizes_each_cohort_counts_alike_and_one_of_nobody_not_at_all() -> None:
    unsized = [(start, period, share) for start, _, period, share in COHORTS]
    made, _ = require(retention(unsized, "cohort_start period retention"))
    assert made.headline == "38 % came back in period 1, 20 % in period 2"
    sizes = (10, None)
    rows = [
        (f"2026-01-{5 + 7 * n:02}", size, period, share)
        for n, size in enumerate(sizes)
        for period, share in ((0, 1.0), (1, 0.5 - n / 4))
    ]
    made, _ = require(retention(rows))
    assert made.headline == "50 % came back in period 1"
    nobody = [(start, 0, period, share) for start, _, period, share in COHORTS]
    made, _ = require(retention(nobody))
    assert made.headline == "0 % came back in period 1, 0 % in period 2"


def test_where_there_is_the_first_period_alone_it_is_that_one() -> None:
    made, _ = require(retention([row for row in COHORTS if row[2] == 0]))
    assert made.headline == "100 % came back in period 0"
    assert made.finding == "2 cohorts over 1 period, weighted by size."


def test_what_lies_ahead_is_left_out_and_nothing_known_is_no_chart() -> None:
    ahead = (datetime.now(UTC) + timedelta(days=40)).strftime("%Y-%m-%d")
    made, spec = require(retention([(ahead, 9, 0, 0.0), *COHORTS]))
    assert made.finding.startswith("2 cohorts")
    assert len(shown(spec)) == 5
    assert retention([(ahead, 9, 0, 0.0)]) is None
    assert retention([("2026-01-05", 9, None, 0.5)]) is None


def test_the_latest_twenty_cohorts_are_shown_and_few_periods_have_their_figures() -> None:
    rows = [(f"2025-{1 + n // 28:02}-{1 + n % 28:02}", 1, 0, n / 30) for n in range(30)]
    made, spec = require(retention(rows))
    assert [y for y, _, _ in shown(spec)] == [row[0] for row in rows[10:]]
    assert made.headline == "48 % came back in period 0", "of all of them"
    assert spec["height"] == 600
    for count in (13, 14):
        periods = [("2020-01-06", 1, n, 0.5) for n in range(count)]
        _, spec = require(retention(periods))
        assert ("layer" in spec) is (count == 13)
        assert [x for _, x, _ in shown(spec)] == [str(n) for n in range(count)]


# -- paths


def paths(*rows: tuple[Any, ...]) -> Chart | None:
    names = "start_activity step_1 step_2 occurrences"
    return drawn(draw_paths, names, rows, Shape("paths", measure=3, steps=(0, 1, 2)))


def test_paths_say_what_follows_and_how_often() -> None:
    made, spec = require(
        paths(
            ("cdesk.user_asked", "x", None, None),
            ("cdesk.user_asked", "x", None, 0),
            ("cdesk.user_asked", "x", None, -5),
            ("cdesk.user_asked", "b", "c", 6),
            ("cdesk.user_asked", "c", None, 2),
            ("cdesk.user_asked", "d", "c", 1),
            ("cdesk.user_asked", None, "lost", 1),
        )
    )
    assert made.kind == "paths"
    assert made.headline == "After user asked, 60 % go on to b"
    assert made.finding == "Next: b 6; c 2; d 1."
    assert made.alt == (
        "Sankey diagram of what follows user asked, 2 steps deep. After user asked, 60 % go on to "
        "b. Next: b 6; c 2; d 1."
    )
    bands, nodes, _ = spec["layer"]
    assert [one["text"] for one in nodes["data"]["values"]] == [
        *("user asked  9", "b  6", "c  2", "d  1", "c  7"),
    ]
    assert {one["id"] for one in bands["data"]["values"]} == {0, 1, 2, 3, 4}
    assert spec["height"] == 90 + 44 * 3
    assert bands["encoding"]["x"]["scale"]["domain"] == [0, 2.45]


def test_paths_name_the_four_that_follow_most_and_stay_on_a_page() -> None:
    made, spec = require(paths(*(("a", f"s{n:02}", None, 20 - n // 2) for n in range(12))))
    assert made.finding == "Next: s01 20; s00 20; s03 19; s02 19."
    assert made.headline == "After a, 9.5 % go on to s01"
    assert spec["height"] == 520
    assert "1 step deep" in made.alt


def test_where_nothing_follows_there_are_no_paths() -> None:
    assert paths(("a", None, None, 5), ("a", "b", None, 0)) is None
