from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from tests.unit.activity_schema.rendering import Renderer


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    """Renders a text with the DuckDB adapter."""
    return Renderer(tmp_path_factory.mktemp("render") / "duckdb", "duckdb")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as opened:
        yield opened
