"""Every template of the project on a built warehouse: by ticket and by `cdesk query`, for its own
customer alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import orjson
import pytest

from cdesk.artifacts.formats import read_rows
from cdesk.artifacts.local import LocalArtifacts
from cdesk.contract.catalog import normalise_sql
from cdesk.contract.vocabulary import SYSTEM_ACTIVITIES
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.errors import Forbidden, InvalidField
from cdesk.core.identity import Caller
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import open_state
from cdesk.state.tickets import Ticket, expiry_of, get_ticket, submit_ticket
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk_app.worker.tickets import TicketRunner
from mcp_shim.prompts import PROMPTS, prompt_text
from mcp_shim.tools import tool_list
from tests.integration.queries.conftest import ADA, BOB, SECRET, example

if TYPE_CHECKING:
    from tests.integration.queries.conftest import Built, Living


def by_ticket(built: Built, template_name: str, params: dict[str, Any], caller: Caller) -> Ticket:
    """As submit_query, the worker and get_result do it."""
    template = built.catalog.get(template_name)
    checked = template.check_params(params)
    now, ids = format_ts(time.time_ns()), IdSource()
    ticket_id = ids.uuid7()
    writer, warehouse = QueueWriter(built.home.queue), DuckDBWarehouse(built.home.warehouse)
    with contextlib.closing(open_state(built.home.state_db)) as state:
        submit_ticket(
            state,
            ticket_id=ticket_id,
            customer=caller.customer,
            is_analyst=caller.is_analyst,
            session_id=None,
            template=template_name,
            params=checked,
            query_hash=template.query_hash(
                checked, customer=caller.customer, is_analyst=caller.is_analyst
            ),
            query_tag=ids.query_tag(),
            byte_cap=None,
            submitted_at=now,
            expires_at=expiry_of(now),
        )
        runner = TicketRunner(built.settings, built.home, warehouse, writer)
        runner.poll()
        assert runner.wait_idle(60)
        runner.close()
        writer.close()
        return get_ticket(state, ticket_id, customer=caller.customer)


def test_every_template_runs_by_ticket_and_by_command_with_one_hash(
    asked: Built, template_name: str
) -> None:
    template = asked.catalog.get(template_name)
    result = asked.query(template_name, example(template))
    ticket = by_ticket(asked, template_name, example(template), ADA)
    assert ticket.status == "succeeded", ticket
    assert ticket.result is not None
    assert ticket.result["query_hash"] == result["query_hash"]
    assert ticket.result["columns"] == result["columns"]
    assert ticket.result["reused"] is template.reuse
    if template.reuse:
        assert ticket.result["rows"] == result["rows"]
    assert result["as_of"] is not None
    names = [column["name"] for column in result["columns"]]
    assert len(names) == len(set(names)), "two columns of one name cannot be told apart"


def test_no_template_shows_a_user_another_customers_rows(asked: Built, template_name: str) -> None:
    template = asked.catalog.get(template_name)
    eve = Caller(ADA.customer)
    if template.scope == "org":
        with pytest.raises(Forbidden):
            asked.query(template_name, example(template), eve)
        return
    result = asked.query(template_name, example(template), eve)
    rows = list(read_rows(LocalArtifacts(asked.home.artifacts).path(result["artifact"]["uri"])))
    assert SECRET not in str(rows)
    assert BOB.customer not in str(rows)


def test_every_template_explains_itself(asked: Built, template_name: str) -> None:
    """A dry run gives the estimate and the SQL with its binds, and leaves no trace."""
    before = sorted(asked.home.artifacts.rglob("*"))
    result = asked.query(template_name, example(asked.catalog.get(template_name)), dry_run=True)
    assert result["dry_run"] is True
    assert result["plan"]
    assert [bind["name"] for bind in result["binds"]] == list(
        asked.catalog.get(template_name).binds
    )
    assert sorted(asked.home.artifacts.rglob("*")) == before


def test_every_parameter_has_its_bounds_enforced(original: Built, template_name: str) -> None:
    template = original.catalog.get(template_name)
    for parameter in template.parameters:
        wrong: list[Any] = [{"a": 1}, [[1]], "\x00"]
        if parameter.min is not None and not parameter.type.startswith("list["):
            wrong += [parameter.min - 1]
        if parameter.max is not None and not parameter.type.startswith("list["):
            wrong += [parameter.max + 1]
        for value in wrong:
            with pytest.raises(InvalidField, match=parameter.name):
                template.check_params({**example(template), parameter.name: value})


# -- what single templates say


def rows_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    names = [column["name"] for column in result["columns"]]
    return [dict(zip(names, row, strict=True)) for row in result["rows"]]


def whole_of(built: Built, result: dict[str, Any]) -> list[dict[str, Any]]:
    """All rows, where an answer shows ten."""
    path = LocalArtifacts(built.home.artifacts).path(result["artifact"]["uri"])
    names = [column["name"] for column in result["columns"]]
    return [dict(zip(names, row, strict=True)) for row in read_rows(path)]


@pytest.mark.parametrize("period", ["hour", "day", "week", "month"])
def test_periods_add_up_to_the_count(built: Built, period: str) -> None:
    counts = {
        row["activity"]: row["activity_count"]
        for row in rows_of(built.query("activity_counts", {"days_back": 30}))
    }
    params = {"activity": "cdesk.user_asked", "period": period, "days_back": 30}
    result = built.query("activity_by_period", params)
    rows = list(read_rows(LocalArtifacts(built.home.artifacts).path(result["artifact"]["uri"])))
    assert sum(row[1] for row in rows) == counts["cdesk.user_asked"]
    half = whole_of(built, built.query("activity_by_period", {**params, "days_back": 5}))
    both = whole_of(built, built.query("activity_by_period", {**params, "days_back": 10}))
    now, before = (
        sum(row[name] for row in half) for name in ("activity_count", "activity_count_before")
    )
    assert now + before == sum(row["activity_count"] for row in both)
    assert before > 0
    assert sum(row["session_count"] for row in half) <= now


@pytest.mark.parametrize(
    ("key", "value"),
    [("kind", "pdf"), ("$.kind", "path-like"), ("*", "star"), ('quo"te', "quoted"), ("none", None)],
)
def test_a_feature_key_is_taken_to_the_letter(built: Built, key: str, value: str | None) -> None:
    found = rows_of(built.query("feature_values", {"activity": "cdesk.file_read", "key": key}))
    assert [row["feature_value"] for row in found] == ([] if value is None else [value])


def test_days_are_those_of_the_person_or_of_the_zone_asked_about(built: Built) -> None:
    """The same activities, cut into days where each zone's midnight is."""
    asked = {"activity": "cdesk.user_asked", "days_back": 30}
    counted = {}
    for zone, midnight in (("UTC", "T00:"), ("Asia/Tokyo", "T15:"), ("Asia/Kolkata", "T18:30")):
        built.settings = dataclasses.replace(built.settings, timezone=zone)
        result = built.query("activity_by_period", asked)
        assert result["params"]["timezone"] == zone
        days = whole_of(built, result)
        assert all(midnight in row["period_start"] for row in days)
        assert [row["period_start"] for row in days] == sorted(
            (row["period_start"] for row in days), reverse=True
        )
        counted[zone] = (sum(row["activity_count"] for row in days), result["query_hash"])
    assert len({count for count, _ in counted.values()}) == 1
    assert len({query_hash for _, query_hash in counted.values()}) == 3
    there = built.query("activity_by_period", {**asked, "timezone": "Asia/Tokyo"})
    assert there["reused"] is True
    assert there["query_hash"] == counted["Asia/Tokyo"][1]


