"""Values as JSON carries them, and the words for their types."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest

from cdesk.artifacts.values import column_type, json_value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (-(2**70), str(-(2**70))),
        (True, True),
        (1.5, 1.5),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (Decimal("45"), 45),
        (Decimal("1.50"), 1.5),
        (Decimal("12345678901234567890.12"), "12345678901234567890.12"),
        (dt.datetime(2026, 1, 31, 12), "2026-01-31T12:00:00.000000Z"),  # noqa: DTZ001
        (
            dt.datetime(2026, 1, 31, 12, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            "2026-01-31T10:00:00.000000Z",
        ),
        (dt.datetime(999, 1, 1), "0999-01-01T00:00:00.000000Z"),  # noqa: DTZ001
        (dt.date(2026, 1, 31), "2026-01-31"),
        (dt.time(1, 2, 3), "01:02:03"),
        (b"\x00\xff", "AP8="),
        ([1, None, {"a": Decimal("2")}], [1, None, {"a": 2}]),
        ([("k", 1)], {"k": 1}),
        ([(1, "x")], [[1, "x"]]),
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
        pa.decimal128(18, 2): "number",
        pa.float64(): "number",
        pa.bool_(): "boolean",
        pa.timestamp("us"): "timestamp",
        pa.date32(): "date",
        pa.time64("us"): "time",
        pa.month_day_nano_interval(): "interval",
        pa.binary(): "binary",
        pa.list_(pa.int8()): "array",
        pa.struct([("a", pa.int8())]): "object",
        pa.dictionary(pa.uint8(), pa.string()): "string",
        pa.string(): "string",
        pa.null(): "string",
    }
    assert {kind: column_type(kind) for kind in kinds} == kinds
