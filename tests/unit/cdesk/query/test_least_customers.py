"""Rows of too few customers: in no part of an answer, and no answer stands for another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from query_desk import answer

if TYPE_CHECKING:
    from query_desk import Desk

_SECRET = "zx-small-group"
_MADE = "'zx-small' || '-group'"  # so that the SQL, which is kept, does not hold it
_ROWS = (
    f"select * from (values ('many', 7), ('some', 5), ({_MADE}, 4), ({_MADE}, null)) "
    "as t(label, customers)"
)


@pytest.fixture
def templates(desk: Desk) -> Desk:
    """One template of each kind over the same rows, `own` with the caller's among them."""
    base = {**desk.templates["everyone"], "sql": _ROWS, "evidence_columns": {"label": "system"}}
    caller: dict[str, Any] = {"scope": "caller", "binds": ["customer", "is_analyst"]}
    both = "(? is not null or ?)"
    desk.write_catalog(
        dict(desk.templates)
        | {
            "counted": {**base, "customers_behind_row": "customers"},
            "of_system": {**base, "customers_behind_row": "none"},
            "undeclared": base,
            "misnamed": {**base, "customers_behind_row": "nobody"},
            "by_caller": {
                **base,
                **caller,
                "sql": f"{_ROWS} where {both}",
                "customers_behind_row": "customers",
            },
            "of_one": {
                **base,
                **caller,
                "sql": "select * from (values ('ada@example.com', 'mine'), "
                f"('bob@example.com', {_MADE})) as t(customer, label) "
                "where customer = ? or ?",
            },
        }
    )
    return desk


def everything(desk: Desk, result: dict[str, Any]) -> str:
    """All that is kept of an answer."""
    path = desk.executor().artifacts.path(result["artifact"]["uri"])
    runs = desk.state.execute("select * from query_runs").fetchall()
    return f"{result} {pq.read_table(path).to_pylist()} {desk.records()} {runs}"


@pytest.mark.parametrize("template", ["counted", "by_caller"])
def test_rows_of_too_few_customers_are_in_no_part_of_an_answer(
    templates: Desk, template: str
) -> None:
    result = answer(templates, template, least_customers=5)
    assert [row[0] for row in result["rows"]] == ["many", "some"]
    assert result["row_count"] == 2
    assert result["sampling_note"] == "left out 2 rows of fewer than 5 customers"
    assert _SECRET not in everything(templates, result)


@pytest.mark.parametrize(
    ("template", "least", "rows"),
    [
        ("counted", 1, 4),
        ("counted", 8, 0),
        ("of_system", 5, 4),
        ("undeclared", 5, 0),
        ("undeclared", 1, 4),
        ("misnamed", 5, 0),
    ],
)
def test_what_a_template_declares_decides_and_without_it_no_row_is_shown(
    templates: Desk, template: str, least: int, rows: int
) -> None:
    result = answer(templates, template, least_customers=least)
    assert result["row_count"] == rows
    assert (result["sampling_note"] is None) == (rows == 4)


def test_where_each_row_is_of_one_customer_the_own_ones_are_read_and_no_others(
    templates: Desk,
) -> None:
    result = answer(templates, "of_one", least_customers=5)
    assert [row[1] for row in result["rows"]] == ["mine"]
    assert result["sampling_note"].startswith("only this customer's rows")
    assert _SECRET not in everything(templates, result)
    request = templates.request("of_one", least_customers=5)
    assert not request.sees_everyone
    assert len(answer(templates, "of_one")["rows"]) == 2


@pytest.mark.parametrize("template", ["counted", "by_caller", "of_one"])
def test_no_answer_is_given_in_place_of_one_with_other_rows(templates: Desk, template: str) -> None:
    executor, answers = templates.executor(), []
    for least in (1, 5, 1, 5, 7):
        request = templates.request(template, least_customers=least)
        answers.append(executor.answer(request, templates.state))
    whole, few, whole_again, few_again, seven = answers
    assert (whole_again["reused"], few_again["reused"], few["reused"]) == (True, True, False)
    assert whole_again["rows"] == whole["rows"]
    assert few_again["rows"] == few["rows"]
    assert few_again["sampling_note"] == few["sampling_note"]
    assert (len(whole["rows"]), whole["sampling_note"]) != (len(few["rows"]), None)
    if template != "of_one":
        assert len(seven["rows"]) == 1


def test_a_dry_run_counts_no_rows_that_the_answer_leaves_out(templates: Desk) -> None:
    shown = answer(templates, "counted", dry_run=True)
    hidden = answer(templates, "counted", dry_run=True, least_customers=5)
    assert shown["estimated_rows"] is not None
    assert (hidden["estimated_rows"], hidden["estimated_bytes"]) == (None, None)
    assert "not shown" in hidden["plan"]


def test_a_ticket_brings_the_number_to_whoever_runs_it(templates: Desk) -> None:
    request = templates.request("counted", least_customers=5)
    ticket_id = templates.submit("counted", query_hash=request.query_hash, least_customers=5)
    runner = templates.runner()
    try:
        runner.poll()
        assert runner.wait_idle(30)
    finally:
        runner.close()
    result = templates.ticket(ticket_id).result
    assert result is not None
    assert result["row_count"] == 2
