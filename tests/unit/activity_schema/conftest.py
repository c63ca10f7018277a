from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from tests.unit.activity_schema.rendering import Renderer


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    """Renders a text with the DuckDB adapter."""
    return Renderer(tmp_path_factory.mktemp("render") / "duckdb", "duckdb")


@pytest.fixture(scope="session")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as opened:
        yield opened


@pytest.fixture
def connection(database: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to an empty database: what a test makes is dropped, which is faster than to open
    another one.
    """
    with database.cursor() as opened:
        yield opened
        made = opened.execute("select table_name, table_type from information_schema.tables")
        for name, kind in made.fetchall():
            opened.execute(f'drop {"view" if kind == "VIEW" else "table"} "{name}"')
