"""Rows of the connector as Arrow record batches, column types as Snowflake names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from cdesk.core.errors import WarehouseError
from cdesk.warehouse.snowflake.driver import FIELD_ID_TO_NAME

_SPACE_OUTSIDE_STRINGS: Final = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')


def _compact_json(text: str) -> str:
    """Snowflake hands a VARIANT out indented; only the white space goes, no number is read."""
    return _SPACE_OUTSIDE_STRINGS.sub(lambda match: match[1] or "", text)


def arrow_schema(description: Any) -> tuple[pa.Schema, list[Callable[[Any], Any] | None]]:
    fields: list[pa.Field] = []
    converters: list[Callable[[Any], Any] | None] = []
    for column in description:
        kind = FIELD_ID_TO_NAME[column.type_code]
        converter: Callable[[Any], Any] | None = None
        if kind == "FIXED":
            type_ = pa.int64() if not column.scale else pa.decimal128(38, column.scale)
        elif kind in ("VARIANT", "OBJECT", "ARRAY"):
            type_, converter = pa.string(), _compact_json
        else:
            type_ = _ARROW_TYPES.get(kind, pa.string())
        fields.append(pa.field(column.name.lower(), type_))
        converters.append(converter)
    return pa.schema(fields), converters


_ARROW_TYPES: Final = {
    "REAL": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP_NTZ": pa.timestamp("us"),
    "TIMESTAMP_LTZ": pa.timestamp("us", "UTC"),
    "TIMESTAMP_TZ": pa.timestamp("us", "UTC"),
    "BINARY": pa.binary(),
}


def record_batch(
    rows: list[tuple[Any, ...]],
    schema: pa.Schema,
    converters: Sequence[Callable[[Any], Any] | None],
) -> pa.RecordBatch:
    arrays = []
    for index, field in enumerate(schema):
        convert = converters[index]
        values = [row[index] for row in rows]
        if convert is not None:
            values = [None if value is None else convert(value) for value in values]
        try:
            arrays.append(pa.array(values, field.type))
        except (pa.ArrowException, OverflowError) as error:
            raise WarehouseError(
                f"column {field.name} holds a value beyond {field.type}: {error}"
            ) from None
    return pa.record_batch(arrays, schema=schema)
