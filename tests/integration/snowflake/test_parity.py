"""One set of landed records through both engines: the same rows in every model, the same answer
from every SafeSQL template.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdesk.contract.catalog import Template, load_catalog, normalise_sql
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk.warehouse.snowflake.login import Login
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse
from cdesk_app.worker.dbt.catalog_export import export_catalog
from tests.integration.snowflake.account import FakeAccount
from tests.integration.snowflake.conftest import MAKE_ROWS_OF_LIVE, of_rows
from tests.integration.snowflake.dbt_process import Dbt
from tests.integration.snowflake.records import CUSTOMERS

OWN_TO_AN_ENGINE = {"id_key", "content_key", "warehouse_seconds", "bytes_scanned", "credits", "usd"}
"""A column whose form each engine chooses for itself (macro compact_key), and what an engine's own
query history says.
"""
FOR_ANOTHER = ("activity_counts", "insights", "last_before", "recent_activities", "sessions")
"""Templates asked for a second customer too."""

TELLS_THE_TIME = {"health": {"as_of"}}
"""template → columns that hold the warehouse's own clock"""


def same(value: Any) -> Any:
    """A value without what is an engine's own way of handing it out: JSON text's spacing, numbers'
    types, time zones.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return f"{float(value):.12g}"
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return value
    if isinstance(value, str):
        return value.strip('"')
    return str(value)


def rows(columns: list[str], found: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    named = [
        {
            c.lower(): same(v)
            for c, v in zip(columns, row, strict=True)
            if c.lower() not in OWN_TO_AN_ENGINE
        }
        for row in found
    ]
    return sorted(named, key=lambda row: json.dumps(row, sort_keys=True, default=str))


def test_every_model_holds_the_same_rows(account: FakeAccount, both_built: Dbt) -> None:
    manifest = json.loads(both_built.manifest().read_text(encoding="utf-8"))
    models = {
        node["alias"]: node["schema"]
        for node in manifest["nodes"].values()
        if node["resource_type"] in ("model", "seed")
    }
    assert len(models) > 15
    filled = 0
    connection = account.connect()
    with (
        duckdb.connect(both_built.work / "warehouse.duckdb", read_only=True) as local,
        connection.cursor() as cursor,
    ):
        for model, schema in models.items():
            cursor.execute(f"select * from {schema}.{model}")
            theirs = rows([column[0] for column in cursor.description], cursor.fetchall())
            ours = local.execute(f"select * from activities.{model}")
            assert theirs == rows([column[0] for column in ours.description], ours.fetchall()), (
                model
            )
            filled += bool(theirs)
    connection.close()
    assert filled > 12


@pytest.fixture(scope="module")
def catalogs(
    both_built: Dbt, compiled: Dbt, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Template]]:
    found: dict[str, dict[str, Template]] = {}
    for target in ("snowflake", "duckdb"):
        file = tmp_path_factory.mktemp("catalog") / f"{target}.json"
        of = compiled if target == "snowflake" else both_built
        export_catalog(of.manifest(target), file, dialect=target, now="2026-02-01T00:00:00.000000Z")
        found[target] = dict(load_catalog(Path(file)).templates)
    return found


def test_the_account_knows_the_sql_of_every_template(
    account: FakeAccount, catalogs: dict[str, dict[str, Template]]
) -> None:
    with account.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select template, sql_hash from template_versions")
        known = set(cursor.fetchall())
    for name, template in catalogs["snowflake"].items():
        sql = normalise_sql(template.sql).lower()
        assert (name, hashlib.sha256(sql.encode()).hexdigest()) in known, name


@pytest.fixture(scope="module")
def rows_in_duckdb(both_built: Dbt) -> None:
    """The table of `rows_of_live` in DuckDB."""
    with duckdb.connect(both_built.work / "warehouse.duckdb") as local:
        local.execute("use activities")
        local.execute(MAKE_ROWS_OF_LIVE)


def answer(
    warehouse: SnowflakeWarehouse | DuckDBWarehouse,
    template: Template,
    customer: str,
    **changed: Any,
) -> list[dict[str, Any]]:
    params = template.check_params(template.example) | changed
    binds = template.bind(params, customer=customer, is_analyst=True)
    with warehouse.run_template(
        of_rows(template), binds, query_tag="cdesk_0000beef", timeout_seconds=30
    ) as outcome:
        batches = list(outcome.batches)
        columns = outcome.schema.names
    return rows(columns, [tuple(row.values()) for batch in batches for row in batch.to_pylist()])


@pytest.mark.usefixtures("rows_of_live", "rows_in_duckdb")
def test_every_template_answers_the_same(
    account: FakeAccount, both_built: Dbt, catalogs: dict[str, dict[str, Template]]
) -> None:
    remote = SnowflakeWarehouse(Login(account.environ))
    local = DuckDBWarehouse(both_built.work / "warehouse.duckdb")
    assert set(catalogs["snowflake"]) == set(catalogs["duckdb"])
    assert len(catalogs["duckdb"]) >= 30
    problems: list[str] = []
    for name, template in sorted(catalogs["duckdb"].items()):
        for customer in CUSTOMERS[: 2 if name in FOR_ANOTHER else 1]:
            try:
                theirs = answer(remote, catalogs["snowflake"][name], customer)
            except Exception as error:  # noqa: BLE001  # all of them at once, so that one run shows all
                problems.append(f"{name}: {error}")
                break
            ours = answer(local, template, customer)
            for row in (*theirs, *ours):
                for column in TELLS_THE_TIME.get(name, ()):
                    del row[column]
            if theirs != ours:
                problems.append(f"{name}: {theirs[:2]} is not {ours[:2]}")
    remote.close()
    assert not problems, "\n".join(problems)


@pytest.mark.usefixtures("rows_of_live", "rows_in_duckdb")
def test_whose_word_a_row_is_is_the_same(
    account: FakeAccount, both_built: Dbt, catalogs: dict[str, dict[str, Template]]
) -> None:
    """The records are older than the examples look back, so the windows here reach all of them."""
    remote = SnowflakeWarehouse(Login(account.environ))
    local = DuckDBWarehouse(both_built.work / "warehouse.duckdb")
    asked: list[tuple[str, dict[str, Any]]] = [
        ("activity_counts", {"days_back": 36_500}),
        ("activity_by_period", {"days_back": 36_500, "activity": "cdesk.user_asked"}),
        ("activity_by_period", {"days_back": 36_500, "activity": "cdesk.tool_called"}),
        ("sessions", {"days_back": 36_500}),
        ("tool_usage", {"days_back": 36_500}),
        ("llm_usage", {"days_back": 36_500}),
        ("top_customers", {"days_back": 36_500}),
        ("stream_metrics", {"hours_back": 876_000}),
        ("health", {}),
    ]
    bases: dict[str, set[str]] = {}
    for (name, params), customer in itertools.product(asked, CUSTOMERS[:2]):
        theirs, ours = (
            [row["basis"] for row in answer(warehouse, catalogs[dialect][name], customer, **params)]
            for warehouse, dialect in ((remote, "snowflake"), (local, "duckdb"))
        )
        assert theirs == ours, name
        bases.setdefault(name, set()).update(ours)
    assert all(bases.values()), "each finds rows"
    remote.close()
    assert bases["activity_counts"] == bases["activity_by_period"] == {"system", "reported"}
    assert bases["tool_usage"] == {"system", "reported"}, "the shim's calls, and another program's"
    assert bases["llm_usage"] == {"reported"}
