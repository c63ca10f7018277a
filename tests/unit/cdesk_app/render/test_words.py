"""Numbers, moments and names as a page writes them."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cdesk_app.render import words

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def test_an_activity_is_named_and_any_other_text_stays() -> None:
    assert words.label("cdesk.user_asked") == "user asked"
    for other in ("cdesk. is a name", "user_asked", "x.cdesk.y"):
        assert words.label(other) == other
    assert words.label("x" * 41) == "x" * 40 + "… (41 characters)"
    assert words.noun("cdesk.user_asked") == "questions"
    assert words.noun("cdesk.new_thing") == "new thing activities"


@pytest.mark.parametrize(
    ("column", "title"),
    [
        ("latency_p95_ms", "latency p95 (ms)"),
        ("total_USD", "total (USD)"),
        ("ms", "ms"),
        ("_session__id_", "session id"),
        ("___", "(no name)"),
        ("", "(no name)"),
    ],
)
def test_a_column_has_a_title(column: str, title: str) -> None:
    assert words.title(column) == title


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0"), (1_234, "1,234"), (-5, "-5"), (10**15 - 1, "999,999,999,999,999")),
        *((10**15, "1e+15"), (2.0, "2"), (-2.0, "-2"), (1e15, "1e+15"), (1234.56, "1,234.6")),
        *((100.0, "100"), (100.04, "100"), (99.999, "100"), (12.3456, "12.35"), (0.5, "0.5")),
        *((0.0001, "0.0001"), (0.00009, "9e-05"), (-0.00009, "-9e-05"), (1234567.8, "1,234,567.8")),
        *((math.inf, "∞"), (-math.inf, "−∞"), (math.nan, "NaN")),
    ],
)
def test_a_number_has_four_digits_that_say_something(value: float, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.183, "18 %"), (0.1, "10 %"), (0.0999, "10 %"), (0.045, "4.5 %"), (0.02, "2 %"), (-0.5, "-50 %"), (1.5, "150 %")],
)  # fmt: skip
def test_a_share_has_a_decimal_where_it_is_small(share: float, text: str) -> None:
    assert words.percent(share) == text


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (100, 118, "18 % more"),
        (100, 95.5, "4.5 % fewer"),
        (1_000, 1_004, "as many"),
        (1_000, 1_005.1, "0.5 % more"),
        (0, 5, None),
        (-1, 5, None),
        (math.nan, 5, None),
        (5, math.inf, None),
        (5, 0, "100 % fewer"),
        (1, 2, "100 % more"),
        (0.5, 0.4, "20 % fewer"),
        (math.inf, 5, None),
    ],
)
def test_a_change_is_told_where_there_is_one_to_tell(
    before: float, after: float, said: str | None
) -> None:
    assert words.change(before, after) == said


def test_what_is_counted_has_its_plural() -> None:
    assert [words.plural(n, "row") for n in (0, 1, 1_200)] == ["0 rows", "1 row", "1,200 rows"]
    assert words.plural(2, "target is", "targets are") == "2 targets are"


def test_names_are_listed_up_to_three() -> None:
    assert [words.listed(list("abcde"[:n])) for n in range(6)] == [
        *("", "a", "a and b", "a, b and c", "a, b and 2 more", "a, b and 3 more"),
    ]
    assert words.listed(list("abc"), most=2) == "a and 2 more"


def test_a_question_about_a_zone_is_told_in_it() -> None:
    assert words.zone_asked({"timezone": "Asia/Tokyo"}, BERLIN) == ZoneInfo("Asia/Tokyo")
    for given in ({}, {"timezone": ""}, {"timezone": 7}, {"timezone": "Nowhere/At_All"}):
        assert words.zone_asked(given, BERLIN) is BERLIN


def test_moments_are_of_the_persons_clock() -> None:
    assert words.moment(NOON, BERLIN) == "2026-01-31 13:00"
    assert words.moment(NOON.replace(tzinfo=None), BERLIN) == "2026-01-31 13:00"
    assert words.moment("2026-01-31T12:00:00Z", BERLIN) == "2026-01-31 13:00"
    east = NOON.replace(tzinfo=timezone(timedelta(hours=5)))
    assert words.moment(east, BERLIN) == "2026-01-31 08:00"
    assert words.moment("soon", BERLIN) == "soon"
    assert words.moment(date(2026, 1, 31), BERLIN) == "2026-01-31"
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    assert words.in_zone(last, timezone(timedelta(hours=5))) == last
    assert words.moment(datetime(1, 1, 1, tzinfo=UTC), UTC) == "0001-01-01 00:00"
    assert words.lately("2026-01-31T12:00:00Z", BERLIN, NOON) == "13:00"
    assert words.lately("2026-01-30T22:59:00Z", BERLIN, NOON) == "2026-01-30"
    assert words.lately("2026-01-30T23:00:00Z", BERLIN, NOON) == "00:00", "today where they are"


def test_text_keeps_a_page_whole() -> None:
    assert words.shown_text("plain") == "plain"
    assert words.shown_text("a\nb\tc\x00\x1b\x7f") == "a↵b⇥c␀␛␡"
    assert words.shown_text("\u202ex\u200d\ufeff\ud800\ue000") == (
        "⟨U+202E⟩x\u200d⟨U+FEFF⟩⟨U+D800⟩⟨U+E000⟩"
    )
    assert words.shown_text("a b\x1f\udfff\u00a0ö") == "a b␟⟨U+DFFF⟩\u00a0ö"
    assert words.shown_text("ö" * 3, limit=3) == "ööö"
    assert words.shown_text("ö" * 1_234, limit=2) == "öö… (1,234 characters)"


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "integer", None),
        (True, "boolean", "yes"),
        (False, "boolean", "no"),
        (5_000, "integer", "5,000"),
        (10**15 - 1, "integer", "999,999,999,999,999"),
        (10**15, "integer", "1000000000000000"),
        (-1_769_860_800_123_456, "integer", "-1769860800123456"),
        (2**60, "number", "1.15e+18"),
        ("2026-01-31T12:00:00Z", "timestamp", "2026-01-31 13:00"),
        ("2026-01-31T12:00:00Z", "string", "2026-01-31T12:00:00Z"),
        ({"a": [1, "ö"]}, "struct", '{"a":[1,"ö"]}'),
    ],
)
def test_a_cell_is_shown_by_its_columns_type(value: Any, kind: str, text: str | None) -> None:
    assert words.cell(value, kind, BERLIN) == text
