"""What a whole result holds, column by column, for whoever sees ten rows of it: computed while the
rows stream by, in bounded memory, and at most 2 KB of JSON.

    {"rows": 190, "columns": [
        {"name": "period_start", "type": "timestamp", "nulls": 0, "distinct": 190,
         "min": "2025-07-25T00:00:00.000000Z", "max": "2026-01-30T00:00:00.000000Z"},
        {"name": "activity_count", "type": "integer", "nulls": 0, "distinct": 41, "min": 1,
         "max": 61, "sum": 4120, "mean": 21.684, "frequent": [[12, 9], [14, 8], [7, 7]],
         "trend": {"over": "period_start", "direction": "rising", "change": 0.42, "fit": 0.71}}]}

`distinct` counts values without null; `distinct_over` stands in its place where there are more than
were counted. `frequent` holds the most frequent values, where one occurs more than once. `trend` is
the least-squares line over the first column of moments or dates: `change` is how far it climbs from
the first moment to the last, as a share of the mean, and `fit` the correlation. `left_out` counts
columns that found no room.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal, localcontext
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cdesk.artifacts.values import column_type, json_value

SUMMARY_BYTES: Final = 2_048
DISTINCT: Final = 10_000
"""So many different values of a column are told apart."""
FEW: Final = 1_000
"""Values that are gone through one by one."""
FREQUENT: Final = 3
TEXT: Final = 40
"""Characters of one text; a longer one is cut."""
CLEAR_FIT: Final = 0.3
"""A correlation weaker than that is no direction."""

Json = dict[str, Any]

_EXACT_DIGITS: Final = 100
"""Of sums of decimals, which have 76 digits at most."""
_UNUSUAL: Final = (pa.ArrowException, ArithmeticError, ValueError, TypeError)

_ORDERED: Final = frozenset(("integer", "number", "timestamp", "date", "time", "string", "boolean"))
_NUMBERS: Final = frozenset(("integer", "number"))


class Summary:
    """Gathers what `document` says of a result, batch by batch."""

    def __init__(self, schema: pa.Schema) -> None:
        self._rows = 0
        self._columns = [_Column(field) for field in schema]
        self._time = next(
            (n for n, column in enumerate(self._columns) if column.type in ("timestamp", "date")),
            None,
        )
        self._first: float | None = None
        """The moment from which the days of a trend are counted."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows of the result."""
        if not batch.num_rows:
            return
        self._rows += batch.num_rows
        days = self._days(batch)
        for column, values in zip(self._columns, batch.columns, strict=True):
            column.add(values)
            if days is not None and column.type in _NUMBERS:
                column.follow(days, values)

    def document(self) -> Json:
        """What is known of the rows so far, in at most SUMMARY_BYTES of JSON."""
        over = None if self._time is None else self._columns[self._time].name
        columns = [column.document(over) for column in self._columns]
        return _within(self._rows, columns)

    def _days(self, batch: pa.RecordBatch) -> pa.Array | None:
        """The column of moments as days since the first one seen; None where there is none."""
        if self._time is None:
            return None
        try:
            moments = pc.cast(batch.column(self._time), pa.timestamp("us"), safe=False)
            microseconds = pc.cast(moments, pa.int64(), safe=False)
        except _UNUSUAL:
            self._time = None
            return None
        days = pc.divide(pc.cast(microseconds, pa.float64(), safe=False), 86_400e6)
        if self._first is None:
            self._first = next((day for day in days.to_pylist() if day is not None), None)
        return days if self._first is None else pc.subtract(days, self._first)


