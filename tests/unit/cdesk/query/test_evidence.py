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

from cdesk.contract.catalog import Basis
from cdesk.query import evidence as module
from cdesk.query.evidence import Evidence, shown_text


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
