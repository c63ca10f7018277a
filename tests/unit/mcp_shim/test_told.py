"""A result as text for a model: short, in one table, with nothing that misleads an eye."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcp_shim.tools.told import _cell, _line, _lines, _text, told

RESULT: dict[str, Any] = {
    "template": "activity_by_period",
    "query_hash": "0123456789abcdef",
    "query_tag": "cdesk_1a2b3c4d",
    "as_of": "2026-01-31T12:00:00.000000Z",
    "headline": "412 questions in 30 days",
    "finding": "Highest at 23.",
    "columns": [{"name": "period_start", "type": "timestamp"}, {"name": "n", "type": "integer"}],
    "rows": [["2026-01-30T00:00:00.000000Z", 7], ["2026-01-31T00:00:00.000000Z", None]],
    "row_count": 2,
    "sampled": False,
    "sampling_note": None,
    "artifact": {"artifact_id": "a1", "open_with": "cdesk artifact a1 --out result.csv"},
    "card": {"url": "http://127.0.0.1:8377/c/a1?t=x", "expires_at": "2026-02-01"},
}


def test_it_has_headline_table_link_and_provenance() -> None:
    assert told(RESULT).splitlines() == [
        "**412 questions in 30 days**",
        "Highest at 23.",
        "",
        "| period_start | n |",
        "| --- | --- |",
        "| 2026-01-30T00:00:00.000000Z | 7 |",
        "| 2026-01-31T00:00:00.000000Z |  |",
        "",
        "2 rows.",
        "",
        "Whole result, for the person: http://127.0.0.1:8377/c/a1?t=x",
        "",
        "Provenance: template activity_by_period, query_hash 0123456789abcdef, "
        "query_tag cdesk_1a2b3c4d, as_of 2026-01-31T12:00:00.000000Z, artifact_id a1",
    ]


def test_it_says_which_page_it_is_and_what_all_rows_hold() -> None:
    summary = {
        "rows": 190,
        "columns": [
            {"name": "period_start", "type": "timestamp", "nulls": 0, "distinct": 190, "min": "a", "max": "b"},
            {
                "name": "n", "type": "integer", "nulls": 3, "distinct_over": 10_000, "min": 1, "max": 9,
                "sum": 412, "mean": 2.2, "frequent": [[2, 60], [1, 50]],
                "trend": {"over": "period_start", "direction": "rising", "fit": 0.9, "change": 0.42},
            },
        ],
        "left_out": 2,
    }  # fmt: skip
    text = told({**RESULT, "row_count": 190, "page": 2, "pages": 19, "summary": summary})
    assert "2 of 190 rows. Page 2 of 19; get_result with page 3 has the next." in text
    assert "Page 19 of 19." in told({**RESULT, "row_count": 190, "page": 19, "pages": 19})
    assert "Page 1 of 19; get_result with page 2" in told({**RESULT, "row_count": 190, "pages": 19})
    assert "Page" not in told({**RESULT, "page": 1, "pages": 1})
    start = text.index("All 190 rows")
    assert text[start:].splitlines()[:4] == [
        "All 190 rows by column:",
        "- period_start: timestamp, 190 distinct, a to b",
        "- n: integer, 3 null, over 10,000 distinct, 1 to 9, sum 412, mean 2.2, "
        "most frequent 2 (60); 1 (50), rising over period_start (+42% from first to last)",
        "(2 more columns)",
    ]


def test_times_are_those_of_the_person_or_of_the_zone_that_was_asked_about() -> None:
    text = told(RESULT, timezone="Europe/Berlin")
    assert "| 2026-01-30T01:00:00+01:00 | 7 |" in text
    assert "Times are those of Europe/Berlin; the structured content has them in UTC." in text
    asked = told({**RESULT, "params": {"timezone": "Asia/Tokyo"}}, timezone="Europe/Berlin")
    assert "| 2026-01-30T09:00:00+09:00 | 7 |" in asked
    assert "Asia/Tokyo" in asked
    summary = {
        "rows": 2,
        "columns": [{"name": "at", "type": "timestamp", "min": "2026-01-30T00:00:00.000000Z", "max": "x"}],
    }  # fmt: skip
    assert "2026-01-30T01:00:00+01:00 to x" in told(
        {**RESULT, "summary": summary}, timezone="Europe/Berlin"
    )
    for plain in (told(RESULT), told({**RESULT, "rows": []}, timezone="Europe/Berlin")):
        assert "Times are" not in plain
    assert "2026-01-30T00:00:00.000000Z" in told(RESULT)


def test_a_sample_a_reuse_and_a_missing_card_are_said() -> None:
    text = told(
        {**RESULT, "row_count": 900, "sampling_note": "sampled 90 of 900 rows", "reused": True, "card": None}
    )  # fmt: skip
    assert (
        "2 of 900 rows. sampled 90 of 900 rows. "
        "The earlier answer to the same question, on unchanged data." in text
    )
    for card in (None, {}, {"url": None}):
        told_lines = told({**RESULT, "card": card}).splitlines()
        assert "Whole result, for the person: cdesk artifact a1 --out result.csv" in told_lines
    assert "Whole result" not in told({**RESULT, "card": None, "artifact": None})


def test_where_every_row_is_shown_no_part_is_spoken_of() -> None:
    summary = {"rows": 2, "columns": [{"name": "n", "type": "integer"}]}
    assert "1 rows." in (single := told({**RESULT, "row_count": 1, "summary": summary}))
    assert "by column" not in single, "a summary of one row says nothing new"
    assert "All 2 rows by column:\n- n: integer\n" in told({**RESULT, "summary": summary})
    unsaid = {"columns": summary["columns"]}
    assert "All 0 rows by column:\n- n: integer\n" in told({**RESULT, "summary": unsaid})
    assert "Page 1 of 2; get_result with page 2 has the next." in told({**RESULT, "pages": 2})
    nothing = told({**RESULT, "rows": [], "row_count": 0, "finding": None})
    assert nothing.startswith("**412 questions in 30 days**\n\n0 rows.\n\nWhole result")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ({"nulls": 0, "distinct": 0}, "0 distinct"),
        ({"nulls": 1_000, "distinct_over": 0}, "1,000 null, over 0 distinct"),
        ({"min": "2026-01-30T00:00:00.000000Z", "max": None}, "2026-01-30T00:00:00.000000Z to "),
        ({"sum": 0}, "sum 0"),
        ({"mean": 0.5}, "mean 0.5"),
        ({"frequent": [["2026-01-30T00:00:00.000000Z", 1_000]]}, "most frequent 2026-01-30T00:00:00.000000Z (1,000)"),
        ({"trend": {"over": "a|b", "direction": "flat", "change": None}}, "flat over a\\|b"),
        ({"trend": {"over": "at", "direction": "flat", "change": 0.0}}, "flat over at (+0% from first to last)"),
        ({"trend": {"over": "at", "direction": "falling"}}, "falling over at"),
    ],
)  # fmt: skip
def test_of_a_column_that_is_told_which_is_known(column: dict[str, Any], said: str) -> None:
    summary = {"rows": 2, "columns": [{"name": "c", "type": "timestamp", **column}]}
    assert f"\n- c: timestamp, {said}\n\n" in told({**RESULT, "summary": summary})


def test_what_is_no_moment_stays_as_it_is_in_a_time_zone() -> None:
    """A row that isn't as wide as its columns, a moment that is missing, text of another type."""
    moment, local = "2026-01-30T00:00:00.000000Z", "2026-01-30T01:00:00+01:00"
    columns = [{"name": "at", "type": "timestamp"}, {"name": "text", "type": "string"}]
    rows = [[None, moment], [moment], [moment, moment, 5]]
    summary = {
        "rows": 3,
        "columns": [
            {"name": "at", "type": "timestamp", "min": None, "max": moment, "frequent": [[moment, 2]]},
            {"name": "text", "type": "string", "min": moment, "max": moment},
        ],
    }  # fmt: skip
    given = {"columns": columns, "rows": rows, "row_count": 3, "summary": summary}
    assert told(given, timezone="Europe/Berlin").splitlines()[2:12] == [
        f"|  | {moment} |",
        f"| {local} |",
        f"| {local} | {moment} |",
        "",
        "3 rows.",
        "",
        "All 3 rows by column:",
        f"- at: timestamp,  to {local}, most frequent {local} (2)",
        f"- text: string, {moment} to {moment}",
        "",
    ]
    without = [{"name": "text", "type": "string"}]
    assert "Times are" not in told(
        {"columns": without, "rows": [[moment]]}, timezone="Europe/Berlin"
    )