class _Column:
    """One column of a result."""

    def __init__(self, field: pa.Field) -> None:
        self.name = field.name
        self.type = column_type(field.type)
        self._is_ordered = self.type in _ORDERED and (self.type != "string" or _is_text(field.type))
        self.line = _Line()
        self._nulls = 0
        self._count = 0
        self._finite = 0
        self._low: Any = None
        self._high: Any = None
        self._sum: Any = 0
        self._values: dict[Any, int] | None = {}

    def add(self, values: pa.Array) -> None:
        """Take in the next values. Those that Arrow or Python has no arithmetic for (an infinite
        moment, a type of yesterday) end what is said of the column beyond its nulls.
        """
        try:
            self._add(_plain(values))
        except _UNUSUAL:
            self._is_ordered = False

    def follow(self, days: pa.Array, values: pa.Array) -> None:
        """The values once more, for the trend."""
        try:
            self.line.add(days, _plain(values))
        except _UNUSUAL:
            self.line = _Line()

    def _add(self, values: pa.Array) -> None:
        self._nulls += values.null_count
        self._count += len(values) - values.null_count
        if not self._is_ordered or len(values) == values.null_count:
            return
        if len(values) <= FEW:
            self._add_few(values)
            return
        self._add_values(values)
        if pa.types.is_floating(values.type):
            values = values.filter(pc.is_finite(values))
        if len(values) == values.null_count:
            return
        ends = pc.min_max(values)
        low, high = ends["min"].as_py(), ends["max"].as_py()
        self._low = low if self._low is None else min(self._low, low)
        self._high = high if self._high is None else max(self._high, high)
        if self.type in _NUMBERS:
            self._finite += len(values) - values.null_count
            with localcontext(prec=_EXACT_DIGITS):
                self._sum += _sum(values, low, high)

    def _add_few(self, values: pa.Array) -> None:
        """The same for values that Python goes through before Arrow has called its functions."""
        counts: Counter[Any] = Counter(
            "NaN" if value != value else value for value in values.to_pylist() if value is not None
        )
        if self._values is not None:
            for value, count in counts.items():
                self._values[value] = self._values.get(value, 0) + count
            if len(self._values) > DISTINCT:
                self._values = None
        if pa.types.is_floating(values.type):
            counts = Counter(
                {
                    value: count
                    for value, count in counts.items()
                    if value != "NaN" and math.isfinite(value)
                }
            )
        if not counts:
            return
        low, high = min(counts), max(counts)
        self._low = low if self._low is None else min(self._low, low)
        self._high = high if self._high is None else max(self._high, high)
        if self.type not in _NUMBERS:
            return
        self._finite += counts.total()
        with localcontext(prec=_EXACT_DIGITS):
            if pa.types.is_floating(values.type):
                self._sum += pc.sum(values.filter(pc.is_finite(values))).as_py()
            else:
                self._sum += sum(value * count for value, count in counts.items())

    def _add_values(self, values: pa.Array) -> None:
        """Count values while there are few enough of them to be told apart."""
        if self._values is None:
            return
        for entry in pc.value_counts(values).to_pylist():
            if (value := entry["values"]) is not None:
                value = "NaN" if value != value else value
                self._values[value] = self._values.get(value, 0) + entry["counts"]
        if len(self._values) > DISTINCT:
            self._values = None

    def document(self, over: str | None) -> Json:
        found: Json = {"name": self.name[:TEXT], "type": self.type, "nulls": self._nulls}
        if not self._is_ordered or not self._count:
            return found
        if self._values is None:
            found["distinct_over"] = DISTINCT
        else:
            found["distinct"] = len(self._values)
        if self._low is not None and self.type != "boolean":
            found["min"], found["max"] = _shown(self._low), _shown(self._high)
        if self._finite:
            found["sum"] = _shown(self._sum)
            mean = float(self._sum) / self._finite
            if math.isfinite(mean):
                found["mean"] = _rounded(mean)
        if frequent := self._frequent():
            found["frequent"] = frequent
        if over is not None and (trend := self.line.trend()) is not None:
            found["trend"] = {"over": over[:TEXT], **trend}
        return found

    def _frequent(self) -> list[list[Any]]:
        """The most frequent values, each with how often; nothing where all occur once."""
        ranked = sorted((self._values or {}).items(), key=lambda one: (-one[1], str(one[0])))
        return [[_shown(value), count] for value, count in ranked[:FREQUENT] if count > 1]


