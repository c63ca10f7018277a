"""What a run can prove: the distinct values of its evidence columns, as its `query_run` record
holds them and insights are checked against (docs/trust.md, "Memory").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from cdesk.artifacts.values import column_type, json_value
from cdesk.contract.catalog import BASIS_COLUMN, Basis
from cdesk.contract.records import MAX_VALUE

if TYPE_CHECKING:
    import pyarrow as pa

VALUE_CELLS: Final = 10_000
VALUE_BYTES: Final = 64 * 1024
"""So many cells of evidence columns, and so many bytes of distinct values, go into a record."""

_Type = Literal["number", "text", "boolean"]
_Key = tuple[str, Literal["system", "reported"]]


class Evidence:
    """Gathers the values of a result's evidence columns as text, exactly as an answer shows them.

    `columns` maps a column to its basis, `row` where each row says it in a column of its own.
    `complete` turns False once a value was left out for want of room; texts that no insight can
    hold are left out all the same. What a caller is shown always finds room (`put_first`): a value
    that was read in an answer can be verified, however long the result is.
    """

    def __init__(self, schema: pa.Schema, columns: Mapping[str, Basis]) -> None:
        self._types: dict[str, _Type] = {
            field.name: _type(field.type) for field in schema if field.name in columns
        }
        self._columns = {name: columns[name] for name in self._types}
        self._wanted = [*self._types, *([BASIS_COLUMN] if BASIS_COLUMN in schema.names else [])]
        self._seen: dict[_Key, dict[str, None]] = {}
        self._cells = 0
        self._bytes = 0
        self.complete = True

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows of the result."""
        if not self.complete or not self._types:
            return
        room = (VALUE_CELLS - self._cells) // len(self._types)
        if batch.num_rows > room:
            self.complete = False
        rows = batch.slice(0, room).select(self._wanted).to_pylist()
        self._cells += len(rows) * len(self._types)
        self._add(rows)

    def put_first(self, shown: Iterable[Mapping[str, Any]]) -> None:
        """Make room for the rows that the caller was shown, at the cost of the last values."""
        gathered = self._seen
        self._seen, self._bytes = {}, 0
        self._add(shown)
        for key, texts in gathered.items():
            for text in texts:
                self._keep(key, text)

    def record(self) -> list[dict[str, Any]]:
        """As a `query_run` record has it: one entry a column and basis."""
        return [
            {
                "column": column,
                "basis": basis,
                "type": self._types[column],
                "values": list(texts),
            }
            for (column, basis), texts in self._seen.items()
        ]

    def _add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            whole_row: Literal["system", "reported"] = (
                "system" if row.get(BASIS_COLUMN) == "system" else "reported"
            )
            for column, declared in self._columns.items():
                text = shown_text(row.get(column))
                if text is not None and len(text) <= MAX_VALUE:
                    self._keep((column, whole_row if declared == "row" else declared), text)

    def _keep(self, key: _Key, text: str) -> None:
        texts = self._seen.setdefault(key, {})
        if text in texts:
            return
        size = len(orjson.dumps(text)) + 1
        if self._bytes + size > VALUE_BYTES:
            self.complete = False
            return
        texts[text] = None
        self._bytes += size


def shown_text(value: Any) -> str | None:
    """A scalar as an answer shows it, without quotes; None for null and for what is no scalar."""
    shown = json_value(value)
    if shown is None or isinstance(shown, list | dict):
        return None
    return shown if isinstance(shown, str) else orjson.dumps(shown).decode()


def _type(kind: pa.DataType) -> _Type:
    found = column_type(kind)
    if found in ("integer", "number"):
        return "number"
    return "boolean" if found == "boolean" else "text"


def with_basis(
    columns: Sequence[Mapping[str, str]], evidence: Mapping[str, Basis]
) -> list[dict[str, str]]:
    """A result's columns, those that can prove an insight with their basis."""
    return [
        {**column, "basis": evidence[column["name"]]}
        if column["name"] in evidence
        else dict(column)
        for column in columns
    ]
