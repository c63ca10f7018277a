"""An estimate, and nothing run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from query_desk import answer

from cdesk.query.dry_run import estimate, estimates

if TYPE_CHECKING:
    from query_desk import Desk


def test_a_dry_run_shows_sql_binds_and_estimate_and_runs_nothing(desk: Desk) -> None:
    result = answer(desk, "numbers", {"rows": 7}, dry_run=True)
    assert result["dry_run"] is True
    assert result["binds"] == [
        {"name": "customer", "value": "ada@example.com"},
        {"name": "rows", "value": 7},
    ]
    assert "?" in result["sql"]
    assert "7" not in result["sql"]
    assert isinstance(result["estimated_rows"], int)
    assert desk.records() == []
    assert [path for path in desk.home.artifacts.rglob("*") if path.is_file()] == []


def test_estimates_are_read_from_either_engines_plan() -> None:
    above, below = (f'  "Estimated Cardinality": "{rows}"\n' for rows in (1000, 5))
    assert estimates(f"{above}  children:\n  {below}") == (1000, None)
    assert estimates('{"GlobalStats":{"partitionsTotal":3,"bytesAssigned":4096}}') == (None, 4096)
    assert estimates("GlobalStats:\n\tpartitionsTotal=3\n\tbytesAssigned=4096") == (None, 4096)
    assert estimates("nothing of the kind") == (None, None)


def test_the_size_of_an_estimate_goes_by_the_last_answer(desk: Desk) -> None:
    assert answer(desk, "numbers", {"rows": 7}, dry_run=True)["estimated_bytes"] is None
    last = answer(desk, "numbers", {"rows": 100})
    estimate = answer(desk, "numbers", {"rows": 1000}, dry_run=True)
    assert estimate["estimated_rows"] > 0
    assert (
        estimate["estimated_bytes"]
        == estimate["estimated_rows"] * last["byte_count"] // last["row_count"]
    )


@pytest.mark.parametrize(("length", "cut"), [(8_000, False), (8_001, True)])
def test_a_long_plan_is_cut_where_everybody_sees_it(desk: Desk, length: int, cut: bool) -> None:
    plan = "x" * length
    found = estimate(desk.request("numbers", {"rows": 7}), plan, desk.state)
    assert found["plan"] == ("x" * 8_000 + "…" if cut else plan)
    assert (found["estimated_rows"], found["estimated_bytes"]) == (None, None)


def test_the_size_is_the_plans_own_or_by_the_last_answer_that_had_rows(desk: Desk) -> None:
    for at, rows, size in ((1, 100, 5_000), (2, 10, 1_000), (3, 0, 0), (4, None, None)):
        desk.state.execute(
            "insert into query_runs (customer, query_hash, ticket_id, template, finished_at, "
            "values_complete, result) values ('ada@example.com', ?, 't', 'numbers', ?, 1, "
            "json_object('row_count', ?, 'byte_count', ?))",
            (str(at), str(at), rows, size),
        )
    request = desk.request("numbers", {"rows": 7})
    planned = '"Estimated Cardinality": "25"'
    assert estimate(request, planned, desk.state)["estimated_bytes"] == 2_500
    both = planned + " bytesAssigned=7"
    assert estimate(request, both, desk.state)["estimated_bytes"] == 7
    for other in (
        desk.request("clock"),
        desk.request("numbers", {"rows": 7}, customer="bob@example.com"),
    ):
        assert estimate(other, planned, desk.state)["estimated_bytes"] is None


def test_an_estimate_names_the_question(desk: Desk) -> None:
    request = desk.request("numbers", {"rows": 7})
    found = estimate(request, "the plan", desk.state)
    assert found == {
        "dry_run": True,
        "template": "numbers",
        "query_hash": request.query_hash,
        "query_tag": request.query_tag,
        "sql": request.template.sql,
        "binds": [
            {"name": "customer", "value": "ada@example.com"},
            {"name": "rows", "value": 7},
        ],
        "estimated_rows": None,
        "estimated_bytes": None,
        "plan": "the plan",
    }
