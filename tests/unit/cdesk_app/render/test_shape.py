"""Which columns a chart may be drawn of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from cdesk_app.render import vega
from cdesk_app.render.shape import (
    Shape,
    _counts,
    _drawable,
    _filled,
    _is_category,
    _is_time,
    main_measure,
    shape_of,
)
from cdesk_app.render.table import Column
from tests.stored import stored


def column(name: str = "c", type: str = "string") -> Column:
    return Column(0, name, type)


def rows(*values: Any) -> list[list[Any]]:
    return [[value] for value in values]


def test_a_column_is_filled_where_more_than_half_of_it_is() -> None:
    assert _filled(rows(*[None] * 4, *"abcdef"), column())
    assert not _filled(rows(*[None] * 5, *"abcde"), column())


def test_numbers_that_no_scale_holds_are_not_drawn() -> None:
    assert _drawable(rows(None, 1, -1e290, True), column())
    for values in ((), (None, True), ("1",), (1, math.nan), (1, math.inf), (1, 1.1e290)):
        assert not _drawable(rows(*values), column())


@pytest.mark.parametrize(
    ("values", "name", "type", "is_one"),
    [
        (("a", "b", "a"), "tool", "string", True),
        ((True, False), "is_new", "boolean", True),
        (("a", "b"), "session_id", "string", False),
        ((1, 2), "n", "integer", False),
        (("a", "a"), "tool", "string", False),
        (("a",), "tool", "string", True),
        (("a", "b", None, None), "tool", "string", True),
        (("a", "b", None, None, None), "tool", "string", False),
        ((None,), "tool", "string", False),
        (("x" * 60, "b"), "tool", "string", True),
        (("x" * 61, "b"), "tool", "string", False),
    ],
)
def test_a_category_has_few_short_values_that_differ(
    values: tuple[Any, ...], name: str, type: str, is_one: bool
) -> None:
    assert _is_category(column(name, type), rows(*values)) is is_one


def test_days_and_hours_as_text_are_a_time_throughout() -> None:
    assert _is_time(rows("2026-01-05", None, "2026-01-05 09:00"), column())
    for values in ((), (None,), ("2026-01-05", "b"), ("2026-01-05T09:00",), ("2026-01-05 9:00",)):
        assert not _is_time(rows(*values), column())
    assert _is_time([], column(type="date"))
    assert not _is_time(rows(1), column(type="integer"))


def test_a_total_is_the_measure_that_is_shown() -> None:
    assert main_measure(["a", "total_tokens", "total_cost"]) == 1
    assert main_measure(["a", "b_total_"]) == main_measure([]) == 0
    assert [_counts(name) for name in ("call_count", "Total", "latency_ms")] == [True, True, False]


def test_a_chart_grows_with_what_it_shows() -> None:
    box = {"x": "a", "low": 0, "q1": 1, "mid": 2, "q3": 3, "high": 4}
    assert [vega.boxes([box] * n, title="t")["height"] for n in (1, 2, 3)] == [76, 76, 114]


def days(count: int) -> list[str]:
    return [f"2026-{1 + n // 28:02}-{1 + n % 28:02}T00:00:00Z" for n in range(count)]


def shape(columns: dict[str, tuple[str, Sequence[Any]]]) -> Shape:
    """Of a result whose columns have these types and values."""
    kinds = {name: kind for name, (kind, _) in columns.items()}
    values = [found for _, found in columns.values()]
    return shape_of(stored(kinds, list(zip(*values, strict=True))))


def integers(*values: int | None) -> tuple[str, Sequence[Any]]:
    return "integer", values


def texts(*values: str | None) -> tuple[str, Sequence[Any]]:
    return "string", values


ONE_TWO = integers(1, 2)
AB = texts("a", "b")
FUNNEL = {"step": ONE_TWO, "reached": integers(9, 4)}
RETENTION = {"cohort_start": AB, "period": ONE_TWO, "retention": ("number", (1.0, 0.5))}
HOURS = {"weekday": ONE_TWO, "hour_of_day": integers(3, 4)}
PATHS = {"start_activity": AB, "step_1": AB, "occurrences": integers(9, 4)}


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (FUNNEL, Shape("funnel", measure=1, by=(0,))),
        ({"label": AB, **FUNNEL}, Shape("funnel", measure=2, by=(0,))),
        ({"label": AB, **FUNNEL, "name": AB}, Shape("funnel", measure=2, by=(3,))),
        ({"name": AB, **FUNNEL, "activity": AB}, Shape("funnel", measure=2, by=(3,))),
        ({**FUNNEL, "step": AB}, Shape("bars", measure=1, by=(0,))),
        (RETENTION, Shape("retention", measure=2, by=(0, 1), additive=False)),
        ({**RETENTION, "retention": AB}, Shape("bars", measure=1, by=(0,))),
        ({"period": AB, "retention": ONE_TWO}, Shape("bars", measure=1, by=(0,), additive=False)),
        ({"cohort_start": AB, "retention": ONE_TWO}, Shape("bars", measure=1, by=(0,), additive=False)),
        ({**HOURS, "name": AB, "calls": ONE_TWO, "more": ONE_TWO}, Shape("heatmap", measure=3, by=(0, 1))),
        ({**HOURS, "name": AB}, Shape("bars", measure=0, by=(2,))),
        ({**HOURS, "hour_of_day": AB, "calls": ONE_TWO}, Shape("bars", measure=0, by=(1,))),
        ({"hour_of_day": ONE_TWO, "calls": ONE_TWO}, Shape("none")),
        (PATHS, Shape("paths", measure=2, steps=(0, 1))),
        (
            {**PATHS, **{f"step_{n}": AB for n in range(2, 9)}},
            Shape("paths", measure=2, steps=(0, 1, 3, 4, 5, 6, 7)),
        ),
        ({**PATHS, "occurrences": AB}, Shape("none")),
        ({"step_1": AB, "occurrences": ONE_TWO}, Shape("bars", measure=1, by=(0,))),
        ({"start_activity": AB, "occurrences": ONE_TWO}, Shape("bars", measure=1, by=(0,))),
    ],
)  # fmt: skip
def test_columns_that_say_what_they_are_are_drawn_as_that(
    columns: dict[str, tuple[str, Sequence[Any]]], found: Shape
) -> None:
    assert shape(columns) == found


def test_without_rows_or_with_too_many_columns_nothing_is_drawn() -> None:
    for columns in (FUNNEL, RETENTION, PATHS):
        empty = {name: (kind, ()) for name, (kind, _) in columns.items()}
        assert shape(empty) == Shape("none")
    for count, kind in ((59, "bars"), (60, "none")):
        many = {"name": AB, **{f"c{n}": ONE_TWO for n in range(count)}}
        assert shape(many).kind == kind


def test_of_two_columns_of_one_name_the_first_counts() -> None:
    table = stored({"step": "integer", "reached": "integer", "x": "integer"}, [(1, 9, 7)])
    table.columns[2] = Column(2, "reached", "integer")
    assert shape_of(table) == Shape("funnel", measure=1, by=(0,))


def test_one_row_is_figures_where_it_has_any() -> None:
    assert shape({"name": texts("a"), "calls": integers(3)}) == Shape("figures")
    assert shape({"name": texts("a"), "at": texts("b")}) == Shape("none")
    assert shape({"name": texts("a"), "run_id": integers(3)}) == Shape("none")


TIME = ("timestamp", days(3))
THREE = integers(1, 2, 3)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"at": TIME, "calls": THREE}, Shape("series", time=0, measure=1)),
        ({"at": TIME, "latency_ms": THREE}, Shape("series", time=0, measure=1, additive=False)),
        ({"at": TIME, "calls": THREE, "calls_before": THREE}, Shape("series", time=0, measure=1, before=2)),
        ({"at": TIME, "calls_before": THREE, "x_before": THREE, "calls": THREE}, Shape("series", time=0, measure=3, before=1)),
        ({"at": TIME, "calls": THREE, "calls_before": texts("a", "b", "c")}, Shape("series", time=0, measure=1)),
        ({"at": TIME, "rate": THREE, "rate_before": THREE}, Shape("series", time=0, measure=1, additive=False)),
        ({"at": TIME, "a": THREE, "total_b": THREE}, Shape("series", time=0, measure=2)),
        # A moment a row is one series, whatever else it says.
        ({"at": TIME, "name": texts("a", "b", "b"), "calls": THREE}, Shape("series", time=0, measure=2)),
        ({"at": TIME, "name": texts("a", "b", "b")}, Shape("events", time=0, by=(1,))),
        ({"at": TIME}, Shape("events", time=0)),
        ({"at": TIME, "title": texts("x" * 61, "b", "c")}, Shape("events", time=0)),
        # A time behind what it belongs to is one thing more about it.
        ({"name": texts("a", "b", "c"), "at": TIME, "calls": THREE}, Shape("bars", measure=2, by=(0,))),
        ({"calls": THREE, "at": TIME}, Shape("none")),
        ({"at": TIME, "until": TIME, "calls": THREE}, Shape("series", time=0, measure=2)),
        ({"at": ("timestamp", days(2) + days(1)), "name": texts("a", "b", "c"), "calls": THREE}, Shape("bars", measure=2, by=(1,))),
        ({"at": ("timestamp", days(2) + days(1)), "name": texts("a", "b", "c")}, Shape("none")),
        ({"at": ("timestamp", [*days(3), None, None, None]), "calls": integers(*range(6))}, Shape("none")),
        ({"day": texts(*(day[:10] for day in days(3))), "calls": THREE}, Shape("series", time=0, measure=1)),
        ({"day": texts(*(day[:10] for day in days(3)))}, Shape("events", time=0)),
    ],
)  # fmt: skip
def test_moments_in_the_first_place_are_a_series(
    columns: dict[str, tuple[str, Sequence[Any]]], found: Shape
) -> None:
    assert shape(columns) == found


def test_lines_are_of_two_to_eight_names_that_share_their_moments() -> None:
    def by(names: Sequence[str], *more: Sequence[str]) -> tuple[int, ...]:
        moments = [*days(3), *days(3)][: len(names)]
        columns = {"at": ("timestamp", moments), "name": texts(*names)}
        columns |= {f"more{n}": texts(*other) for n, other in enumerate(more)}
        return shape({**columns, "calls": integers(*range(len(names)))}).by

    assert by("aabbab") == (1,)
    assert by("aaaaab") == (1,)
    assert by("aaaaaa") == by("aab") == ()
    assert by("aaaaaa", "xyxyxy") == (2,)
    two = {"at": ("timestamp", days(3) * 2), "name": texts(*"aabbab")}
    compared = shape({**two, "calls": integers(*range(6)), "calls_before": integers(*range(6))})
    assert compared == Shape("series", time=0, measure=2, by=(1,)), "one line alone is compared"
    nine = {"at": ("timestamp", days(3) * 3), "calls": integers(*range(9))}
    for count, places in ((8, (2,)), (9, ())):
        names = texts(*(str(n % count) for n in range(9)))
        assert shape({**nine, "name": names}).by == places


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"name": AB, "calls": ONE_TWO}, Shape("bars", measure=1, by=(0,))),
        ({"name": AB, "latency_ms": ONE_TWO}, Shape("bars", measure=1, by=(0,), additive=False)),
        ({"name": AB, "rank": ONE_TWO, "calls_before": ONE_TWO, "calls": ONE_TWO}, Shape("bars", measure=3, by=(0,))),
        ({"name": AB, "v": ("number", (1.0, 1e291)), "calls": ONE_TWO}, Shape("bars", measure=2, by=(0,))),
        ({"name": AB, "v": texts("1", "2")}, Shape("none")),
        # Where no row is named by itself, what comes first.
        ({"a": texts("x", "x", "y"), "b": texts("p", "p", "q"), "calls": THREE}, Shape("bars", measure=2, by=(0,))),
        ({"a": texts("x", "x", "y"), "b": texts("p", "q", "r"), "calls": THREE}, Shape("bars", measure=2, by=(1,))),
        ({"name": AB, "unit": texts("ms", "s"), "v": ONE_TWO}, Shape("none")),
        ({"name": AB, "unit": texts("ms", "ms"), "v": ONE_TWO}, Shape("bars", measure=2, by=(0,))),
    ],
)  # fmt: skip
def test_names_are_bars(columns: dict[str, tuple[str, Sequence[Any]]], found: Shape) -> None:
    assert shape(columns) == found


@pytest.mark.parametrize(
    ("pairs", "kind"),
    [
        (("ax", "ay", "bx", "by"), "heatmap"),
        (("ax", "ay", "bx"), "heatmap"),
        (("ax", "ay", "bx", "bx"), "bars"),
        (("ax", "ay", "bx", "bz", "cz"), "heatmap"),
        (("ax", "ay", "az", "bx", "cx", "dx"), "heatmap"),
        (("ax", "ay", "az", "bx", "cx"), "heatmap"),
        (("ax", "bx", "cy", "dz"), "bars"),
        (("ax", "bx", "cx", "dy", "ez", "ew"), "bars"),
    ],
)
def test_two_names_are_a_heatmap_where_pairs_are_of_one_row_and_half_the_grid_is_filled(
    pairs: Sequence[str], kind: str
) -> None:
    columns = {
        "a": texts(*(pair[0] for pair in pairs)),
        "b": texts(*(pair[1] for pair in pairs)),
        "latency_ms": integers(*range(len(pairs))),
    }
    made = shape(columns)
    assert made.kind == kind
    if kind == "heatmap":
        assert made == Shape("heatmap", measure=2, by=(0, 1), additive=False)


def test_many_values_of_few_names_are_boxes_unless_they_are_counts() -> None:
    def of(names: int, rows: int, measure: str = "latency_ms") -> Shape:
        name = texts(*(f"n{n % names}" for n in range(rows)))
        return shape({"name": name, measure: integers(*(n % 3 for n in range(rows)))})

    boxes = Shape("boxes", measure=1, by=(0,), additive=False)
    assert of(2, 10) == boxes
    assert of(2, 9).kind == "bars"
    assert of(12, 60) == boxes
    assert of(13, 65).kind == "bars"
    assert of(2, 10, "spread") == Shape("boxes", measure=1, by=(0,))
    assert of(2, 10, "call_count") == Shape("bars", measure=1, by=(0,))
    three = {f"c{n}": texts(*(f"{n}{row % (6 + n)}" for row in range(20))) for n in range(4)}
    few = texts(*(str(row % 2) for row in range(20)))
    measure = {"spread": integers(*(row % 7 for row in range(20)))}
    kinds = []
    for place in (2, 3):
        columns = [*three.items()]
        columns.insert(place, ("few", few))
        made = shape({**dict(columns), **measure})
        kinds.append((made.kind, made.by))
    assert kinds == [("boxes", (2,)), ("bars", (0,))], "the first three are looked at"


def test_numbers_alone_are_a_histogram_where_there_are_enough_of_them() -> None:
    def of(*values: int, name: str = "calls") -> Shape:
        return shape({name: integers(*values)})

    assert of(*range(20)) == Shape("histogram", measure=0)
    assert of(*range(20), name="latency_ms") == Shape("histogram", measure=0, additive=False)
    assert of(*range(19)) == Shape("none")
    assert of(*(n % 6 for n in range(20))) == Shape("histogram", measure=0)
    assert of(*(n % 5 for n in range(20))) == Shape("none")


def test_a_category_has_at_most_forty_names_or_one_for_each_row() -> None:
    for count, repeated, is_one in ((40, 1, True), (41, 1, False), (41, 0, True)):
        names = [f"n{n}" for n in range(count)]
        found = rows(*names, *names[:repeated])
        assert _is_category(column("tool"), found) is is_one
    assert _is_category(column("tool"), rows("a", "a", None, None)) is False
    long = ["a"] * 200 + ["x" * 61]
    assert _is_category(column("tool"), rows(*long)), "the first two hundred are looked at"


@pytest.mark.parametrize("name", ["id", "Run_ID", "query_hash", "nth", "_any", "basis"])
def test_a_key_is_nothing_to_name_or_to_measure(name: str) -> None:
    assert shape({name: AB, "calls": ONE_TWO}) == Shape("none")
    assert shape({name: ONE_TWO, "name": AB}) == Shape("none")
    assert shape({f"{name}s": AB, "calls": ONE_TWO}).kind == ("none" if name[0] == "_" else "bars")
