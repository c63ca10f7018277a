"""An estimate, and nothing run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from query_desk import answer

from cdesk.query.dry_run import estimates

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
