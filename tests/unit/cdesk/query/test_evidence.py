"""What a run hands in as proof: the values of its evidence columns alone, as text, as an
answer shows them.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.contract.catalog import BASIS_COLUMN, Basis
from cdesk.contract.records import MAX_VALUE
from cdesk.query import evidence as module
from cdesk.query.evidence import Evidence, shown_text, with_basis


def gathered(columns: dict[str, Basis], **data: pa.Array) -> list[dict[str, Any]]:
    batch = pa.record_batch(list(data.values()), names=list(data))
    found = Evidence(batch.schema, columns)
    found.add(batch)
    return found.record()


def test_only_declared_columns_are_handed_in() -> None:
    record = gathered({"n": "system"}, label=pa.array(["a sentence"]), n=pa.array([7]))
    assert record == [{"column": "n", "basis": "system", "type": "number", "values": ["7"]}]


def test_values_are_distinct_and_exact() -> None:
    big = 2**63 - 1
    record = gathered({"n": "system"}, n=pa.array([big, big, 7, None]))
    assert record[0]["values"] == [str(big), "7"]


def test_each_row_says_whose_word_it_is_where_the_column_leaves_it_to_the_row() -> None:
    record = gathered(
        {"n": "row", "m": "system", "r": "reported"},
        n=pa.array([1, 2]),
        m=pa.array([3, 4]),
        r=pa.array([5, 6]),
        basis=pa.array(["system", "reported"]),
    )
    assert {(item["column"], item["basis"]): item["values"] for item in record} == {
        ("n", "system"): ["1"],
        ("n", "reported"): ["2"],
        ("m", "system"): ["3", "4"],
        ("r", "reported"): ["5", "6"],
    }


@pytest.mark.parametrize("basis", [None, "", "System", "mine"])
def test_a_row_that_does_not_say_system_is_reported(basis: str | None) -> None:
    record = gathered({"n": "row"}, n=pa.array([1]), basis=pa.array([basis], pa.string()))
    assert record[0]["basis"] == "reported"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (42, "42"),
        (42.0, "42.0"),
        (2**64, "18446744073709551616"),
        (Decimal("12.50"), "12.5"),
        (Decimal("0.1234567890123456789"), "0.1234567890123456789"),
        (date(2026, 1, 31), "2026-01-31"),
        (datetime(2026, 1, 31, 12), "2026-01-31T12:00:00.000000Z"),  # noqa: DTZ001
        ("EUR", "EUR"),
        ("", ""),
        (None, None),
        ([1], None),
        ({"a": 1}, None),
    ],
)
def test_a_value_is_its_text_as_an_answer_shows_it(value: Any, text: str | None) -> None:
    assert shown_text(value) == text


def test_a_long_result_says_that_its_evidence_is_incomplete_and_what_was_shown_finds_room() -> None:
    schema = pa.schema([("n", pa.int64())])
    found = Evidence(schema, {"n": "system"})
    for first in range(0, 50_000, 10_000):
        found.add(pa.record_batch([pa.array(range(first, first + 10_000))], schema=schema))
    assert not found.complete
    found.put_first([{"n": 49_999}])
    (column,) = found.record()
    assert column["values"][:2] == ["49999", "0"]
    assert len(orjson.dumps(column["values"])) <= module.VALUE_BYTES + 2


def test_texts_that_no_insight_can_hold_do_not_count_against_completeness() -> None:
    batch = pa.record_batch([pa.array(["x" * 100_000, "y"])], names=["t"])
    found = Evidence(batch.schema, {"t": "system"})
    found.add(batch)
    assert found.complete
    assert found.record()[0]["values"] == ["y"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_exact_in_its_text(value: float) -> None:
    assert float(str(shown_text(value))) == value


def numbers(start: int, stop: int) -> pa.RecordBatch:
    rows = range(start, stop)
    return pa.record_batch([pa.array(rows), pa.array([-n for n in rows])], names=["n", "m"])


@pytest.mark.parametrize(("cells", "complete"), [(12, True), (11, False), (10, False)])
def test_so_many_cells_are_looked_at_whatever_batches_they_come_in(
    monkeypatch: pytest.MonkeyPatch, cells: int, complete: bool
) -> None:
    monkeypatch.setattr(module, "VALUE_CELLS", cells)
    found = Evidence(numbers(0, 1).schema, {"n": "system", "m": "reported"})
    for batch in (numbers(0, 2), numbers(2, 6)):
        found.add(batch)
    assert found.complete is complete
    seen = cells // 2
    assert [(entry["column"], entry["basis"], entry["values"]) for entry in found.record()] == [
        ("n", "system", [str(n) for n in range(seen)]),
        ("m", "reported", [str(-n) for n in range(seen)]),
    ]
    found.add(numbers(6, 7))
    assert len(found.record()[0]["values"]) == seen, "from then on nothing more is looked at"
    assert found.complete is False


@pytest.mark.parametrize("more", [0, 1])
def test_so_many_bytes_of_distinct_values_find_room(
    monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    values = ["aa", "b", "aa", "cc"]
    room = len('"aa",') + len('"b",') + len('"cc",') - more
    monkeypatch.setattr(module, "VALUE_BYTES", room)
    batch = pa.record_batch([pa.array(values)], names=["t"])
    found = Evidence(batch.schema, {"t": "system"})
    found.add(batch)
    assert found.complete is (more == 0)
    assert found.record()[0]["values"] == ["aa", "b", "cc"][: 3 - more]
    found.put_first([{"t": "cc"}])
    assert found.record()[0]["values"] == ["cc", "aa", "b"][: 3 - more]


@pytest.mark.parametrize("more", [0, 1])
def test_the_longest_text_that_an_insight_can_hold_is_handed_in(more: int) -> None:
    text = "x" * (MAX_VALUE + more)
    assert gathered({"t": "system"}, t=pa.array([text])) == (
        [] if more else [{"column": "t", "basis": "system", "type": "text", "values": [text]}]
    )


def test_each_type_says_which_it_is_and_nulls_prove_nothing() -> None:
    record = gathered(
        dict.fromkeys(("n", "x", "b", "t", "d"), "system"),
        n=pa.array([1, None]),
        x=pa.array([0.5, None]),
        b=pa.array([True, None]),
        t=pa.array(["a", None]),
        d=pa.array([date(2026, 1, 31), None]),
        other=pa.array([1, 2]),
    )
    assert [(one["column"], one["type"], one["values"]) for one in record] == [
        ("n", "number", ["1"]),
        ("x", "number", ["0.5"]),
        ("b", "boolean", ["true"]),
        ("t", "text", ["a"]),
        ("d", "text", ["2026-01-31"]),
    ]


def test_a_result_without_evidence_proves_nothing_and_is_complete() -> None:
    batch = pa.record_batch([pa.array([1])], names=["n"])
    for columns in ({}, {"missing": "system"}):
        found = Evidence(batch.schema, columns)  # type: ignore[arg-type]
        found.add(batch)
        found.put_first([{"n": 1}])
        assert (found.record(), found.complete) == ([], True)


def test_a_row_says_whose_word_it_is_for_the_columns_that_leave_it_to_the_row_alone() -> None:
    record = gathered(
        {"n": "row", "m": "system", "k": "reported"},
        n=pa.array([1, 2]),
        m=pa.array([3, 4]),
        k=pa.array([5, 6]),
        **{BASIS_COLUMN: pa.array(["system", "reported"])},
    )
    assert {(one["column"], one["basis"], *one["values"]) for one in record} == {
        ("n", "system", "1"),
        ("n", "reported", "2"),
        ("m", "system", "3", "4"),
        ("k", "reported", "5", "6"),
    }


def test_the_columns_of_a_result_say_what_they_prove() -> None:
    columns = [{"name": "n", "type": "integer"}, {"name": "t", "type": "string"}]
    found = with_basis(columns, {"n": "system", "other": "row"})
    assert found == [{"name": "n", "type": "integer", "basis": "system"}, columns[1]]
    assert found[1] is not columns[1]
