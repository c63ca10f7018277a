"""One row has a series behind it: the same question by a finer period, proven like any other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from query_desk import answer

from cdesk.artifacts.formats import rows_at
from cdesk.contract.catalog import Parameter
from cdesk.query.trend import finer_params, trend_reference

if TYPE_CHECKING:
    from query_desk import Desk


def test_one_row_names_the_series_behind_it(desk: Desk) -> None:
    found = answer(desk, "by_period", {"period": "week"})
    assert found["row_count"] == 1
    trend = found["trend"]
    assert trend["period"] == "day"
    source = desk.executor().artifacts.source(trend["uri"])
    assert [row[1] for row in rows_at(source, 0, 100)] == [1, 2, 3, 4, 5, 6, 7]
    runs = {run["query_hash"]: run for run in desk.records("query_run")}
    assert set(runs) == {found["query_hash"], trend["query_hash"]}
    assert runs[trend["query_hash"]]["artifact_id"] == trend["artifact_id"]
    assert runs[trend["query_hash"]]["params"].count('"period":"day"') == 1
    again = answer(desk, "by_period", {"period": "week"})
    assert (again["reused"], again["trend"]) == (True, trend)
    assert len(desk.records("query_run")) == 2, "nor is the series asked for again"


def test_the_series_is_its_askers_own(desk: Desk) -> None:
    mine = answer(desk, "by_period", {"period": "week"})["trend"]
    theirs = answer(desk, "by_period", {"period": "week"}, customer="bob@example.com")["trend"]
    assert mine["query_hash"] != theirs["query_hash"]
    assert mine["uri"].rpartition("/")[0] != theirs["uri"].rpartition("/")[0]


@pytest.mark.parametrize(
    ("template", "params"),
    [("by_period", {"period": "day"}), ("numbers", {"rows": 1}), ("numbers", {"rows": 5})],
    ids=["many rows", "no period", "neither"],
)
def test_nothing_else_has_one(desk: Desk, template: str, params: dict[str, object]) -> None:
    assert "trend" not in answer(desk, template, params)
    assert len(desk.records("query_run")) == 1


def test_a_series_that_cannot_be_had_costs_the_answer_nothing(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    template = desk.templates["by_period"]
    broken = {**template, "sql": template["sql"].replace("'day' then 7", "'none' then 7")}
    desk.write_catalog({**desk.templates, "by_period": broken})
    found = answer(desk, "by_period", {"period": "week"})
    assert (found["row_count"], found["trend"]) == (1, None)
    assert [run["status"] for run in desk.records("query_run")] == ["succeeded", "failed"]
    assert "no trend" in caplog.text


ALL = ("hour", "day", "week", "month", "quarter", "year")


@pytest.mark.parametrize(
    ("period", "values", "finer"),
    [
        ("year", ALL, "month"),
        ("year", ("day", "week", "year"), "week"),
        ("quarter", ALL, "month"),
        ("quarter", ("day", "quarter"), "day"),
        ("month", ALL, "day"),
        ("month", ("week", "month"), "week"),
        ("week", ALL, "day"),
        ("day", ALL, "hour"),
        ("day", ("day", "week"), None),
        ("hour", ALL, None),
        ("fortnight", ALL, None),
        (None, ALL, None),
    ],
)
def test_the_series_is_by_the_first_finer_period_that_the_template_knows(
    desk: Desk, period: str | None, values: tuple[str, ...], finer: str | None
) -> None:
    request = desk.request("by_period", {"period": "week"})
    other = Parameter("among", "enum", values=("minute",))
    template = replace(
        request.template, parameters=(other, Parameter("period", "enum", values=values))
    )
    request = replace(request, template=template, params={"among": "minute", "period": period})
    expected = None if finer is None else {"among": "minute", "period": finer}
    assert finer_params(request, {"row_count": 1}) == expected


@pytest.mark.parametrize(
    "answer_",
    [{"row_count": 0}, {"row_count": 2}, {}, {"row_count": 1, "dry_run": True}],
    ids=str,
)
def test_only_an_answer_of_one_row_has_a_series(desk: Desk, answer_: dict[str, Any]) -> None:
    request = desk.request("by_period", {"period": "week"})
    assert finer_params(request, answer_) is None
    assert finer_params(desk.request("numbers", {"rows": 1}), {"row_count": 1}) is None


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_a_series_has_two_points_at_least(rows: int) -> None:
    artifact = {"artifact_id": "a", "uri": "u", "format": "parquet"}
    found = trend_reference(
        {"row_count": rows, "query_hash": "h", "query_tag": "t", "artifact": artifact}, "day"
    )
    assert found == (
        {"period": "day", "query_hash": "h", "query_tag": "t", "artifact_id": "a", "uri": "u"}
        if rows == 2
        else None
    )
