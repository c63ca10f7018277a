"""Which chart a result gets, what its words say, and that what a result holds stays data."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdesk_app.render.chart import Chart
from cdesk_app.render.charts import chart_of
from cdesk_app.render.paint import Painter
from cdesk_app.render.table import Table
from cdesk_app.render.vega import THEMES, themed
from tests.stored import stored

DAY = datetime(2026, 1, 5, tzinfo=UTC)
ACTIVITIES = ["cdesk.user_asked", "cdesk.claude_responded", "cdesk.tool_called"]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes columns, or (name, array) pairs, into a Parquet file."""

    def make(columns: dict[str, Any] | list[tuple[str, Any]]) -> Path:
        pairs = columns.items() if isinstance(columns, dict) else columns
        names, values = zip(*pairs, strict=True)
        arrays = [v if isinstance(v, pa.Array) else pa.array(v) for v in values]
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        pq.write_table(pa.Table.from_arrays(arrays, names=list(names)), path)
        return path

    return make


def chart(path: Path, zone: str = "UTC", **params: Any) -> Chart:
    return chart_of(Table(path), params, ZoneInfo(zone))


def days(count: int, step: timedelta = timedelta(days=1)) -> list[datetime]:
    return [DAY + step * n for n in range(count)]


SHAPES: dict[str, dict[str, Any]] = {
    "series": {"period_start": days(30), "activity_count": list(range(10, 40))},
    "events": {"ts": days(60, timedelta(hours=5)), "activity": ACTIVITIES * 20},
    "bars": {"activity": ACTIVITIES, "activity_count": [5, 3, 2]},
    "heatmap": {
        "weekday": [day for day in ("Mon", "Tue", "Wed") for _ in range(2)],
        "tool": ["get_context", "log_event"] * 3,
        "calls": [1, 2, 3, 4, 5, 6],
    },
    "boxes": {"tool": ["a", "b"] * 50, "latency_ms": [float(n % 17) for n in range(100)]},
    "histogram": {"latency_ms": [float(n * n % 101) for n in range(200)]},
    "funnel": {"step": [1, 2], "activity": ACTIVITIES[:2], "reached": [200, 50]},
    "retention": {
        "cohort_start": [day for day in days(3, timedelta(days=7)) for _ in range(3)],
        "customers": [10, 10, 10, 20, 20, 20, 30, 30, 30],
        "period": [0, 1, 2] * 3,
        "returned": [5, 4, 3] * 3,
        "retention": [0.9, 0.5, 0.25] * 3,
    },
    "paths": {
        "start_activity": [ACTIVITIES[0]] * 3,
        "step_1": [ACTIVITIES[1], ACTIVITIES[2], None],
        "step_2": [ACTIVITIES[2], None, None],
        "occurrences": [6, 3, 1],
    },
    "figures": {"questions": [412], "sessions": [38]},
}


@pytest.mark.parametrize("kind", SHAPES)
def test_the_shape_of_a_result_chooses_its_chart(kind: str, write: Write) -> None:
    made = chart(write(SHAPES[kind]))
    assert made.kind == kind
    assert made.spec is not None
    assert made.headline in made.alt
    assert len(made.alt) > len(made.headline)


@pytest.mark.parametrize("kind", SHAPES)
def test_every_chart_is_drawn_in_both_themes_and_for_a_phone(
    kind: str, write: Write, painter: Painter
) -> None:
    made = chart(write(SHAPES[kind]))
    assert made.spec is not None
    light, dark = painter.svg(made.spec, "light"), painter.svg(made.spec, "dark")
    assert light != dark
    assert "<script" not in light
    narrow = painter.svg(made.spec, "light", narrow=True)
    assert width(narrow) < width(light)


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter()


def width(svg: str) -> float:
    found = re.search(r'width="([\d.]+)"', svg)
    assert found is not None
    return float(found.group(1))


@pytest.mark.parametrize(
    ("kind", "headline"),
    [
        ("series", "735 activities in 30 days, 88 % more in the second half than in the first"),
        ("bars", "user asked leads with 5: 50 % of 10 in activities"),
        ("heatmap", "Wed and log_event stand out with 6 in calls"),
        ("funnel", "25 % of 200 came as far as claude responded"),
        ("retention", "50 % came back in period 1, 25 % in period 2"),
        ("paths", "After user asked, 60 % go on to claude responded"),
        ("figures", "questions: 412"),
    ],
)
def test_the_headline_says_the_finding(kind: str, headline: str, write: Write) -> None:
    assert chart(write(SHAPES[kind])).headline == headline