def test_questions_are_counted_by_project(built: Built) -> None:
    """By day, for everybody; a question without a project is in none."""
    counted = [
        (row["of_what"], row["metric_value"])
        for row in whole_of(built, built.query("daily_metrics", {"days_back": 30}))
        if row["metric"] == "projects.question_count"
    ]
    asked = [
        built.query("activity_by_period", {"activity": "cdesk.user_asked"}, caller)
        for caller in (ADA, BOB)
    ]
    assert {project for project, _ in counted} == {"atlas"}
    assert sum(count for _, count in counted) == sum(
        row["activity_count"] for result in asked for row in whole_of(built, result)
    )


def test_an_insight_is_verified_by_its_query_and_value(built: Built) -> None:
    found = {
        row["metric"]: row for row in rows_of(built.query("insights", {"subject": "activity"}))
    }
    assert found["most_frequent"]["verified"] is True
    assert found["most_frequent"]["provenance_template"] == "activity_counts"
    assert found["made_up"]["verified"] is False
    assert found["made_up"]["verification_reason"] == "value_not_in_evidence"


def test_the_count_of_what_a_model_logs_is_reported(living: Living) -> None:
    """Logged as often as the claim needs, then counted: the count is no word of the system's."""
    made_up = ("invoice_paid", "error_encountered")
    with living.recorder_of() as recorder:
        for activity in made_up:
            for _ in range(1_234):
                recorder.event(activity, {}, session="made-up")
        for _ in range(3_456):
            recorder.event("tool_called", {"tool": "get_context"}, session="its-own")
        for _ in range(4_567):
            recorder.event("user_asked", {}, session="mixed")
        recorder.event("tool_called", {"tool": "get_context"}, session="mixed")
    living.land_and_build()
    counts = living.query("activity_counts", {"days_back": 2, "limit": 100})
    found = {row["activity"]: row for row in whole_of(living, counts)}
    assert {name for name, row in found.items() if row["basis"] == "system"} == set(
        found
    ) & SYSTEM_ACTIVITIES
    with living.recorder_of() as recorder:
        for activity in (*made_up, "tool_called"):
            recorder.insight(
                "basis",
                activity,
                found[f"cdesk.{activity}"]["activity_count"],
                counts["query_hash"],
            )
    living.land_and_build()
    insights = rows_of(living.query("insights", {"subject": "basis"}))
    assert {row["metric"]: (row["verified"], row["basis"]) for row in insights} == {
        "invoice_paid": (True, "reported"),
        "error_encountered": (True, "reported"),
        "tool_called": (True, "system"),
    }
    sessions = rows_of(living.query("sessions", {"days_back": 2}))
    assert {
        row["session_id"]: row["basis"]
        for row in sessions
        if row["session_id"] in ("made-up", "its-own", "mixed")
    } == {"made-up": "reported", "its-own": "system", "mixed": "reported"}


