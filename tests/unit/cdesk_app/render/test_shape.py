"""Which columns a chart may be drawn of."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cdesk_app.render import vega
from cdesk_app.render.shape import _counts, _drawable, _filled, _is_category, _is_time, main_measure
from cdesk_app.render.table import Column


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