def test_the_question_gives_the_headline_its_words(write: Write) -> None:
    path = write(SHAPES["series"])
    made = chart(path, activity="cdesk.user_asked", days_back=30)
    assert made.headline.startswith("735 questions in 30 days")


@pytest.mark.parametrize(
    ("before", "days_back", "said"),
    [
        (10, 30, "360 questions in 30 days, 20 % more than the 30 before"),
        (15, 30, "360 questions in 30 days, 20 % fewer than the 30 before"),
        (12, 30, "360 questions in 30 days, as many as in the 30 before"),
        (0, 30, "360 questions in 30 days, as many in the second half as in the first"),
        (10, 1, "360 questions in 1 day, 20 % more than the day before"),
    ],
)
def test_counts_are_compared_with_as_long_a_time_before(
    before: int, days_back: int, said: str, write: Write, painter: Painter
) -> None:
    table = {
        "period_start": days(30)[::-1],
        "activity_count": [12] * 30,
        "session_count": [1] * 30,
        "activity_count_before": [before] * 30,
    }
    made = chart(write(table), activity="cdesk.user_asked", days_back=days_back)
    assert made.headline == said
    assert made.spec is not None
    assert ("before" in made.alt) is (before > 0 and "before" in said)
    drawn = painter.svg(made.spec, "light")
    assert ("day before<" in drawn or "days before<" in drawn) is (before > 0)
    if before:
        assert f"{before * 30} in the" in made.finding


def one_value(**more: Any) -> dict[str, Any]:
    return {"period_start": [DAY], "activity_count": [412], "activity_count_before": [349], **more}


def hours(counts: list[int], **more: Any) -> dict[str, Any]:
    moments = days(len(counts), timedelta(hours=1))
    return {"period_start": moments, "activity_count": counts, **more}


def with_series(write: Write, row: dict[str, Any], series: dict[str, Any]) -> Chart:
    asked = {"activity": "cdesk.user_asked", "period": "day"}
    table = Table(write(series))
    return chart_of(Table(write(row)), asked, ZoneInfo("Europe/Berlin"), series=table)


def test_one_value_is_a_big_number_with_its_trend_and_a_small_line(
    write: Write, painter: Painter
) -> None:
    made = with_series(write, one_value(), hours([1, 2, 3, 4, 9, 5]))
    assert made.kind == "figures"
    assert made.headline == "412 questions, 18 % more than the time before"
    assert made.finding == (
        "349 the time before. By hour: highest at 9 (5 Jan 05:00), "
        "200 % more in the second half than in the first."
    )
    assert "A small line shows activity count by hour." in made.alt
    assert made.spec is not None
    numbers, line = made.spec["vconcat"]
    assert [one["big"] for one in numbers["data"]["values"]] == ["412"]
    assert [point["v"] for point in line["data"]["values"]] == [1, 2, 3, 4, 9, 5]
    assert line["data"]["values"][0]["t"] == "2026-01-05T01:00:00", "the person's clock"
    wide, narrow = (painter.svg(made.spec, "light", narrow=one) for one in (False, True))
    assert width(narrow) < width(wide)
    assert painter.svg(made.spec, "dark") != wide


@pytest.mark.parametrize(
    "series",
    [
        hours([412]),
        hours([206, 206]),
        {"period_start": days(9), "session_count": list(range(9))},
        {"model": ["a", "b", "c"], "activity_count": [1, 2, 3]},
        {
            "period_start": pa.array([], pa.timestamp("us")),
            "activity_count": pa.array([], pa.int64()),
        },
        hours([1, 2, 3, 4], name=["a", "b", "a", "b"]) | {"period_start": [DAY, DAY] * 2},
        {
            "period_start": sorted(days(4) * 2),
            "name": ["a", "b"] * 4,
            "activity_count": list(range(8)),
        },
    ],
    ids=["one point", "two", "another measure", "no time", "no row", "one moment", "lines"],
)
def test_one_value_without_a_series_behind_it_has_no_line(
    series: dict[str, Any], write: Write
) -> None:
    made = with_series(write, one_value(), series)
    assert made.headline == "412 questions, 18 % more than the time before"
    assert made.finding == "349 the time before."
    assert made.spec is not None
    assert "vconcat" not in made.spec


