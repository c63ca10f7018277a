"""A stored result of which the columns and rows alone are asked: what chooses and describes a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from cdesk_app.render.table import Column, Page, Table, View


class _Stored:
    def __init__(self, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
        self.columns = [
            Column(place, name, kind) for place, (name, kind) in enumerate(columns.items())
        ]
        self.row_count = len(rows)
        self._rows = [list(row) for row in rows]

    def one_connection(self) -> AbstractContextManager[None]:
        return nullcontext()

    def page(self, view: View, offset: int, limit: int) -> Page:
        assert view.is_plain
        return Page(offset, len(self._rows), self._rows[offset : offset + limit])


def stored(columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> Table:
    """Columns by name with their types, in the words of `Column`."""
    return cast(Table, _Stored(columns, rows))
