"""Text that tries to be SQL, through every text parameter of every template, over the real
connector: the statement that arrives is the
template's own, to the letter, with the text among its binds; no error but validation, and no object
changed.

The longer corpus, with plans, is tests/integration/queries/test_injection.py's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cdesk.contract.catalog import Parameter, Template, load_catalog, normalise_sql
from cdesk.core.errors import InvalidField
from cdesk.warehouse.snowflake.login import Login
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse
from cdesk_app.worker.dbt.catalog_export import export_catalog
from tests.integration.snowflake.account import FakeAccount
from tests.integration.snowflake.conftest import of_rows
from tests.integration.snowflake.dbt_process import Dbt
from tests.integration.snowflake.records import CUSTOMERS

CORPUS = (
    "'; drop table landing; --",
    "x' or '1'='1",
    "$$; select 1; $$ /* \\' ? :1 %s {{ 1 }}",
)


@pytest.fixture(scope="module")
def templates(compiled: Dbt, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Template]:
    file = tmp_path_factory.mktemp("catalog") / "catalog.json"
    export_catalog(
        compiled.manifest("snowflake"), file, dialect="snowflake", now="2026-02-01T00:00:00.000000Z"
    )
    return dict(load_catalog(Path(file)).templates)


def takes_text(parameter: Parameter) -> bool:
    return parameter.type.removeprefix("list[").removesuffix("]") not in (
        "integer",
        "number",
        "boolean",
    )


def objects(account: FakeAccount) -> list[Any]:
    """Every relation with its number of rows."""
    connection = account.connect()
    with connection.cursor() as cursor:
        cursor.execute(
            "select table_name from information_schema.tables where table_schema = 'ACTIVITIES' "
            "and table_type = 'BASE TABLE' order by 1"
        )
        found = []
        for (name,) in cursor.fetchall():
            cursor.execute(f'select count(*) from "{name}"')
            found.append((name, cursor.fetchall()))
    connection.close()
    return found


@pytest.mark.usefixtures("rows_of_live")
def test_the_statement_is_the_templates_own_whatever_is_bound(
    account: FakeAccount, templates: dict[str, Template]
) -> None:
    warehouse = SnowflakeWarehouse(Login(account.environ))
    before = objects(account)
    assert before
    asked = bound = 0
    for template in map(of_rows, templates.values()):
        for parameter in filter(takes_text, template.parameters):
            for text in CORPUS:
                value = [text] if parameter.type.startswith("list[") else text
                asked += 1
                try:
                    params = template.check_params({**template.example, parameter.name: value})
                except InvalidField as error:
                    if error.field != parameter.name:
                        raise
                    continue
                bound += 1
                seen = len(account.statements())
                binds = template.bind(params, customer=CUSTOMERS[0], is_analyst=True)
                with warehouse.run_template(
                    template, binds, query_tag="cdesk_0000beef", timeout_seconds=30
                ) as outcome:
                    list(outcome.batches)
                arrived = account.statements(seen)
                own = [item for item in arrived if _same(item["sql"], template.sql)]
                assert len(own) == 1, (template.name, parameter.name)
                assert own[0]["binds"], "its values came as binds"
                assert not any(text in item["sql"] for item in arrived), template.name
    warehouse.close()
    assert asked > 100
    assert bound >= 3 * 5
    assert objects(account) == before


def _same(given: str, sql: str) -> bool:
    return re.sub(r"\s+", " ", normalise_sql(given)) == re.sub(r"\s+", " ", normalise_sql(sql))