@pytest.mark.parametrize(
    ("row", "headline", "finding"),
    [
        ({"tokens": 5}, "tokens: 5", "One value."),
        ({"call_count": 5}, "5 calls", "One value."),
        ({"call_count": 5.5}, "call count: 5.5", "One value."),
        ({"error_rate_count": 5}, "error rate count: 5", "One value."),
        ({"call_count": 6, "call_count_before": 5}, "6 calls, 20 % more than the time before", "5 the time before."),
        ({"call_count": 5, "call_count_before": 5}, "5 calls, as many as the time before", "5 the time before."),
        ({"call_count": 5, "call_count_before": 0}, "5 calls", "0 the time before."),
        ({"call_count": 5, "other_before": 9}, "5 calls", "One value."),
        ({"conversion": 0.25, "share": 1}, "conversion: 25 %", "share 1."),
        ({"a": 1, "is_new": True, "name": "n", "total_b": 2}, "total b: 2", "a 1."),
        ({f"c{n}": n for n in range(8)}, "c0: 0", "c1 1; c2 2; c3 3; c4 4; c5 5."),
    ],
)  # fmt: skip
def test_one_row_is_told_by_its_main_figure_and_the_next_five(
    row: dict[str, Any], headline: str, finding: str
) -> None:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    table = stored({name: kinds[type(value)] for name, value in row.items()}, [[*row.values()]])
    made = chart_of(table, {}, ZoneInfo("UTC"))
    assert (made.kind, made.headline, made.finding) == ("figures", headline, finding)
    assert made.alt == f"{headline}. {finding}"
    assert made.spec is not None
    items = made.spec["data"]["values"]
    assert [one["x"] for one in items] == [str(n) for n in range(len(items))]
    assert len(items) == min(
        sum(type(v) in (int, float) for v in row.values()) - ("before" in str(row)), 4
    )
    assert headline.startswith((items[0]["big"], items[0]["small"]))
    sampled = chart_of(table, {}, ZoneInfo("UTC"), sampled=True)
    assert sampled.headline == f"In a sample of 1 row: {headline}"
    assert sampled.alt == f"In a sample of 1 row: {made.alt}"


def test_a_table_that_is_not_drawn_says_how_large_it_is() -> None:
    def told(columns: int, rows: int = 2, **more: Any) -> Chart:
        kinds = {f"{letter}_id": "integer" for letter in "abcdefg"[:columns]}
        return chart_of(stored(kinds, [[1] * columns] * rows), {}, ZoneInfo("UTC"), **more)

    made = told(5)
    assert (made.headline, made.finding) == (
        "2 rows with 5 columns", "Each has a id, b id, c id, d id and e id.",
    )  # fmt: skip
    assert told(7, 1).headline == "1 row with 7 columns"
    assert told(7).finding == "Each has a id, b id, c id, d id and 3 more."
    sampled = told(1, sampled=True)
    assert (sampled.headline, sampled.alt) == ("In a sample of 2 rows: 2 rows with 1 column", "")
    assert (made.kind, made.spec, told(1, 0).finding) == (
        "none", None, "Try a longer time range or other parameters.",
    )  # fmt: skip


def test_hours_of_a_week_are_a_heatmap_with_their_names(write: Write, painter: Painter) -> None:
    rows = [(day, hour) for day in (1, 3, 7) for hour in (9, 10, 23)]
    made = chart(
        write(
            {
                "weekday": [day for day, _ in rows],
                "hour_of_day": [hour for _, hour in rows],
                "questions": [day * hour for day, hour in rows],
                "active_days": [1] * 9,
            }
        )
    )
    assert made.kind == "heatmap"
    assert made.headline == "Sun and 23:00 stand out with 161 in questions"
    assert made.spec is not None
    values = made.spec["data"]["values"]
    assert list(dict.fromkeys(one["y"] for one in values)) == ["Mon", "Wed", "Sun"]
    assert list(dict.fromkeys(one["x"] for one in values)) == ["09:00", "10:00", "23:00"]
    assert painter.svg(made.spec, "dark")


def test_bars_are_of_what_each_row_is_about(write: Write) -> None:
    tools = {"server": ["x", "x", "x", "y"], "tool": ["a", "b", "c", "d"], "calls": [4, 3, 2, 1]}
    assert chart(write(tools)).headline.startswith("a leads with 4")
    scattered = {
        "title": ["t", "t", "u", "v"],
        "project": ["p", "q", "q", "r"],
        "minutes": [9, 2, 3, 1],
    }
    assert chart(write(scattered)).kind == "bars", "a grid that is empty for the most part"


def test_a_key_or_a_rank_is_nothing_to_draw(write: Write) -> None:
    calls = {"tool": ["a", "b"], "run_id": [7, 8], "rank": [9, 5], "calls": [4, 1]}
    assert chart(write(calls)).headline == "a leads with 4: 80 % of 5 in calls"


def test_a_single_path_has_its_start(write: Write) -> None:
    one = {
        "start_activity": [ACTIVITIES[0]],
        "step_1": [ACTIVITIES[1]],
        "occurrences": [3],
    }
    assert chart(write(one)).headline == "After user asked, 100 % go on to claude responded"


