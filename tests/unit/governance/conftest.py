from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest

from tests.unit.activity_schema.rendering import Renderer
from tests.unit.governance.account import Account


@pytest.fixture(scope="session")
def on_snowflake(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Renderer(tmp_path_factory.mktemp("governance") / "snowflake", "snowflake")


@pytest.fixture(scope="session")
def on_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return Renderer(tmp_path_factory.mktemp("governance") / "duckdb", "duckdb")


@pytest.fixture
def account(on_snowflake: Renderer) -> Callable[..., Account]:
    """An account that was set up, with what a test gives."""

    def made(**given: object) -> Account:
        answers = {"and upper\\(table_name\\) = 'APPLIED_SETUP'": [{"table_name": "APPLIED_SETUP"}]}
        own = given.pop("answers", {})
        assert isinstance(own, dict)
        return Account(on_snowflake, {**own, **answers}, **given)  # type: ignore[arg-type]

    return made
