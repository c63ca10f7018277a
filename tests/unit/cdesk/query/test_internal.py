"""What cdesk asks the warehouse for itself goes by the identity that it is asked with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from cdesk.contract.catalog import Parameter, Template
from cdesk.core.errors import InvalidField
from cdesk.core.identity import ANALYST, Caller
from cdesk.query.internal import each_row, read_rows

TEMPLATE = Template(
    "held",
    "For tests.",
    "caller",
    (Parameter("limit", "integer", required=False, default=3),),
    "select ?, ?, ?",
    ("customer", "is_analyst", "limit"),
    {},
    "0" * 16,
)


class Asked:
    """Stands for a warehouse that answers everything with two batches."""

    def __init__(self) -> None:
        self.binds: list[Any] = []
        self.options: dict[str, Any] = {}

    @contextmanager
    def run_template(self, template: Template, binds: Any, **options: Any) -> Iterator[Any]:
        assert template is TEMPLATE
        self.binds, self.options = list(binds), options
        batches = [pa.RecordBatch.from_pydict({"n": part}) for part in ([1, 2], [3])]

        class Outcome:
            schema = batches[0].schema

        outcome = Outcome()
        outcome.batches = iter(batches)  # type: ignore[attr-defined]
        yield outcome

    def read_template(
        self, template: Template, binds: Any, **options: Any
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        assert template is TEMPLATE
        self.binds, self.options = list(binds), options
        return ["n"], [(1,), (2,), (3,)]


@pytest.mark.parametrize("roles", [frozenset(), frozenset({ANALYST})])
@pytest.mark.parametrize("ask", [read_rows, each_row])
def test_who_asks_and_in_which_role_is_bound(ask: Any, roles: frozenset[str]) -> None:
    warehouse = Asked()
    options = {"query_tag": "cdesk_00000001", "timeout_seconds": 7.0}
    found = ask(warehouse, TEMPLATE, {"limit": 2}, Caller("ada", roles), **options)
    rows = found.rows if ask is read_rows else list(found)
    assert rows == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert warehouse.binds == ["ada", ANALYST in roles, 2]
    assert warehouse.options.items() >= options.items()


def test_a_parameter_of_another_type_is_refused_before_anybody_is_asked() -> None:
    warehouse = Asked()
    with pytest.raises(InvalidField, match="limit"):
        read_rows(
            warehouse,  # type: ignore[arg-type]
            TEMPLATE,
            {"limit": "many"},
            Caller("ada"),
            query_tag="cdesk_00000001",
            timeout_seconds=1.0,
        )
    assert warehouse.binds == []


def test_a_whole_answer_is_read_at_once_and_can_be_cancelled() -> None:
    warehouse, cancel = Asked(), threading.Event()
    options: dict[str, Any] = {"query_tag": "cdesk_00000001", "timeout_seconds": 7.0}
    found = read_rows(warehouse, TEMPLATE, {}, Caller("ada"), **options, cancel=cancel)  # type: ignore[arg-type]
    assert (found.columns, len(found.rows)) == (["n"], 3)
    assert warehouse.options == {**options, "cancel": cancel}
    assert warehouse.binds == ["ada", False, 3], "with the parameters' defaults"
    list(each_row(warehouse, TEMPLATE, {}, Caller("ada"), **options))  # type: ignore[arg-type]
    assert warehouse.options == options, "one row after the other, however many"


def test_a_zone_that_nobody_names_is_the_persons() -> None:
    zone = Parameter("zone", "timezone", required=False)
    template = replace(TEMPLATE, parameters=(zone,), binds=("zone",))

    class Zoned(Asked):
        def read_template(
            self, template: Template, binds: Any, **options: Any
        ) -> tuple[list[str], list[tuple[Any, ...]]]:
            del template
            return super().read_template(TEMPLATE, binds, **options)

    def bound(**given: Any) -> list[Any]:
        warehouse = Zoned()
        options: dict[str, Any] = {"query_tag": "t", "timeout_seconds": 1.0, **given}
        read_rows(warehouse, template, {}, Caller("ada"), **options)  # type: ignore[arg-type]
        return warehouse.binds

    assert (bound(), bound(timezone="Asia/Tokyo")) == (["UTC"], ["Asia/Tokyo"])
