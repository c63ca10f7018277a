"""What MetricFlow would compute of the semantic models can be computed of the models' columns.

That the YAML is whole, dbt itself says whenever it parses the project.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

MODELS = Path(__file__).resolve().parents[2] / "models"
SEMANTIC = yaml.safe_load((MODELS / "semantic" / "_semantic__models.yml").read_text("utf-8"))
AGGREGATES = {
    "sum": "sum({})",
    "count": "count({})",
    "count_distinct": "count(distinct {})",
    "median": "median({})",
}


def columns(model: str) -> dict[str, str]:
    """The columns that a model's YAML declares, with their types."""
    for path in MODELS.glob("*/_*__models.yml"):
        for found in yaml.safe_load(path.read_text("utf-8"))["models"]:
            if found["name"] == model:
                return {c["name"]: c["data_type"] for c in found["columns"]}
    raise AssertionError(f"there is no model {model}")


@pytest.mark.parametrize("model", SEMANTIC["semantic_models"], ids=lambda model: model["name"])
def test_every_expression_reads_columns_that_the_model_has(
    model: dict[str, Any], connection: duckdb.DuckDBPyConnection
) -> None:
    declared = columns(model["model"].removeprefix("ref('").removesuffix("')"))
    given = ", ".join(f"cast(null as {kind}) as {name}" for name, kind in declared.items())
    asked = [item.get("expr", item["name"]) for item in (*model["entities"], *model["dimensions"])]
    measured = [
        AGGREGATES[item["agg"]].format(item.get("expr", item["name"])) for item in model["measures"]
    ]
    for selected in (asked, measured):
        connection.execute(f"select {', '.join(selected)} from (select {given})")


def test_every_metric_is_described() -> None:
    assert all(item["description"] and item["label"] for item in SEMANTIC["metrics"])


@pytest.mark.parametrize(
    "metric",
    [metric for metric in SEMANTIC["metrics"] if metric["type"] == "conversion"],
    ids=lambda metric: metric["name"],
)
def test_a_conversion_is_a_share(metric: dict[str, Any]) -> None:
    """MetricFlow takes every row for a base, and counts every conversion, unless it is told."""
    given = metric["type_params"]["conversion_type_params"]
    measures = {
        measure["name"]: measure
        for model in SEMANTIC["semantic_models"]
        for measure in model["measures"]
    }
    base = measures[given["base_measure"]["name"]]
    activity = given["base_measure"]["filter"].partition(" = ")[2]
    assert base["expr"] == f"case when activity = {activity} then 1 end"
    assert measures[given["conversion_measure"]]["agg"] == "count_distinct"


@pytest.fixture
def connection() -> Any:
    with duckdb.connect() as opened:
        yield opened
