"""Insight atoms and the context cache, built for real: what changes when something lands later, and what stays."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.dbt.conftest import DbtWarehouse, envelope, event, insight, query_run

ATOMS = "select * from insight_atoms order by insight_id"
CONTEXT = "select customer, context, version, _question_ids, _last_event_at, _events_landed_at from context_cache order by customer"


def atoms(warehouse: DbtWarehouse) -> dict[str, tuple[bool, str, bool]]:
    """Subject and value → verified, reason, current."""
    rows = warehouse.query(
        "select subject || value_text, verified, verification_reason, is_current from insight_atoms"
    )
    return {name: (verified, reason, is_current) for name, verified, reason, is_current in rows}


def contexts(warehouse: DbtWarehouse) -> dict[str, Any]:
    return {
        customer: json.loads(text)
        for customer, text in warehouse.query("select customer, context from context_cache")
    }


def test_an_insight_is_verified_once_its_query_has_landed(warehouse: DbtWarehouse) -> None:
    warehouse.land([insight(1), insight(2, subject="wrong", value=43)])
    warehouse.build()
    assert atoms(warehouse) == {
        "sales42": (False, "unknown_query", True),
        "wrong43": (False, "unknown_query", True),
    }
    warehouse.land([query_run(10, customer="bob@example.com", result_values=[42, 43])])
    warehouse.build()
    assert atoms(warehouse)["sales42"] == (False, "unknown_query", True), (
        "a run of somebody else proves nothing"
    )
    warehouse.land([query_run(11)])
    warehouse.build()
    assert atoms(warehouse) == {
        "sales42": (True, "verified", True),
        "wrong43": (False, "value_not_in_result", True),
    }
    warehouse.land([query_run(12, result_values=[43])])
    warehouse.build()
    assert atoms(warehouse)["wrong43"] == (True, "verified", True), "asked again, the same query found it"
    built = warehouse.query(ATOMS)
    warehouse.build(full=True)
    assert warehouse.query(ATOMS) == built


def test_a_late_insight_finds_its_place_among_those_recorded_since(warehouse: DbtWarehouse) -> None:
    warehouse.land(
        [
            insight(1, ts="2026-02-01T00:00:00.000000Z", value=1),
            insight(2, ts="2026-02-03T00:00:00.000000Z", value=3),
        ]
    )
    warehouse.build()
    warehouse.land([insight(3, ts="2026-02-02T00:00:00.000000Z", value=2)])
    warehouse.build()
    chain = warehouse.query(
        "select value_text, cast(superseded_at as varchar), is_current from insight_atoms order by ts"
    )
    assert chain == [
        ("1", "2026-02-02 00:00:00", False),
        ("2", "2026-02-03 00:00:00", False),
        ("3", None, True),
    ]
    built = warehouse.query(ATOMS)
    warehouse.build(full=True)
    assert warehouse.query(ATOMS) == built


def test_context_holds_the_newest_whatever_the_order_of_arrival(warehouse: DbtWarehouse) -> None:
    for first in (20, 1, 30, 15):
        warehouse.land(
            [
                event(
                    number,
                    ts=f"2026-02-01T00:00:{number:02}.000000Z",
                    feature_json={"question": f"Question {number}?"} if number % 2 else {},
                )
                for number in range(first, first + 9)
            ]
        )
        warehouse.build()
    context = contexts(warehouse)["ada@example.com"]
    landed = sorted({*range(20, 29), *range(1, 10), *range(30, 39), *range(15, 24)}, reverse=True)
    assert [row["ts"][17:19] for row in context["last_activities"]] == [
        f"{number:02}" for number in landed[:20]
    ]
    odd = [number for number in landed if number % 2]
    assert [row["question"] for row in context["recent_questions"]] == [
        f"Question {number}?" for number in odd[:10]
    ]
    built = warehouse.query(CONTEXT)
    warehouse.build(full=True)
    assert warehouse.query(CONTEXT) == built


def test_updated_at_moves_only_with_the_version_and_the_day_moves_the_counts(warehouse: DbtWarehouse) -> None:
    def state(day: str) -> tuple[dict[str, Any], str, Any]:
        warehouse.build(variables={"cdesk_now": f"{day}T12:00:00"})
        ((text, version, updated_at),) = warehouse.query(
            "select context, version, updated_at from context_cache"
        )
        return json.loads(text)["counts"], version, updated_at

    warehouse.land([event(1, ts="2026-02-01T23:59:59.999999Z")])
    first = state("2026-02-01")
    assert first[0] == {"cdesk.user_asked": {"d1": 1, "d7": 1, "d30": 1}}
    assert state("2026-02-01") == first, "nothing landed"
    warehouse.land(
        [
            envelope(
                "artifact",
                2,
                uri="s3://b/k",
                format="csv",
                rows=1,
                bytes=1,
                sampled=False,
                query_hash="0" * 16,
                expires_at="2027-01-01T00:00:00.000000Z",
                legal_hold=False,
            )
        ]
    )
    assert state("2026-02-01") == first, "nothing landed that is in it"
    second = state("2026-02-02")
    assert second[0] == {"cdesk.user_asked": {"d1": 0, "d7": 1, "d30": 1}}
    assert second[1] != first[1]
    assert second[2] > first[2]
    assert state("2026-02-03")[1:] == second[1:], "the day moved, and no count with it"
    assert state("2026-03-02")[0] == {"cdesk.user_asked": {"d1": 0, "d7": 0, "d30": 1}}
    assert state("2026-03-03")[0] == {}
