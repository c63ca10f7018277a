"""Where cells, bars and bands of a chart stand, and under which names."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from cdesk_app.render.categories import _in_order, _named, _unique, cells_of
from cdesk_app.render.journeys import _cohort, _has_begun, _layout


def test_labels_that_are_equal_stay_bars_of_their_own() -> None:
    points = [{"x": name, "v": n} for n, name in enumerate("abaa")]
    assert [point["x"] for point in _unique(points)] == ["a", "b", "a (2)", "a (3)"]
    assert [point["v"] for point in _unique(points)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("weekday", "1", "Mon"),
        ("weekday", "7", "Sun"),
        ("weekday", "8", "8"),
        ("weekday", "12", "12"),
        ("hour_of_day", "9", "09:00"),
        ("hour_of_day", "23", "23:00"),
        ("hour_of_day", "24", "24"),
        ("hour_of_day", "none", "none"),
        ("hour", "9", "9"),
        ("tool", "cdesk.user_asked", "user asked"),
    ],
)
def test_days_and_hours_have_their_names(column: str, value: str, name: str) -> None:
    assert _named(column, value) == name


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["Sun", "Wed", "Mon"], ["Mon", "Wed", "Sun"]),
        (["tuesday", "MONDAY"], ["MONDAY", "tuesday"]),
        (["Mon", "Month"], ["Mon", "Month"]),
        (["Tue", "a", "Mon"], ["Tue", "a", "Mon"]),
        (["10:00", "09:00"], ["09:00", "10:00"]),
        (["10", "9", "100"], ["9", "10", "100"]),
        (["b", "a"], ["b", "a"]),
    ],
)
def test_what_has_an_order_of_its_own_is_in_it(names: list[str], ordered: list[str]) -> None:
    assert _in_order(names) == ordered


def test_cells_stand_in_the_order_of_their_axes_and_the_upper_part_is_strong() -> None:
    cells = [("b", "x", 0.0), ("a", "x", 55.0), ("a", "y", 55.1), ("b", "y", 100.0)]
    found = cells_of(cells, ["a", "b", "c"], ["y", "x"])
    assert [(one["y"], one["x"], one["down"], one["across"]) for one in found] == [
        ("a", "y", 0, 0), ("a", "x", 0, 1), ("b", "y", 1, 0), ("b", "x", 1, 1),
    ]  # fmt: skip
    assert [one["strong"] for one in found] == [True, False, True, False]
    assert cells_of([], ["a"], ["x"]) == []


def test_a_cohorts_period_that_lies_ahead_is_no_retention_of_zero() -> None:
    weeks = [["2026-01-05"], ["2026-01-12"], ["2026-01-26"], ["2026-01-12"]]
    now = datetime(2026, 1, 26, tzinfo=UTC)

    def begun(start: object, period: int, rows: list[list[str]] = weeks) -> bool:
        return _has_begun(start, period, rows, 0, now)

    assert [begun("2026-01-12", period) for period in (0, 1, 2, 3)] == [True, True, True, False]
    assert begun("2026-01-26", 0)
    assert not begun("2026-01-26T00:00:01Z", 0, [["2026-01-26T00:00:01Z"]])
    assert [begun("2026-01-25", period, [["2026-01-25"]]) for period in (1, 2)] == [True, False]
    assert begun("first", 99, [["first"]])
    assert begun("2026-01-05", 10**9), "beyond the calendar"


def test_a_cohort_is_named_by_its_day_where_the_person_is() -> None:
    assert _cohort("2026-01-31T23:30:00Z", ZoneInfo("Europe/Berlin")) == "2026-02-01"
    assert _cohort("2026-01-31", UTC) == "2026-01-31"
    assert _cohort("a name that is long", UTC) == "a name tha"


def test_bands_fill_their_nodes_without_crossing_more_than_they_must() -> None:
    flows: Counter[tuple[int, str, str]] = Counter(
        {(1, "b", "d"): 2, (0, "a", "c"): 1, (0, "a", "b"): 3}
    )
    links, nodes = _layout(flows, 2)
    unit, gap = (1 - 0.075) / 4, 0.075
    shown = [(node["s"], node["x"], node["y"], node["y2"]) for node in nodes]
    assert [name for name, *_ in shown] == ["a", "b", "c", "d"]
    assert [place for _, *place in shown] == [
        pytest.approx(place)
        for place in (
            [0, 0, 4 * unit],
            [1, 0, 3 * unit],
            [1, 3 * unit + gap, 4 * unit + gap],
            [2, 0, 2 * unit],
        )
    ]
    assert [node["text"] for node in nodes] == ["a  4", "b  3", "c  1", "d  2"]
    assert [node["ty"] for node in nodes[:2]] == pytest.approx([2 * unit, 1.5 * unit])
    assert [link["id"] for link in links] == [0] * 17 + [1] * 17 + [2] * 17
    first, last = links[17], links[33]
    assert (first["x"], first["y"], first["y2"]) == pytest.approx((0.028, 3 * unit, 4 * unit))
    assert (last["x"], last["y"], last["y2"]) == pytest.approx(
        (1.0, 3 * unit + gap, 4 * unit + gap)
    )
    assert links[25]["y"] == pytest.approx((first["y"] + last["y"]) / 2), "half way"
    assert {link["s"] for link in links[34:]} == {"b"}