@pytest.mark.parametrize(
    ("template", "params", "bases"),
    [
        ("activity_by_period", {"activity": "cdesk.user_asked"}, {"reported"}),
        ("activity_by_period", {"activity": "cdesk.tool_called"}, {"system"}),
        ("tool_usage", {}, {"system"}),
        ("llm_usage", {}, {"reported"}),
        ("top_customers", {}, {"reported"}),
        ("health", {}, {"reported"}),
    ],
)
def test_a_template_says_whose_word_its_rows_are(
    built: Built, template: str, params: dict[str, Any], bases: set[str]
) -> None:
    asked = {**example(built.catalog.get(template)), **params}
    assert {row["basis"] for row in rows_of(built.query(template, asked))} == bases


def test_a_superseded_insight_stays_in_the_history(living: Living) -> None:
    with living.recorder_of() as recorder:
        recorder.insight("revenue", "weekly_total", "a later value", None)
    living.land_and_build()
    params = {"subject": "revenue", "metric": "weekly_total"}
    assert [row["value"] for row in rows_of(living.query("insights", params))] == [
        '"a later value"'
    ]
    history = rows_of(living.query("insight_history", params))
    assert [(row["value"], row["is_current"]) for row in history] == [
        ('"a later value"', True),
        ('"ada-knows"', False),
    ]
    assert history[1]["superseded_at"] == history[0]["ts"]


def test_the_chain_leads_from_an_insight_to_its_stored_result(built: Built) -> None:
    (insight,) = rows_of(
        built.query("insights", {"subject": "activity", "metric": "most_frequent"})
    )
    (run,) = rows_of(built.query("provenance", {"query_hash": insight["provenance_query_hash"]}))
    assert (run["template"], run["status"]) == ("activity_counts", "succeeded")
    (artifact,) = rows_of(built.query("artifact", {"artifact_id": run["artifact_id"]}))
    assert artifact["uri"] == run["artifact_uri"]
    assert artifact["query_hash"] == insight["provenance_query_hash"]


def test_the_warehouse_knows_the_sql_of_every_template(built: Built) -> None:
    """As a run's record gives it: what is not known so proves nothing."""
    with duckdb.connect(str(built.home.warehouse), read_only=True) as connection:
        known = connection.execute(
            "select template, sql_hash from activities.template_versions order by template"
        ).fetchall()
    assert known == [
        (name, hashlib.sha256(normalise_sql(template.sql).lower().encode()).hexdigest())
        for name, template in sorted(built.catalog.templates.items())
    ]


def test_another_customers_provenance_is_not_found(built: Built) -> None:
    (run,) = rows_of(
        built.query("insights", {"subject": "activity", "metric": "most_frequent"}, BOB)
    )
    assert rows_of(built.query("provenance", {"query_hash": run["provenance_query_hash"]})) == []


# -- asked again


