"""Insight atoms and the context cache, built for real: what changes when something lands later, and
what stays.
"""

from __future__ import annotations

import json
import random
from collections.abc import Generator
from typing import Any

import pytest

from cdesk.contract.records import proof_hash
from mcp_shim.context import SECTIONS, read_sections
from tests.integration.dbt.conftest import (
    DbtWarehouse,
    envelope,
    event,
    evidence,
    hash_of,
    insight,
    params_of,
    query_run,
)
from tests.integration.dbt.in_step import BUILD, BUILD_ANEW, Own, Step, Steps, in_step

ATOMS = "select * from insight_atoms order by insight_id"
CONTEXT = (
    "select customer, context, version, _question_ids, _last_event_at, _events_landed_at from "
    "context_cache order by customer"
)


def atoms(warehouse: DbtWarehouse | Own) -> dict[str, tuple[bool, str, bool]]:
    """Subject and value → verified, reason, current."""
    rows = warehouse.query(
        "select subject || value_text, verified, verification_reason, is_current from insight_atoms"
    )
    return {name: (verified, reason, is_current) for name, verified, reason, is_current in rows}


def contexts(warehouse: DbtWarehouse | Own) -> dict[str, Any]:
    return {
        customer: json.loads(text)
        for customer, text in warehouse.query("select customer, context from context_cache")
    }


@in_step
def test_an_insight_is_verified_once_its_query_has_landed(own: Own) -> Steps:
    own.land([insight(1), insight(2, subject="wrong", value=43)])
    yield BUILD
    assert atoms(own) == {
        "sales42": (False, "unknown_query", True),
        "wrong43": (False, "unknown_query", True),
    }
    own.land([query_run(10, customer="bob@example.com", evidence=evidence(42, 43))])
    yield BUILD
    assert atoms(own)["sales42"] == (False, "unknown_query", True), (
        "a run of somebody else proves nothing"
    )
    own.land([query_run(11)])
    yield BUILD
    assert atoms(own) == {
        "sales42": (True, "verified", True),
        "wrong43": (False, "value_not_in_evidence", True),
    }
    own.land([query_run(12, evidence=evidence(43))])
    yield BUILD
    assert atoms(own)["wrong43"] == (True, "verified", True), "asked again, the same query found it"
    built = own.query(ATOMS)
    yield BUILD_ANEW
    assert own.query(ATOMS) == built


@in_step
def test_a_late_insight_finds_its_place_among_those_recorded_since(own: Own) -> Steps:
    own.land(
        [
            insight(1, ts="2026-02-01T00:00:00.000000Z", value=1),
            insight(2, ts="2026-02-03T00:00:00.000000Z", value=3),
        ]
    )
    yield BUILD
    own.land([insight(3, ts="2026-02-02T00:00:00.000000Z", value=2)])
    yield BUILD
    chain = own.query(
        "select value_text, cast(superseded_at as varchar), is_current from insight_atoms "
        "order by ts"
    )
    assert chain == [
        ("1", "2026-02-02 00:00:00", False),
        ("2", "2026-02-03 00:00:00", False),
        ("3", None, True),
    ]
    built = own.query(ATOMS)
    yield BUILD_ANEW
    assert own.query(ATOMS) == built


def forget(number: int, insight_number: int, **fields: Any) -> dict[str, Any]:
    """An event by which somebody asks to forget an insight."""
    named = insight(insight_number)["id"]
    return event(
        number, activity="cdesk.insight_forgotten", feature_json={"insight_id": named}, **fields
    )


@in_step
def test_what_was_forgotten_is_gone_with_the_next_build_whatever_the_order_of_arrival(
    own: Own,
) -> Steps:
    def day(number: int) -> str:
        return f"2026-02-{number:02}T00:00:00.000000Z"

    def shown() -> tuple[list[Any], list[Any]]:
        context = contexts(own)["ada@example.com"]
        return (
            [item["value"] for item in context["insights"]],
            [item["value"] for item in context["unverified"]],
        )

    def as_by_a_full_build() -> Generator[Step, None, bool]:
        built = own.query(ATOMS), own.query(CONTEXT)[0][1:3]
        yield BUILD_ANEW
        return built == (own.query(ATOMS), own.query(CONTEXT)[0][1:3])

    own.land(
        [
            query_run(10, evidence=evidence(41, 42, 43)),
            *(insight(n, ts=day(n), value=40 + n, provenance_query_hash=hash_of()) for n in (1, 2)),
            insight(3, ts=day(3), value=7, provenance_query_hash=None),
        ]
    )
    yield BUILD
    assert shown() == ([42], [7])
    own.land([forget(20, 2), forget(21, 5), forget(22, 1, customer="bob@example.com")])
    yield BUILD
    assert shown() == ([], [7]), "neither 42 nor the 41 that it superseded"
    assert own.query("select count(*) from provenance_chain") == [(1,)]
    own.land([insight(4, ts=day(1), value=43), insight(5, ts=day(9), value=42)])
    yield BUILD
    assert shown() == ([], []), "a late one, and one that was forgotten before it came"
    assert (yield from as_by_a_full_build())
    own.land([insight(6, ts=day(10), value=43)])
    yield BUILD
    assert shown() == ([43], []), "what is learned anew counts"
    assert (yield from as_by_a_full_build())


