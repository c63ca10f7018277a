"""The project's own tests, run by dbt: unit tests of its logic, data tests of what it built."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import yaml

from tests.integration.dbt.conftest import PROJECT, DbtWarehouse, event, insight, query_run


def unit_tests() -> set[str]:
    return {
        entry["name"]
        for path in (PROJECT / "models").rglob("*.yml")
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")).get("unit_tests") or []
    }


def test_every_test_of_the_project_passes_on_what_it_builds(warehouse: DbtWarehouse) -> None:
    warehouse.land(
        [event(1), event(2), query_run(3), insight(4), {**event(5), "ts": "yesterday"}],
    )
    results: list[Any] = warehouse.dbt("build")
    kinds = sorted((str(result.node.resource_type), result.node.name) for result in results)
    named = {
        kind: {name for _, name in group} for kind, group in groupby(kinds, key=lambda one: one[0])
    }
    assert named["unit_test"] == unit_tests()
    assert "every_relation_is_guarded" in named["test"]
    ended = {
        str(result.status)
        for result in results
        if str(result.node.resource_type)
        not in ("exposure", "saved_query")  # dbt lists them, and does nothing
    }
    assert ended == {"success", "pass"}
    (built,) = warehouse.query("select count(*) from events")
    assert built == (2,), "the data tests had rows to look at"


def test_a_seed_that_gained_a_column_is_loaded_into_its_older_table(
    warehouse: DbtWarehouse,
) -> None:
    with warehouse.connect() as connection:
        connection.execute("alter table activity_vocabulary drop column recorded_by")
    warehouse.dbt("seed", "--select", "activity_vocabulary")
    (found,) = warehouse.query("select count(*) from activity_vocabulary where recorded_by is null")
    assert found == (0,)