def test_cells_and_columns_are_shown_up_to_their_bounds() -> None:
    def table(columns: int, *row: Any) -> list[str]:
        named = [{"name": f"c{n}", "type": "string"} for n in range(columns)]
        return told({"columns": named, "rows": [row]}).splitlines()

    assert table(1, "x" * 200)[2] == f"| {'x' * 200} |"
    assert table(1, "x" * 201)[2] == f"| {'x' * 200}… |"
    assert table(1, "|" * 101)[2] == "| " + "\\|" * 100 + "… |", "measured as it is shown"
    assert table(1, ["é", "a|b\u200b"])[2] == '| ["é", "a\\|b "] |'
    for wide in (20, 21):
        lines = table(wide, *["x"] * wide)
        assert [line.count("|") for line in lines[:3]] == [21] * 3
        more = [line for line in lines if "more columns" in line]
        assert more == ["(1 more columns in the structured content)"] * (wide - 20)


@given(
    st.lists(
        st.text(max_size=300) | st.none() | st.floats() | st.integers(), min_size=1, max_size=3
    )
)
@example(["a|b", "line\nbreak", "\u202e|"])
def test_whatever_a_cell_holds_the_table_keeps_its_form(values: list[Any]) -> None:
    columns = [{"name": f"c{n}", "type": "string"} for n in range(len(values))]
    text = told({**RESULT, "columns": columns, "rows": [values], "row_count": 1})
    row = text.splitlines()[5]
    assert row.replace("\\|", "").count("|") == len(values) + 1
    assert len(row) < 250 * len(values)
    assert "\u202e" not in text


def test_an_answer_of_which_little_is_known_is_told_as_far_as_it_is() -> None:
    assert told({}) == "0 rows.\n\nProvenance: "
    assert told({"rows": [[1]], "template": "x"}) == "1 rows.\n\nProvenance: template x"


@pytest.mark.parametrize(
    "row",
    [
        ["plain", " apart "],
        ["a|b", "c"],
        ["a\nb", "c"],
        ["a\u202eb", "c"],
        ["é", "c"],
        ["x" * 150, "y" * 150],
        ["x" * 201, "y"],
        ["x", None],
        ["x", 12.5, True],
        [],
    ],
)
def test_a_row_is_its_cells_whatever_is_seen_of_them_together(row: list[Any]) -> None:
    rows = [row, ["plain"]]
    lines = [*_lines([[*map(_text, one)] for one in rows])]
    assert lines == [_line([_cell(value) for value in one]) for one in rows]