@in_step
def test_context_holds_the_newest_whatever_the_order_of_arrival(own: Own) -> Steps:
    for first in (20, 1, 30, 15):
        own.land(
            [
                event(
                    number,
                    ts=f"2026-02-01T00:00:{number:02}.000000Z",
                    feature_json={"question": f"Question {number}?"} if number % 2 else {},
                )
                for number in range(first, first + 9)
            ]
        )
        yield BUILD
    context = contexts(own)["ada@example.com"]
    landed = sorted({*range(20, 29), *range(1, 10), *range(30, 39), *range(15, 24)}, reverse=True)
    odd = [number for number in landed if number % 2]
    assert [row["question"] for row in context["recent_questions"]] == [
        f"Question {number}?" for number in odd[:10]
    ]
    built = own.query(CONTEXT)
    yield BUILD_ANEW
    assert own.query(CONTEXT) == built


def test_updated_at_moves_only_with_the_version_and_the_day_moves_the_counts(
    warehouse: DbtWarehouse,
) -> None:
    def state(day: str) -> tuple[dict[str, Any], str, Any]:
        warehouse.build(
            "_ingest_ids",
            "events",
            "artifacts",
            "context_cache",
            variables={"cdesk__now": f"{day}T12:00:00"},
        )
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


@in_step
def test_a_value_of_the_memory_itself_proves_nothing(own: Own) -> Steps:
    """Remembered without proof, found again by a question for what is remembered, remembered with
    that question's hash.
    """
    own.land([insight(1, value=999_999, provenance_query_hash=None)])
    yield BUILD
    runs = [
        query_run(10 + number, template=template, asked=f"{number}", evidence=evidence(999_999))
        for number, template in enumerate(
            ("insights", "insight_history", "feature_values", "recent_activities")
        )
    ]
    claims = [
        insight(
            20 + number,
            subject=f"by_{number}_",
            value=999_999,
            provenance_query_hash=hash_of(f"{number}"),
        )
        for number in range(4)
    ]
    own.land([*runs, *claims])
    yield BUILD
    assert {atoms(own)[f"by_{number}_999999"][:2] for number in range(4)} == {
        (False, "not_evidence")
    }
    assert contexts(own)["ada@example.com"]["insights"] == []
    built = own.query(ATOMS)
    yield BUILD_ANEW
    assert own.query(ATOMS) == built


@in_step
def test_other_sql_under_a_templates_name_proves_nothing(own: Own) -> Steps:
    """Hash, SQL and parameters agree with one another, and the template never had that SQL."""
    other = "select 999999 as activity_count"
    params = params_of("all")
    claim = {"value": 999_999, "provenance_query_hash": proof_hash(other, params)}
    run = query_run(
        10, sql=other, query_hash=claim["provenance_query_hash"], evidence=evidence(999_999)
    )
    own.land([insight(1, **claim), run])
    yield BUILD
    assert atoms(own)["sales999999"][:2] == (False, "unknown_template_sql")
    own.land([insight(2, subject="late", **claim)])
    yield BUILD
    assert atoms(own)["late999999"][:2] == (False, "unknown_template_sql")
    assert contexts(own)["ada@example.com"]["insights"] == []
    built = own.query(ATOMS)
    yield BUILD_ANEW
    assert own.query(ATOMS) == built


@in_step
def test_a_template_that_is_built_later_proves_what_it_found_before(
    own: Own,
) -> Steps:
    """A desktop was upgraded before the place that builds; and what was proven stays proven when
    the template has other SQL again.
    """
    newer = "select 42 as activity_count, 1 as extra"
    hash = proof_hash(newer, params_of("all"))
    own.land([insight(1, provenance_query_hash=hash)])
    own.land([query_run(10, sql=newer, query_hash=hash)])
    yield BUILD
    assert atoms(own)["sales42"][:2] == (False, "unknown_template_sql")
    with own.connect() as connection:
        add = "insert into template_versions values ('activity_counts', sha256(lower(?)), now())"
        connection.execute(add, [newer.upper()])
    yield BUILD
    assert atoms(own)["sales42"][:2] == (True, "verified")
    built = own.query(ATOMS)
    yield BUILD_ANEW
    assert own.query(ATOMS) == built


