"""An answer's values as JSON carries them, which has fewer types than the engines. They cross like
this, in previews, exports and records alike:

    timestamp      text, RFC 3339 in UTC with six decimals and Z (a naive one is UTC)
    date, time     text, ISO 8601
    integer        number; text beyond ±(2^53 - 1), where many JSON readers would round it
    decimal        number where 15 digits carry it exactly, else text
    NaN, ±Infinity text: NaN, Infinity, -Infinity
    binary         text, Base64
    interval       text, months, days and seconds: 3 mons 1 days 0.500000 s
    list, struct, map    array, object, object (a map whose keys are no text: array of pairs)
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    import pyarrow as pa

PREVIEW_ROWS: Final = 10
PREVIEW_CELL: Final = 2_000
"""Characters of one text in the preview; a longer one is cut where everybody sees it."""
_SAFE_INTEGER: Final = 2**53 - 1


def json_value(value: Any) -> Any:
    """The value as JSON carries it, exactly (see the module's docstring)."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if -_SAFE_INTEGER <= value <= _SAFE_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else _odd_float(value)
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.days} days {value.seconds + value.microseconds / 1e6:.6f} s"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if type(value).__name__ == "MonthDayNano":  # Arrow's, which need not be there
        return f"{value.months} mons {value.days} days {value.nanoseconds / 1e9:.6f} s"
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):  # a map
            if all(isinstance(key, str) for key, _ in value):
                return {key: json_value(item) for key, item in value}
            return [[json_value(key), json_value(item)] for key, item in value]
        return [json_value(item) for item in value]
    return str(value)


def _odd_float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _decimal(value: Decimal) -> Any:
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value():
        return json_value(int(value))
    return float(value) if len(value.as_tuple().digits) <= 15 else str(value)


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > PREVIEW_CELL:
        return f"{value[:PREVIEW_CELL]}… ({len(value):,} characters)"
    if isinstance(value, list | dict) and len(text := orjson.dumps(value)) > 2 * PREVIEW_CELL:
        return f"{text.decode()[:PREVIEW_CELL]}… ({len(text):,} bytes)"
    return value


def column_type(kind: pa.DataType) -> str:
    """The column's type in words that a model and JSON share."""
    from pyarrow import types as at  # here: an idle worker does without

    binary = (at.is_binary, at.is_large_binary, at.is_binary_view, at.is_fixed_size_binary)
    array = (
        at.is_list,
        at.is_large_list,
        at.is_list_view,
        at.is_large_list_view,
        at.is_fixed_size_list,
    )
    tests: tuple[tuple[str, Callable[[pa.DataType], bool]], ...] = (
        ("boolean", at.is_boolean),
        ("integer", lambda t: at.is_integer(t) or (at.is_decimal(t) and t.scale <= 0)),
        ("number", lambda t: at.is_floating(t) or at.is_decimal(t)),
        ("timestamp", at.is_timestamp),
        ("date", at.is_date),
        ("time", at.is_time),
        ("interval", lambda t: at.is_interval(t) or at.is_duration(t)),
        ("binary", lambda t: any(test(t) for test in binary)),
        ("array", lambda t: any(test(t) for test in array)),
        ("object", lambda t: at.is_struct(t) or at.is_map(t)),
    )
    return next((name for name, test in tests if test(kind)), "string")


def cut_cells(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows as an answer shows them: a text that is too long is cut where everybody sees it."""
    return [[_cut(value) for value in row] for row in rows]