def test_bars_without_a_name_are_counted_as_others_are_and_those_without_a_number_are_not(
    write: Write,
) -> None:
    calls = {"tool": ["a", "b", "c", "d", None, "f"], "calls": [6, 5, 4, 3, 2, None]}
    made = chart(write(calls))
    assert made.finding == "a 6; b 5; c 4; d 3; 1 more."
    assert made.headline == "a leads with 6: 30 % of 20 in calls"
    assert chart(write({"tool": list("abcd"), "calls": [4, 3, 2, 1]})).finding.endswith("d 1.")


def test_what_says_nothing_of_the_rows_is_no_category(write: Write) -> None:
    days_and_links = {
        "ts": days(20),
        "link": ["a", "b", *[None] * 18],
        "basis": ["system", "reported"] * 10,
        "calls": list(range(20)),
    }
    assert chart(write(days_and_links)).headline.startswith("190 calls in 20 days")
    levels = {"metric": ["a", "b", "c"], "reached": [30.0, 0.9, 5.0], "unit": ["ms", "ratio", "s"]}
    assert chart(write(levels)).kind == "none"


def test_a_total_comes_before_its_parts(write: Write) -> None:
    parts = {"model": ["a", "b"], "input_tokens": [1, 9], "total_tokens": [60, 40]}
    assert chart(write(parts)).headline == "a leads with 60: 60 % of 100 in total tokens"
    one = {"input_tokens": [1], "total_tokens": [60], "conversion": [0.25]}
    made = chart(write(one))
    assert made.headline == "total tokens: 60"
    assert made.finding == "input tokens 1; conversion 25 %."


def test_days_and_hours_as_text_are_a_time(write: Write) -> None:
    """Of the person's clock already: no zone moves them."""
    by_day = {"period_start": [f"2026-01-{n:02}" for n in range(20, 0, -1)], "tokens": range(20)}
    made = chart(write(by_day), zone="Asia/Tokyo")
    assert made.kind == "series"
    assert made.headline.startswith("190 tokens in 20 days")
    assert "19 (1 Jan 2026)" in made.finding
    by_hour = {"period_start": [f"2026-01-05 {n:02}:00" for n in range(9)], "tokens": range(9)}
    assert chart(write(by_hour)).headline.startswith("36 tokens in 9 hours")
    mixed = {"session": ["2026-01-05", "b", "c"], "tokens": [3, 2, 1]}
    assert chart(write(mixed)).kind == "bars"


def test_a_day_without_a_row_counts_as_zero(write: Write) -> None:
    gaps = [day for n, day in enumerate(days(10)) if n not in (3, 4)]
    made = chart(write({"day": gaps, "activity_count": [7] * 8}))
    assert made.spec is not None
    values = [point["v"] for point in made.spec["data"]["values"]]
    assert values == [7, 7, 7, 0, 0, 7, 7, 7, 7, 7]


def test_percentiles_are_averaged_not_added(write: Write) -> None:
    made = chart(write({"day": days(10), "latency_p95_ms": [10.0, 30.0] * 5}))
    assert "20 on average" in made.headline


def test_days_are_those_of_the_person(write: Write) -> None:
    """23:30 in UTC is the next day in Berlin."""
    late = [day + timedelta(hours=23, minutes=30) for day in days(3)]
    path = write({"day": late, "activity_count": [1, 2, 3]})
    first = {zone: chart(path, zone).spec for zone in ("UTC", "Europe/Berlin", "America/New_York")}
    starts = {zone: spec["data"]["values"][0]["t"][:10] for zone, spec in first.items() if spec}
    assert starts == {
        "UTC": "2026-01-05",
        "Europe/Berlin": "2026-01-06",
        "America/New_York": "2026-01-05",
    }


def test_a_long_result_is_drawn_by_few_points(write: Write) -> None:
    path = write({"ts": days(40_000, timedelta(minutes=7)), "activity_count": [1] * 40_000})
    made = chart(path)
    assert made.spec is not None
    assert len(made.spec["data"]["values"]) <= 400
    assert made.headline.startswith("40,000 ")


def test_the_bars_of_many_categories_are_the_largest(write: Write) -> None:
    made = chart(write({"name": [f"n{n}" for n in range(90)], "total": list(range(90))}))
    assert made.spec is not None
    assert [point["v"] for point in made.spec["data"]["values"]] == list(range(89, 74, -1))


