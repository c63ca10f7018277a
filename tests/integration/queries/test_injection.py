"""Text that tries to be SQL, through every parameter that takes text: refused, or bound as the
value that it is.

Same SQL text, same plan, no error but validation, no object changed. On DuckDB;
tests/integration/snowflake/test_injection_on_snowflake.py does the same over the real connector.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdesk.contract.catalog import Parameter, Template
from cdesk.core.checks import check_customer
from cdesk.core.errors import InvalidField
from cdesk.warehouse.duckdb import DuckDBWarehouse
from tests.integration.queries.conftest import ADA, BOB, SECRET, example, texts

if TYPE_CHECKING:
    from tests.integration.queries.conftest import Built

CORPUS = [
    "'; drop table activities.landing; --",
    "' or '1'='1",
    "' or 1=1 --",
    "') union select customer from activities.events --",
    "x'; attach 'evil.db' as evil; --",
    "x'; copy activities.events to 'stolen.csv'; --",
    "'; set lock_configuration = false; --",
    "'; pragma database_list; --",
    "'||(select max(customer) from activities.events)||'",
    "{{ env_var('HOME') }}",
    "{% set x = 1 %}",
    "$1",
    "?",
    "?/*customer*/",
    ":customer",
    "%s %(customer)s",
    "/* comment */",
    "-- comment",
    "a/**/b",
    "\\'; select 1; --",
    '"; select 1; --',
    "`select 1`",
    "$$; select 1; $$",
    "ʼ; drop table x; --",  # U+02BC, folded to a quote by some
    "＇; drop table x; --",  # fullwidth quote
    "\u202e;gnirts",
    "a\u0000b",
    "a\nb\r\n;\tselect 1",
    "%' escape '",
    "_%\\",
    "$.a",
    "$[*]",
    "1e309",
    "NaN",
    "null",
    "true",
    "cdesk.user_asked' or activity like 'cdesk.%",
    "../../etc/passwd",
    "\U0001f600" * 50,
    "x" * 1_000,
    "x" * 10_000_000,
    "\ud800",
]


Plan = tuple[str, list["Plan"]]


def shape(node: dict[str, Any]) -> Plan:
    return node["name"], [shape(child) for child in node["children"]]


class Engine:
    """The warehouse file, read-only: for plans as they are before values are looked at, and for
    answers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = duckdb.connect(
            str(path), read_only=True, config={"enable_external_access": "false"}
        )
        self._connection.execute("set TimeZone = 'UTC'")
        self._plans: dict[str, Plan] = {}

    def plan(self, template: Template, binds: list[Any]) -> Plan:
        """The operators of the unoptimised plan, each with its inputs: what the statement is,
        whatever is bound.
        """
        self._connection.execute("pragma disable_optimizer")
        try:
            rows = self._connection.execute(
                "explain (format json) " + template.sql, binds
            ).fetchall()
        finally:
            self._connection.execute("pragma enable_optimizer")
        (top,) = orjson.loads(rows[-1][-1])
        return shape(top)

    def usual_plan(self, template: Template) -> Plan:
        """The plan with the template's own example."""
        if template.name not in self._plans:
            binds = template.bind(
                template.check_params(template.example), customer=ADA.customer, is_analyst=True
            )
            self._plans[template.name] = self.plan(template, binds)
            assert "SCAN" in str(self._plans[template.name]), (
                "a plan that reads nothing proves nothing"
            )
        return self._plans[template.name]

    def rows(self, template: Template, binds: list[Any]) -> list[tuple[Any, ...]]:
        return self._connection.execute(template.sql, binds).fetchall()

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def engine(original: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """On a file of its own: one process cannot open a file in two configurations."""
    path = tmp_path_factory.mktemp("engine") / "warehouse.duckdb"
    shutil.copy(original.home.warehouse, path)
    engine = Engine(path)
    yield engine
    engine.close()


def filled(parameter: Parameter, text: str) -> Any:
    return [text] if parameter.type.startswith("list[") else text


def attempt(engine: Engine, template: Template, parameter: Parameter, text: str) -> bool:
    """Give `text` to one parameter: refused as that parameter (False), or bound without any effect
    but a comparison (True).
    """
    given = {**example(template), parameter.name: filled(parameter, text)}
    try:
        checked = template.check_params(given)
    except InvalidField as error:
        if error.field != parameter.name:
            raise
        return False
    binds = template.bind(checked, customer=ADA.customer, is_analyst=True)
    assert engine.plan(template, binds) == engine.usual_plan(template)
    if template.scope == "customer":
        assert not any(
            BOB.customer in str(row) or SECRET in str(row) for row in engine.rows(template, binds)
        )
    else:
        engine.rows(template, binds)
    return True


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_corpus_changes_no_plan_and_no_object(
    original: Built, engine: Engine, template_name: str
) -> None:
    template = original.catalog.get(template_name)
    before = fingerprint(engine.path)
    for parameter in filter(texts, template.parameters):
        bound = [attempt(engine, template, parameter, text) for text in CORPUS]
        takes_any_text = parameter.type in ("string", "list[string]") and not parameter.values
        assert any(bound) == takes_any_text, (
            f"{parameter.name}: a {parameter.type} takes nothing of the corpus"
        )
    assert fingerprint(engine.path) == before


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_text_at_all_changes_a_plan(
    original: Built, engine: Engine, data: st.DataObject
) -> None:
    places = [
        (template, parameter)
        for template in original.catalog.templates.values()
        for parameter in filter(texts, template.parameters)
    ]
    template, parameter = data.draw(st.sampled_from(places))
    fragments = st.sampled_from(
        ["'", '"', ";", "--", "/*", "*/", "?", "$$", "\\", " or ", "select ", "drop table ", ")"]
    )
    text = "".join(data.draw(st.lists(fragments | st.text(max_size=5), max_size=8)))
    attempt(engine, template, parameter, text)


def may_be_a_name(text: str) -> bool:
    try:
        check_customer(text)
    except ValueError:
        return False
    return True


NAMES = [text for text in CORPUS if may_be_a_name(text)]


@pytest.mark.parametrize("text", NAMES, ids=range(len(NAMES)))
def test_a_customers_name_is_a_value_too(original: Built, text: str) -> None:
    """The identity is bound like everything else: a strange one finds its own rows, which
    are none.
    """
    warehouse = DuckDBWarehouse(original.home.warehouse)
    template = original.catalog.get("recent_activities")
    binds = template.bind(template.check_params({}), customer=text, is_analyst=False)
    with warehouse.run_template(
        template, binds, query_tag="cdesk_00000000", timeout_seconds=30
    ) as outcome:
        assert sum(batch.num_rows for batch in outcome.batches) == 0


def test_a_query_cannot_write_reach_out_or_unlock(original: Built) -> None:
    """The second wall: even SQL that is none of the catalog could do nothing on the connection that
    templates run on.
    """
    import dataclasses

    from cdesk.core.errors import WarehouseError

    warehouse = DuckDBWarehouse(original.home.warehouse)
    before = fingerprint(original.home.warehouse)
    health = original.catalog.get("health")
    for sql in (
        "select 1; select 2",
        "insert into activities.landing select * from activities.landing",
        "delete from activities.landing",
        "copy activities.landing to 'stolen.csv'",
        "attach 'other.db'",
        "set enable_external_access = true",
        "pragma version",
        "select * from read_text('/etc/hosts')",
        "select * from 'stolen.csv'",
        "select getenv('HOME')",
        "with x as (delete from activities.landing returning *) select * from x",
    ):
        template = dataclasses.replace(health, sql=sql, binds=())
        with (
            pytest.raises(WarehouseError),
            warehouse.run_template(
                template, [], query_tag="cdesk_00000000", timeout_seconds=30
            ) as outcome,
        ):
            list(outcome.batches)
    assert fingerprint(original.home.warehouse) == before