def test_a_warehouse_from_before_believes_the_sql_of_runs_that_it_holds(
    warehouse: DbtWarehouse,
) -> None:
    warehouse.land([insight(1), query_run(10)])
    warehouse.build()
    with warehouse.connect() as connection:
        kept = connection.execute("select * from template_versions").fetchall()
        connection.execute("drop table template_versions")
    other = "select 999999"
    hash = proof_hash(other, params_of("all"))
    claim = {"value": 999_999, "provenance_query_hash": hash}
    warehouse.land([insight(2, **claim)])
    warehouse.land([query_run(11, sql=other, query_hash=hash, evidence=evidence(999_999))])
    warehouse.build()
    assert atoms(warehouse)["sales42"][:2] == (True, "verified")
    assert atoms(warehouse)["sales999999"][:2] == (False, "unknown_template_sql")
    warehouse.build(full=True)
    assert atoms(warehouse)["sales42"][:2] == (True, "verified")
    with warehouse.connect() as connection:
        connection.executemany("insert into template_versions values (?, ?, ?)", kept)


@pytest.mark.parametrize("seed", range(4))
@in_step
def test_a_made_up_value_hides_no_verified_one_in_any_order_of_arrival(
    own: Own, seed: int
) -> Steps:
    def at(day: int) -> str:
        return f"2026-02-{day:02}T00:00:00.000000Z"

    claims = [
        insight(1, ts=at(1), value=5, provenance_query_hash=None),
        insight(2, ts=at(2), value=106),
        insight(3, ts=at(3), value=6, provenance_query_hash=None),
        insight(4, ts=at(4), value=107),
        insight(5, ts=at(5), value=999_999, provenance_query_hash=None),
    ]
    batches = [[claim] for claim in claims] + [[query_run(10, evidence=evidence(106, 107))]]
    random.Random(seed).shuffle(batches)
    for batch in batches:
        own.land(batch)
        yield BUILD
    chain = own.query(
        "select value_number, cast(cast(superseded_at as date) as varchar), is_current "
        "from insight_atoms order by ts"
    )
    assert chain == [
        (5, "2026-02-02", False),
        (106, "2026-02-04", False),
        (6, "2026-02-04", False),
        (107, None, True),
        (999_999, None, False),
    ]
    built = own.query(ATOMS)
    yield BUILD_ANEW
    assert own.query(ATOMS) == built


@in_step
def test_a_refresh_is_no_reason_for_the_next_one(own: Own) -> Steps:
    """What the worker records about a refresh lands, and the context stays as it was; it shows what
    the person did.
    """
    own.land([event(1), event(2, activity="cdesk.tool_called", ts="2026-02-01T12:00:01.000000Z")])
    yield BUILD
    state = (
        "select context, version, updated_at, _last_event_at, _events_landed_at from context_cache"
    )
    before = own.query(state)
    for number in (3, 4):
        own.land(
            [event(number, activity="cdesk.context_refreshed", ts="2026-02-01T13:00:00.000000Z")]
        )
        yield BUILD
        assert own.query(state) == before
    yield BUILD_ANEW
    assert own.query(CONTEXT)[0][1:3] == before[0][:2]
    context = contexts(own)["ada@example.com"]
    assert "cdesk.context_refreshed" not in context["counts"]


@in_step
def test_a_metric_that_is_recorded_often_pushes_no_other_out_of_the_context(
    own: Own,
) -> Steps:
    """The superseded go before the entries are counted: verified and unverified alike."""
    claims = [
        insight(1, subject="old", ts="2026-02-01T00:00:00.000000Z"),
        insight(2, subject="old guess", ts="2026-02-01T00:00:00.000000Z", value=7),
    ]
    for number in range(120):
        ts = f"2026-02-02T00:{number // 60:02}:{number % 60:02}.000000Z"
        claims.append(insight(100 + number, subject="busy", ts=ts))
        claims.append(insight(300 + number, subject="busy guess", ts=ts, value=number + 1000))
    own.land([*claims, query_run(10)])
    yield BUILD
    context = contexts(own)["ada@example.com"]
    assert [item["subject"] for item in context["insights"]] == ["busy", "old"]
    assert [item["subject"] for item in context["unverified"]] == ["busy guess", "old guess"]
    assert context["unverified"][0]["value"] == 1119


