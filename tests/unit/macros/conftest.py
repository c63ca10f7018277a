from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from tests.unit.activity_schema.rendering import Renderer
from tests.unit.governance.account import Account


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return Renderer(tmp_path_factory.mktemp("macros") / "duckdb", "duckdb")


@pytest.fixture
def local(render: Renderer) -> Iterator[Account]:
    """The macros on an empty DuckDB, where `ref` and `source` are a relation's bare name."""
    with duckdb.connect() as connection:
        yield Account(render, connection=connection)