@pytest.mark.parametrize(
    ("columns", "headline"),
    [
        ({"a": pa.array([], pa.int64())}, "Nothing was found: the result has no rows"),
        ({"text": ["x" * 200, "y" * 200]}, "2 rows with 1 column"),
        (
            {
                "ts": [datetime(9999, 12, 31, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), None],
                "v": [1.0, 2.0, 3.0],
            },
            "3 rows with 2 columns",
        ),
        ({"name": ["a", "b"], "v": [1e308, -1e308]}, "2 rows with 2 columns"),
        ({"name": ["a", "b"], "v": [math.nan, math.inf]}, "2 rows with 2 columns"),
        ({f"c{n}": [n, n] for n in range(200)}, "2 rows with 200 columns"),
    ],
)
def test_what_no_scale_holds_stays_a_table(
    columns: dict[str, Any], headline: str, write: Write
) -> None:
    made = chart(write(columns))
    assert (made.kind, made.spec, made.headline) == ("none", None, headline)


HOSTILE = [
    "<script>alert(1)</script>",
    "</text><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "datum.v > 0 ? 'a' : warn('b')",
    "{signal: 'width'}",
    "\u202egnp.exe",
    "a\x00b\x1b[31m",
    "=HYPERLINK(1)",
    "$accent",
    "e" * 1_000_000,
]


def test_hostile_labels_are_drawn_as_text(write: Write, painter: Painter) -> None:
    names = [text[:55] for text in HOSTILE]
    made = chart(write({"name": names, "total": list(range(len(names), 0, -1))}))
    assert made.kind == "bars"
    assert made.spec is not None
    svg = painter.svg(made.spec, "light")
    assert not re.search(r"<(script|img|foreignObject|iframe)|onerror=(?!alert\(1\)&gt;)", svg)
    assert "\u202e" not in svg
    assert "⟨U+202E⟩" in svg
    assert "datum.v &gt; 0 ?" in svg
    assert "$accent" in svg


def test_a_hostile_column_name_stays_a_title(write: Write, painter: Painter) -> None:
    made = chart(write([("day", days(5)), ("<script>x</script>'\"];--_rate", [1.0] * 5)]))
    assert made.spec is not None
    assert "<script" not in painter.svg(made.spec, "dark")


def test_a_specification_fetches_nothing(write: Write, painter: Painter) -> None:
    made = chart(write(SHAPES["bars"]))
    assert made.spec is not None
    remote = {**made.spec, "data": {"url": "http://127.0.0.1:9/x.json"}}
    with pytest.raises(ValueError, match="allow"):
        painter.svg(remote, "light")


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", THEMES)
def test_marks_and_texts_have_contrast(name: Any) -> None:
    theme = THEMES[name]
    for color in (theme.accent, theme.soft, *theme.series):
        assert contrast(color, theme.surface) >= 3, color
    for color in (theme.ink, theme.muted):
        assert contrast(color, theme.surface) >= 4.5, color
    for color in theme.ramp:
        assert max(contrast(color, theme.ink), contrast(color, theme.surface)) >= 3, color


def test_colors_are_filled_in_but_not_in_data() -> None:
    spec = {"data": {"values": [{"x": "$accent"}]}, "mark": {"color": "$accent"}}
    full = themed(spec, "light")
    assert full["mark"]["color"] == THEMES["light"].accent
    assert full["data"]["values"] == [{"x": "$accent"}]


COLUMNS = st.sampled_from(["ts", "day", "name", "activity", "v", "total", "latency_ms", "x_id"])
VALUES = st.one_of(
    st.lists(st.integers(-(2**62), 2**62) | st.none(), min_size=12, max_size=12),
    st.lists(st.floats() | st.none(), min_size=12, max_size=12),
    st.lists(st.text(max_size=30) | st.none(), min_size=12, max_size=12),
    st.lists(st.datetimes() | st.none(), min_size=12, max_size=12),
    st.lists(st.dates() | st.none(), min_size=12, max_size=12),
    st.lists(st.booleans() | st.none(), min_size=12, max_size=12),
    st.lists(st.lists(st.integers(0, 9)), min_size=12, max_size=12),
)


@given(st.lists(st.tuples(COLUMNS, VALUES), min_size=1, max_size=5), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_any_result_has_a_chart_that_json_carries_or_none(
    columns: list[tuple[str, list[Any]]], count: int
) -> None:
    arrays = [pa.array(values[:count]) for _, values in columns]
    table = pa.Table.from_arrays(arrays, names=[name for name, _ in columns])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        path.write_bytes(sink.getvalue().to_pybytes())
        made = chart_of(Table(path), {}, ZoneInfo("Pacific/Apia"))
    json.dumps(made.spec, allow_nan=False)
    assert made.headline
    assert made.spec is None or made.alt
