"""Hostile text stays text: for a terminal, in JSON, and in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.artifacts.formats import export
from cdesk.core.plain import plain, plain_json
from cdesk_app.cli.context import told
from cdesk_app.cli.output import PlainOutput, pairs, table, to_json
from mcp_shim.context import empty_context

HOSTILE = "a\x1b[2J\x07\x9b31m\u202eb\u2066c\u200bd\u2028e\U000e0041f\x7f"
DIRECTION = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_safe(text: str) -> bool:
    return not any(
        (unicodedata.category(char) == "Cc" and char not in "\n\t") or char in DIRECTION
        for char in text
    )


@given(text=st.text())
def test_no_control_or_direction_comes_through(text: str) -> None:
    assert is_safe(plain(text))
    assert plain(plain(text)) == plain(text)


@given(text=st.text(alphabet=st.characters(categories=("L", "N", "P", "S", "Zs", "M"))))
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


@given(
    value=st.recursive(
        st.text(alphabet=st.characters(exclude_categories=("Cs",))),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\x9b\u202e"), inner),
        max_leaves=6,
    )
)
def test_json_says_the_same_without_them(value: Any) -> None:
    encoded = plain_json(orjson.dumps(value))
    assert is_safe(encoded.decode())
    assert json.loads(encoded) == value


def test_a_delete_character_alone_is_escaped_and_white_space_between_values_stays() -> None:
    assert plain_json(b'{"a":\n\t"\x7f"}') == b'{"a":\n\t"\\u007f"}'
    harmless = b'{"a": "b"}'
    assert plain_json(harmless) is harmless


def test_tables_pairs_json_and_contexts_are_plain() -> None:
    out = io.StringIO()
    printer = PlainOutput(out)
    print(table(("a",), [(HOSTILE,)]), file=printer)
    print(pairs((("a", HOSTILE),)), file=printer)
    print(to_json({HOSTILE: HOSTILE}), file=printer)
    insight = {"subject": HOSTILE, "metric": "m", "value": HOSTILE, "provenance_query_hash": None}
    context = empty_context() | {"recent_questions": [{"ts": "-", "question": HOSTILE}]}
    answer = {"customer": HOSTILE, "as_of": None, "version": None, "stale": False, "omitted": []}
    print(told(answer | {"context": context, "pending": [insight]}), file=printer)
    assert "\\x1b[2J" in out.getvalue()
    assert is_safe(out.getvalue())


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "x.parquet"
    texts = [
        "=1+1",
        "+1",
        "-2",
        "@SUM(A1)",
        "\t=1",
        " =1",
        "＝1",
        "words",
        "-2.5e3",
        "+49 170",
        "-x",
    ]
    pq.write_table(pa.table({"=said": texts, "n": list(range(-5, 6))}), path)
    return path


def exported(path: Path, format: Any, **options: Any) -> str:
    out = io.BytesIO()
    columns = [{"name": "=said", "type": "string"}, {"name": "n", "type": "integer"}]
    export(path, out, format, result={"columns": columns, "template": "x"}, **options)
    return out.getvalue().decode()


def test_a_cell_that_begins_a_formula_is_none(stored: Path) -> None:
    rows = list(csv.reader(io.StringIO(exported(stored, "csv"))))
    assert [row[0] for row in rows] == [
        *("'=said", "'=1+1", "+1", "-2", "'@SUM(A1)", "'\t'=1", "' =1", "'＝1", "words", "-2.5e3"),
        *("'+49 170", "'-x"),
    ]
    assert [row[1] for row in rows[1:]] == [str(number) for number in range(-5, 6)]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("\u200b=1+1", "'\u200b=1+1"),
        ("\ufeff@A1", "'\ufeff@A1"),
        ("\u2003\x0b-1+1", "'\u2003\x0b-1+1"),
        ("x;=1+1", "x;'=1+1"),
        ('x; "=1+1"', 'x; "\'=1+1"'),
        ("x\n=1+1", "x\n'=1+1"),
        ("x\ty\t@A1", "x\ty\t'@A1"),
        ("x;-1+1|' '!A0", "x;'-1+1|' '!A0"),
        ("two things:\n- one\n- two; a=b = c", "two things:\n- one\n- two; a=b = c"),
        ("rose;-5\n-7", "rose;-5\n-7"),
        ("\n" * 60_000, "'" + "\n" * 60_000),
    ],
)
def test_no_cell_begins_a_formula_whatever_separates_cells(
    text: str, cell: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"=said": [text], "n": [1]}), path)
    assert list(csv.reader(io.StringIO(exported(path, "csv"), newline="")))[1] == [cell, "1"]
    raw = exported(path, "csv", raw=True)
    assert list(csv.reader(io.StringIO(raw, newline="")))[1] == [text, "1"]


def test_with_raw_cells_are_as_they_were_written(stored: Path) -> None:
    rows = list(csv.reader(io.StringIO(exported(stored, "csv", raw=True))))
    assert [row[0] for row in rows][:3] == ["=said", "=1+1", "+1"]


def test_exported_json_is_plain_too(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"=said": [HOSTILE], "n": [1]}), path)
    text = exported(path, "json")
    assert is_safe(text)
    assert json.loads(text)["rows"] == [[HOSTILE, 1]]
