"""A warehouse that stays open for all questions of a test, or of a module."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdesk.warehouse import duckdb_file
from cdesk.warehouse.duckdb_file import DuckDBFile


@contextlib.contextmanager
def kept_open(path: Path) -> Iterator[None]:
    """Whoever asks in this process shares one instance of the file, which nobody else writes to:
    opening it takes as long as most questions do.
    """
    open_file, seal = DuckDBFile._connect, duckdb_file.seal
    kept: list[duckdb.DuckDBPyConnection] = []

    def connect(
        self: DuckDBFile, deadline: float, *, read_only: bool, **options: Any
    ) -> duckdb.DuckDBPyConnection:
        if self.path != path or not read_only:
            return open_file(self, deadline, read_only=read_only, **options)
        if not kept:
            kept.append(open_file(self, deadline, read_only=True, **options))
            seal(kept[0])
        return kept[0].cursor()

    def seal_others(connection: duckdb.DuckDBPyConnection) -> None:
        locked = connection.execute("select current_setting('lock_configuration')").fetchone()
        if locked == (False,):
            seal(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DuckDBFile, "_connect", connect)
        patch.setattr(duckdb_file, "seal", seal_others)
        yield
    for connection in kept:
        connection.close()