@in_step
def test_a_stamp_of_the_year_9999_hides_nothing_that_comes_later(own: Own) -> Steps:
    """An event and an insight of the far future, then newer ones: in the context, the
    atoms, and the templates' order.
    """
    never = "9999-12-31T23:59:59.999999Z"
    own.land(
        [
            event(1, ts=never, feature_json={"question": "From the future?"}),
            insight(2, ts=never, value=1),
            insight(3, ts=never, subject="proven"),
            query_run(10, evidence=evidence(42, 43)),
        ]
    )
    yield BUILD
    own.land(
        [
            *(
                event(
                    20 + n,
                    ts=f"2026-03-01T12:00:{n:02}.000000Z",
                    feature_json={"question": f"{n}?"},
                )
                for n in range(25)
            ),
            insight(4, ts="2026-03-01T12:00:00.000000Z", value=2),
            insight(5, ts="2026-03-01T12:00:00.000000Z", subject="proven", value=43),
        ]
    )
    yield BUILD
    context = contexts(own)["ada@example.com"]
    assert [row["question"] for row in context["recent_questions"]] == [
        f"{n}?" for n in range(24, 14, -1)
    ]
    assert {item["subject"]: item["value"] for item in context["insights"]} == {"proven": 43}
    assert {item["subject"]: item["value"] for item in context["unverified"]} == {"sales": 2}
    current = own.query("select insight_id from insight_atoms where is_current")
    assert {id_ for (id_,) in current} == {insight(n)["id"] for n in (4, 5)}
    built = own.query(ATOMS), own.query(CONTEXT)
    yield BUILD_ANEW
    assert (own.query(ATOMS), own.query(CONTEXT)) == built


@in_step
def test_what_an_older_build_judged_by_other_columns_is_judged_anew(
    own: Own,
) -> Steps:
    """A template that stops declaring a column takes back what it verified, at the next build."""
    own.land([insight(1), query_run(10)])
    yield BUILD
    assert atoms(own)["sales42"][:2] == (True, "verified")
    with own.connect() as connection:
        connection.execute(
            "update insight_atoms set _judged_by = 'older', verified = false, "
            "verification_reason = 'not_evidence', basis = null where customer = ?",
            [own.customer("ada@example.com")],
        )
    yield BUILD
    assert own.query("select verified, basis, _judged_by != 'older' from insight_atoms") == [
        (True, "system", True)
    ]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"column": "activity"}, False),
        ({"column": "activity_count"}, True),
        ({"column": None}, False),
        ({"column": "activity_count", "values": "42"}, False),
        ({"column": "activity_count", "values": [["42"]]}, False),
        ({"column": "activity_count", "basis": "mine"}, True),
    ],
)
@in_step
def test_a_record_proves_only_what_its_template_declares(
    own: Own, column: dict[str, Any], expected: bool
) -> Steps:
    made = {"basis": "system", "type": "number", "values": ["42"], **column}
    own.land([insight(1), query_run(10, evidence=[made])])
    yield BUILD
    assert own.query("select verified, basis from insight_atoms") == [
        (expected, ("reported" if column.get("basis") else "system") if expected else None)
    ]


@in_step
def test_the_context_has_the_sections_and_keys_that_its_reader_knows(
    own: Own,
) -> Steps:
    """What Python reads of `context` (mcp_shim.context, the tool's schema) is what dbt writes."""
    own.land(
        [
            event(1, feature_json={"question": "Why?"}),
            insight(2),
            insight(3, subject="guess", provenance_query_hash=None),
            query_run(10),
        ]
    )
    yield BUILD
    ((text,),) = own.query("select context from context_cache")
    context = json.loads(text)
    assert list(context) == ["customer", *SECTIONS]
    assert read_sections(text.encode()) == {name: context[name] for name in SECTIONS}
    atom = {"subject", "metric", "value", "ts", "provenance_query_hash", "insight_id"}
    assert set(context["insights"][0]) == atom | {"template", "basis"}
    assert set(context["unverified"][0]) == atom | {"reason"}
    assert set(context["recent_questions"][0]) == {"question", "ts"}


@in_step
def test_a_context_shows_a_question_as_it_was_revised(own: Own) -> Steps:
    """Built on, and built anew."""
    asked = event(1, feature_json={"length": 3})
    own.land([asked, event(2, ts="2026-02-02T00:00:00.000000Z")])
    yield BUILD
    said = {"kind": "revision", "replaces": asked["id"], "feature_json": {"question": "Why?"}}
    for number, text in ((1, "Why?"), (2, "Why not?")):
        said["feature_json"] = {"question": text}
        own.land([{**event(50 + number, revision=number), **said}])
        for built in (BUILD, BUILD_ANEW):
            yield built
            ((context,),) = own.query("select context from context_cache")
            found = json.loads(context)["recent_questions"]
            assert found == [{"question": text, "ts": "2026-02-01T12:00:00.000000Z"}], built
