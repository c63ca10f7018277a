"""Values as JSON carries them, and the words for their types."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import orjson
import pyarrow as pa
import pytest

from cdesk.artifacts.values import PREVIEW_CELL, column_type, cut_cells, json_value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (1 - 2**53, 1 - 2**53),
        (-(2**53), "-9007199254740992"),
        (-(2**70), str(-(2**70))),
        (True, True),
        (1.5, 1.5),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (Decimal("45"), 45),
        (Decimal("4.5E+1"), 45),
        (Decimal("1E+16"), "10000000000000000"),
        (Decimal("NaN"), "NaN"),
        (Decimal("1.50"), 1.5),
        (Decimal("1234567890123.45"), 1234567890123.45),
        (Decimal("12345678901234.56"), "12345678901234.56"),
        (Decimal("12345678901234567890.12"), "12345678901234567890.12"),
        (dt.datetime(2026, 1, 31, 12), "2026-01-31T12:00:00.000000Z"),  # noqa: DTZ001
        (
            dt.datetime(2026, 1, 31, 12, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            "2026-01-31T10:00:00.000000Z",
        ),
        (dt.datetime(999, 1, 1), "0999-01-01T00:00:00.000000Z"),  # noqa: DTZ001
        (dt.date(2026, 1, 31), "2026-01-31"),
        (dt.datetime(2026, 1, 31, 12, 0, 0, 7), "2026-01-31T12:00:00.000007Z"),  # noqa: DTZ001
        (dt.time(1, 2, 3), "01:02:03"),
        (dt.timedelta(days=2, seconds=3, microseconds=500_000), "2 days 3.500000 s"),
        (pa.MonthDayNano([1, 2, 500_000_000]), "1 mons 2 days 0.500000 s"),
        (b"\x00\xff", "AP8="),
        ([1, None, {"a": Decimal("2")}], [1, None, {"a": 2}]),
        ({1: Decimal("2")}, {"1": 2}),
        ((Decimal("1"), 2), [1, 2]),
        ([], []),
        ([("k", Decimal("1"))], {"k": 1}),
        ([("k", 1), (2, 2**53)], [["k", 1], [2, "9007199254740992"]]),
        ([(Decimal("1"), "x")], [[1, "x"]]),
        ([("k", 1), ("k", 1, 2)], [["k", 1], ["k", 1, 2]]),
        ([("k", 1), ["k", 1]], [["k", 1], ["k", 1]]),
        (PurePosixPath("a/b"), "a/b"),
        (None, None),
    ],
)
def test_values_cross_into_json_exactly(value: Any, expected: Any) -> None:
    found = json_value(value)
    assert found == expected
    assert type(found) is type(expected)
    orjson.dumps(found)


def test_columns_have_types_in_plain_words() -> None:
    kinds = {
        pa.int8(): "integer",
        pa.decimal128(38, 0): "integer",
        pa.decimal128(38, -2): "integer",
        pa.decimal128(18, 2): "number",
        pa.float64(): "number",
        pa.bool_(): "boolean",
        pa.timestamp("us"): "timestamp",
        pa.date32(): "date",
        pa.time64("us"): "time",
        pa.month_day_nano_interval(): "interval",
        pa.duration("us"): "interval",
        pa.binary(): "binary",
        pa.large_binary(): "binary",
        pa.binary_view(): "binary",
        pa.binary(16): "binary",
        pa.list_(pa.int8()): "array",
        pa.large_list(pa.int8()): "array",
        pa.list_(pa.int8(), 3): "array",
        pa.list_view(pa.int8()): "array",
        pa.struct([("a", pa.int8())]): "object",
        pa.map_(pa.string(), pa.int8()): "object",
        pa.dictionary(pa.uint8(), pa.string()): "string",
        pa.string(): "string",
        pa.null(): "string",
    }
    assert {kind: column_type(kind) for kind in kinds} == kinds


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * PREVIEW_CELL, None),
        ("x" * (PREVIEW_CELL + 1), "x" * PREVIEW_CELL + "… (2,001 characters)"),
        (["y" * (2 * PREVIEW_CELL - 4)], None),
        (
            ["y" * (2 * PREVIEW_CELL - 3)],
            '["' + "y" * (PREVIEW_CELL - 2) + "… (4,001 bytes)",
        ),
        ({"k": "y" * 4_000}, '{"k":"' + "y" * (PREVIEW_CELL - 6) + "… (4,008 bytes)"),
        (10**15, None),
        (None, None),
    ],
    ids=["a text", "a longer one", "a list", "a longer one too", "an object", "a number", "null"],
)
def test_a_preview_cuts_what_is_longer_than_a_cell_and_says_how_long_it_is(
    value: Any, shown: str | None
) -> None:
    assert cut_cells([[value, 1]]) == [[value if shown is None else shown, 1]]