class _Line:
    """A least-squares line through values over days."""

    def __init__(self) -> None:
        self._n = 0
        self._x = self._y = self._xx = self._yy = self._xy = 0.0
        self._low, self._high = math.inf, -math.inf

    def add(self, days: pa.Array, values: pa.Array) -> None:
        y = pc.cast(values, pa.float64(), safe=False)
        known = pc.and_(pc.is_valid(days), pc.fill_null(pc.is_finite(y), False))
        x, y = days.filter(known), y.filter(known)
        if not len(x):
            return
        self._n += len(x)
        self._x += pc.sum(x).as_py()
        self._y += pc.sum(y).as_py()
        self._xx += pc.sum(pc.multiply(x, x)).as_py()
        self._yy += pc.sum(pc.multiply(y, y)).as_py()
        self._xy += pc.sum(pc.multiply(x, y)).as_py()
        ends = pc.min_max(x)
        self._low = min(self._low, ends["min"].as_py())
        self._high = max(self._high, ends["max"].as_py())

    def trend(self) -> Json | None:
        """Direction, change over the whole span as a share of the mean, and correlation; None where
        three points or more don't make a line.
        """
        n, span = self._n, self._high - self._low
        if n < 3 or span <= 0:
            return None
        spread_x = self._xx - self._x * self._x / n
        spread_y = self._yy - self._y * self._y / n
        together = self._xy - self._x * self._y / n
        if not all(map(math.isfinite, (spread_x, spread_y, together))) or spread_x <= 0:
            return None
        flat = spread_y <= 1e-12 * max(self._yy, 1e-300)
        fit = 0.0 if flat else max(-1.0, min(1.0, together / math.sqrt(spread_x * spread_y)))
        direction = "steady"
        if abs(fit) >= CLEAR_FIT:
            direction = "rising" if fit > 0 else "falling"
        found: Json = {"direction": direction, "fit": _rounded(fit)}
        mean = self._y / n
        if mean and not flat:
            change = together / spread_x * span / abs(mean)
            if math.isfinite(change):
                found["change"] = _rounded(change)
        return found


def _plain(values: pa.Array) -> pa.Array:
    """The values in a form that Arrow computes with."""
    if pa.types.is_dictionary(values.type):
        return values.dictionary_decode()
    if pa.types.is_float16(values.type):
        return values.cast(pa.float32())
    return values.cast(pa.string()) if pa.types.is_string_view(values.type) else values


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _sum(values: pa.Array, low: Any, high: Any) -> Any:
    """The sum of finite numbers; exact for integers of any size."""
    if pa.types.is_integer(values.type):
        reach = max(abs(low), abs(high)) * len(values)
        return pc.sum(values).as_py() if reach < 2**62 else sum(v for v in values.to_pylist() if v)
    if pa.types.is_decimal(values.type):
        return sum((v for v in values.to_pylist() if v is not None), Decimal(0))
    return pc.sum(values).as_py()


def _rounded(value: float) -> float:
    """Four significant digits, or all before the point: an estimate is no evidence."""
    if not math.isfinite(value):
        return 0.0
    return round(value, max(0, 4 - len(str(int(abs(value))))) if abs(value) >= 1 else 4)


def _shown(value: Any) -> Any:
    shown = json_value(value)
    if isinstance(shown, float):
        return float(f"{shown:.12g}")
    if isinstance(shown, str) and len(shown) > TEXT:
        return shown[:TEXT] + "…"
    return shown


def _within(rows: int, columns: list[Json]) -> Json:
    """The document, with less where it would be too large: first the values, then columns from the
    end.
    """
    document: Json = {"rows": rows, "columns": columns}
    for name in ("frequent", "trend", "mean", "distinct", "distinct_over"):
        if _size(document) <= SUMMARY_BYTES:
            return document
        document["columns"] = [
            {key: value for key, value in column.items() if key != name}
            for column in document["columns"]
        ]
    kept: list[Json] = list(document["columns"])
    while _size(document) > SUMMARY_BYTES and kept:
        del kept[-max(1, len(kept) // 8) :]
        document = {"rows": rows, "columns": kept, "left_out": len(columns) - len(kept)}
    return document


def _size(document: Json) -> int:
    return len(orjson.dumps(document))


def summary_of(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Json:
    """The summary of a result that is there as a whole."""
    summary = Summary(schema)
    for batch in batches:
        summary.add(batch)
    return summary.document()
