"""Scenarios that share their builds. Each lands records of customers of its own in one warehouse,
and says where it wants a build; one build serves all that have come that far.

    @in_step
    def test_something(own: Own) -> Steps:
        own.land([event(1)])
        yield BUILD
        assert own.query("select count(*) from events") == [(1,)]

A build of all tables costs about a second whatever is in them. A scenario sees its own rows alone,
under the names that it gave; those of the others are neighbours that must not matter. What touches
the rows of others (drops a table, sets a variable, names no customer) keeps a warehouse to itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import Enum
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

if TYPE_CHECKING:
    from tests.integration.dbt.conftest import DbtWarehouse, Row

FIRST_ROUND = datetime(2026, 3, 1)  # noqa: DTZ001  (the warehouse holds UTC without zone)
_ID = re.compile(r"\b00000000-(?=0000-4000-8)")
_CUSTOMER = re.compile(r"^(\w+)(?=@example\.com$)")


class Step(Enum):
    BUILD = "build"
    BUILD_ANEW = "build with --full-refresh"


BUILD, BUILD_ANEW = Step.BUILD, Step.BUILD_ANEW
Steps = Generator[Step, None, None]
Scenario = Callable[["Own"], Steps]


class Own:
    """One scenario's part of the warehouse. Customers (`…@example.com`), ids and files are the
    scenario's own where they are stored, and read as it named them.
    """

    def __init__(self, warehouse: DbtWarehouse, number: int) -> None:
        self._warehouse = warehouse
        self._number = number
        self._landings = 0
        self._customers: set[str] = set()
        self.round = 0

    def customer(self, name: str) -> str:
        """A customer's name as it is stored."""
        return _CUSTOMER.sub(rf"\1.{self._number}", name)

    @property
    def ids(self) -> str:
        """How all stored ids of the scenario begin."""
        return f"{self._number:08x}-"

    def land(
        self,
        records: Iterable[Mapping[str, Any]],
        *,
        source_file: str | None = None,
        landed_at: datetime | None = None,
    ) -> datetime:
        """As DbtWarehouse.land; a day after what landed before the last build."""
        self._landings += 1
        named = []
        for record in records:
            text = _ID.sub(self.ids, json.dumps(record))
            customer = self.customer(record["customer"])
            self._customers.add(customer)
            named.append({**json.loads(text), "customer": customer})
        return self._warehouse.land(
            named,
            source_file=f"own.{self._number}.{source_file or self._landings}",
            landed_at=landed_at
            or FIRST_ROUND + timedelta(days=self.round, seconds=60 * self._number + self._landings),
        )

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Rows of the own customers, in the own names."""
        with self._warehouse.connect() as connection:
            for relation, condition in self._conditions(connection, sql):
                connection.execute(
                    f"create temp view {relation} as "
                    f"select * from activities.{relation} where {condition}"
                )
            rows = connection.execute(sql, parameters).fetchall()
        return [tuple(self._as_named(value) for value in row) for row in rows]

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The whole warehouse, of all scenarios."""
        with self._warehouse.connect() as connection:
            yield connection

    def _conditions(
        self, connection: duckdb.DuckDBPyConnection, sql: str
    ) -> Iterator[tuple[str, str]]:
        """Relations that `sql` names, and which of their rows are the scenario's."""
        columns = connection.execute(
            "select table_name, list(column_name) from information_schema.columns "
            "where table_schema = 'activities' group by 1"
        ).fetchall()
        for relation, names in columns:
            if not re.search(rf"\b{relation}\b", sql):
                continue
            if "customer" in names:
                customers = ", ".join(f"'{name}'" for name in sorted(self._customers)) or "null"
                yield relation, f"customer in ({customers})"
            elif "source_file" in names:
                yield relation, f"starts_with(source_file, 'own.{self._number}.')"

    def _as_named(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        text = value.replace(f".{self._number}@example.com", "@example.com")
        text = text.replace(f"{self.ids}0000-4000-8", "00000000-0000-4000-8")
        return text.replace(f"own.{self._number}.", "")


def in_step(scenario: Callable[..., Steps]) -> Callable[..., None]:
    """A test of a scenario, which runs with all others (fixture `scenarios_in_step`)."""

    @wraps(scenario)
    def test(request: pytest.FixtureRequest, **_parameters: object) -> None:
        outcomes: Mapping[str, Exception | None] = request.getfixturevalue("scenarios_in_step")
        problem = outcomes[request.node.nodeid]
        if problem is not None:
            raise problem

    # For pytest a function of `request` and the scenario's parameters, and no generator.
    _own, *parameters = signature(scenario).parameters.values()
    asked = Parameter("request", Parameter.POSITIONAL_OR_KEYWORD)
    test.__signature__ = Signature([asked, *parameters])  # type: ignore[attr-defined]
    del test.__wrapped__  # type: ignore[attr-defined]
    test.scenario = scenario  # type: ignore[attr-defined]
    return test


def scenarios_of(items: Iterable[pytest.Item]) -> dict[str, Scenario]:
    """Id of a test → its scenario with the test's parameters, of all tests that are to run."""
    found: dict[str, Scenario] = {}
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item.obj, "scenario"):
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            found[item.nodeid] = partial(item.obj.scenario, **parameters)
    return found


def run_in_step(
    warehouse: DbtWarehouse, scenarios: Mapping[str, Scenario]
) -> dict[str, Exception | None]:
    """Run all scenarios to their ends; what each failed with, or None. A build anew waits until no
    scenario wants another one.
    """
    warehouse.empty()
    outcomes: dict[str, Exception | None] = {}
    waiting: dict[str, Step] = {}
    own = {name: Own(warehouse, number) for number, name in enumerate(scenarios, 1)}
    running = {name: scenario(own[name]) for name, scenario in scenarios.items()}

    def go_on(name: str, problem: Exception | None = None) -> None:
        waiting.pop(name, None)
        try:
            scenario = running[name]
            waiting[name] = next(scenario) if problem is None else scenario.throw(problem)
        except StopIteration:
            outcomes[name] = None
        except Exception as error:  # noqa: BLE001  (raised again by the scenario's test)
            outcomes[name] = error

    for name in scenarios:
        go_on(name)
    while waiting:
        step = BUILD if BUILD in waiting.values() else BUILD_ANEW
        problem: Exception | None = None
        try:
            warehouse.build(full=step is BUILD_ANEW)
        except Exception as error:  # noqa: BLE001
            problem = error
        for one in own.values():
            one.round += 1
        for name in [name for name, wanted in waiting.items() if wanted is step]:
            go_on(name, problem)
    return outcomes