def test_a_question_stands_through_what_its_own_asking_records(living: Living) -> None:
    """Landing and building the records of a run is no new data; an activity is."""
    first = living.query("activity_counts", {"days_back": 20})
    living.land_and_build()
    assert living.query("activity_counts", {"days_back": 20}) == {**first, "reused": True}
    with living.recorder_of() as recorder:
        recorder.event("user_asked", {})
    living.pipeline.drain()
    assert living.query("activity_counts", {"days_back": 20})["reused"] is False, (
        "landed is new, built or not"
    )
    living.land_and_build()


def test_another_customers_activity_leaves_an_answer_standing(living: Living) -> None:
    first = living.query("activity_counts", {"days_back": 21})
    everyone = living.query("top_customers", {"days_back": 21})
    assert living.query("top_customers", {"days_back": 21}) == {**everyone, "reused": True}
    with living.recorder_of(BOB) as recorder:
        recorder.event("user_asked", {})
    living.land_and_build()
    assert living.query("activity_counts", {"days_back": 21}) == {**first, "reused": True}
    assert living.query("top_customers", {"days_back": 21})["reused"] is False


def test_a_question_about_the_systems_own_activities_is_asked_anew_when_they_land(
    living: Living,
) -> None:
    params = {"activity": "cdesk.tool_called", "key": "tool", "days_back": 22}
    before = rows_of(living.query("feature_values", params))[0]["activity_count"]
    assert living.query("feature_values", params)["reused"] is True
    other = living.query("feature_values", {**params, "activity": "cdesk.file_read", "key": "kind"})
    with living.recorder_of() as recorder:
        for _ in range(5):
            recorder.event("tool_called", {"tool": "get_context"})
    living.pipeline.drain()
    again = living.query("feature_values", params)
    assert rows_of(again)[0]["activity_count"] == before + 5, "landed counts"
    living.land_and_build()
    assert rows_of(living.query("feature_values", params))[0]["activity_count"] == before + 5
    assert living.query(
        "feature_values", {**params, "activity": "cdesk.file_read", "key": "kind"}
    ) == {
        **other,
        "reused": True,
    }


@pytest.mark.parametrize("caller", [ADA, BOB])
def test_all_templates_are_listed_to_a_model_for_3000_tokens_at_most(
    original: Built, caller: Caller
) -> None:
    tools = tool_list(original.catalog, caller)
    assert len(orjson.dumps({"tools": tools}).decode()) / 4 <= 3_000
    (listed,) = [tool["description"] for tool in tools if tool["name"] == "submit_query"]
    for template in original.catalog.templates.values():
        if template.family is None:
            assert (f"- {template.name}(" in listed) is (
                template.listed and (template.scope != "org" or caller.is_analyst)
            )
    assert "(aggregate|first|last|nth)_(after|before|between_before|in_between)" in listed
    assert "cohort_activity, append_activity, cohort_occurrence?" in listed


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("since", ["", "yesterday", "2016-01-31"])
def test_every_call_in_a_prompt_is_one_that_its_template_takes(
    original: Built, prompt: str, since: str
) -> None:
    given = {"subject": 'a "b" c', "topic": "cdesk.file_read", "since": since, "year": ""}
    names = [argument.name for argument in PROMPTS[prompt].arguments]
    text = prompt_text(
        prompt,
        {name: given[name] for name in names},
        catalog=original.catalog,
        now=datetime(2026, 12, 31, tzinfo=UTC),
    )
    calls = [json.loads(line[15:]) for line in text.splitlines() if line.startswith("- submit")]
    assert calls
    for call in calls:
        original.catalog.get(call["template"]).check_params(call["params"])


def test_a_value_read_from_the_memory_itself_stays_unverified(living: Living) -> None:
    """Made up, then found by a question for what is remembered: that question's hash is no
    proof.
    """
    with living.recorder_of() as recorder:
        recorder.insight("laundry", "made_up", 424_242, None)
        recorder.event("user_asked", {"amount": 424_242})
    living.land_and_build()
    questions: list[tuple[str, dict[str, Any]]] = [
        ("insights", {}),
        ("insight_history", {"subject": "laundry", "metric": "made_up"}),
        ("feature_values", {"activity": "cdesk.user_asked", "key": "amount"}),
    ]
    for template, params in questions:
        result = living.query(template, params)
        assert "424242" in str(result["rows"])
        with living.recorder_of() as recorder:
            recorder.insight("laundry", template, 424_242, result["query_hash"])
            recorder.insight("laundry", template + " text", "424242", result["query_hash"])
    living.land_and_build()
    found = rows_of(living.query("insights", {"subject": "laundry"}))
    assert len(found) == 7
    assert not any(row["verified"] for row in found)
    assert {row["verification_reason"] for row in found} == {"no_provenance", "not_evidence"}
