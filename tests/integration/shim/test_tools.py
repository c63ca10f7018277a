"""The tools over stdio with the SDK's own client, in both protocol eras."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import jsonschema
import orjson
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference

from bench.turn_path import fixtures
from cdesk.core.clock import format_ts
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk.state.kill_switch import turn_on
from cdesk.state.snapshot import SnapshotWriter
from cdesk.state.tickets import get_ticket
from mcp_shim.prompts import PROMPTS
from mcp_shim.tools import TOOLS
from tests.integration.shim.harness import CUSTOMER, ERAS, EVENT, activities, connect, records

INSIGHT = {"subject": "atlas", "metric": "open questions", "value": 3}


async def answer(
    client: Client, tool: str, arguments: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The structured content, which must keep the tool's output schema and stand in the text as
    well.
    """
    result = await client.call_tool(tool, dict(arguments or {}))
    assert not result.is_error, result.content
    schema = next(
        item for item in (await client.list_tools()).tools if item.name == tool
    ).output_schema
    structured = result.structured_content
    assert isinstance(structured, dict)
    assert schema is not None
    jsonschema.validate(structured, schema)
    assert orjson.loads(result.content[0].text) == structured  # type: ignore[union-attr]
    return structured


async def refusal(client: Client, tool: str, arguments: Mapping[str, Any]) -> str:
    result = await client.call_tool(tool, dict(arguments))
    assert result.is_error
    text: str = result.content[0].text  # type: ignore[union-attr]
    assert "\n" not in text
    return text


@pytest.mark.parametrize("era", ERAS)
def test_everything_works_with_no_warehouse_no_snapshot_and_no_worker(
    state_home: StateDirectory, era: str
) -> None:
    async def run() -> None:
        async with connect(state_home, era) as client:
            assert tuple(tool.name for tool in (await client.list_tools()).tools) == tuple(TOOLS)
            context = await answer(client, "get_context")
            assert context["stale"]
            assert context["as_of"] is None
            assert "no snapshot yet" in context["stale_reason"]
            logged = await answer(client, "log_event", EVENT)
            assert logged["accepted"] == "queued"
            remembered = await answer(client, "log_insight", INSIGHT)
            assert remembered["status"] == "pending"
            assert (await refusal(client, "submit_query", {"template": "health"})).startswith(
                "catalog_unavailable: "
            )
            kept = {record["id"] for record in records(state_home)}
            assert {logged["activity_id"], remembered["insight_id"]} <= kept

    asyncio.run(run())


def test_an_insight_is_pending_in_another_process_at_once(state_home: StateDirectory) -> None:
    async def run() -> None:
        async with connect(state_home) as one, connect(state_home) as other:
            remembered = await answer(one, "log_insight", INSIGHT)
            pending = (await answer(other, "get_context"))["pending"]
            assert [item["insight_id"] for item in pending] == [remembered["insight_id"]]
            assert pending[0]["value"] == 3

    asyncio.run(run())


def test_a_forgotten_insight_is_gone_from_the_context_of_every_process_at_once(
    state_home: StateDirectory,
) -> None:
    row = fixtures.row(CUSTOMER, fixtures.context(CUSTOMER, insights=3))
    SnapshotWriter(state_home.context_db).apply([row], refreshed_at=format_ts(time.time_ns()))
    built = orjson.loads(row.context)

    async def run() -> None:
        async with connect(state_home) as one, connect(state_home) as other:
            remembered = await answer(one, "log_insight", INSIGHT)
            for insight_id in (remembered["insight_id"], built["insights"][1]["insight_id"]):
                await answer(one, "forget_insight", {"insight_id": insight_id})
            for client in (one, other):
                context = await answer(client, "get_context")
                assert context["pending"] == []
                left = [item["insight_id"] for item in context["context"]["insights"]]
                assert left == [built["insights"][n]["insight_id"] for n in (0, 2)]
            said = await refusal(one, "forget_insight", {"insight_id": "atlas"})
            assert "get_context" in said

    asyncio.run(run())
    forgotten = [
        record["feature_json"]["insight_id"]
        for record in records(state_home)
        if record.get("activity") == "cdesk.insight_forgotten"
    ]
    assert len(forgotten) == 2


@pytest.mark.parametrize("era", ERAS)
def test_prompts_and_completions_come_over_the_protocol(
    state_home: StateDirectory, era: str
) -> None:
    fixtures.catalog(state_home)
    row = fixtures.row(CUSTOMER, fixtures.context(CUSTOMER, insights=3))
    SnapshotWriter(state_home.context_db).apply([row], refreshed_at=format_ts(time.time_ns()))
    subject = orjson.loads(row.context)["insights"][0]["subject"]

    async def run() -> None:
        async with connect(state_home, era) as client:
            listed = (await client.list_prompts()).prompts
            assert [prompt.name for prompt in listed] == list(PROMPTS)
            got = await client.get_prompt("remember", {"subject": subject})
            assert subject in got.messages[0].content.text  # type: ignore[union-attr]
            with pytest.raises(MCPError, match="subject: missing"):
                await client.get_prompt("remember", {})
            for ref, argument, expected in (
                (PromptReference(name="remember"), ("subject", subject[:3].upper()), subject),
                (PromptReference(name="what_did_i_do"), ("topic", "file_r"), "cdesk.file_read"),
                (
                    ResourceTemplateReference(uri="cdesk://templates/{name}"),
                    ("name", "recent"),
                    "recent_activities",
                ),
            ):
                name, begun = argument
                found = await client.complete(ref, {"name": name, "value": begun})
                assert expected in found.completion.values
            nothing = PromptReference(name="unknown")
            found = await client.complete(nothing, {"name": "subject", "value": ""})
            assert found.completion.values == []

    asyncio.run(run())


def test_the_snapshot_is_answered_with_its_version_and_followed_when_it_changes(
    state_home: StateDirectory,
) -> None:
    writer = SnapshotWriter(state_home.context_db)
    refreshed = format_ts(time.time_ns())
    first = fixtures.row(CUSTOMER, fixtures.context(CUSTOMER, insights=2))
    writer.apply([first], refreshed_at=refreshed)

    async def run() -> None:
        async with connect(state_home) as client:
            context = await answer(client, "get_context")
            assert (context["version"], context["as_of"], context["stale"]) == (
                first.version,
                refreshed,
                False,
            )
            blob = orjson.loads(first.context)
            del blob["customer"]
            assert context["context"] == blob
            second = fixtures.row(CUSTOMER, fixtures.context(CUSTOMER, insights=3))
            writer.apply([second], refreshed_at=format_ts(time.time_ns()))
            context = await answer(client, "get_context")
            assert context["version"] == second.version
            assert len(context["context"]["insights"]) == 3
            damaged = state_home.root / "damaged"
            damaged.write_bytes(b"this is no database at all, not even a short one" * 100)
            damaged.replace(state_home.context_db)
            context = await answer(client, "get_context", {"max_bytes": 4_096})
            assert context["stale"]
            assert context["context"]["insights"] == []

    asyncio.run(run())


def test_max_bytes_is_kept_and_what_is_left_out_is_named(state_home: StateDirectory) -> None:
    SnapshotWriter(state_home.context_db).apply(
        [fixtures.row(CUSTOMER, fixtures.context(CUSTOMER, insights=60))],
        refreshed_at=format_ts(time.time_ns()),
    )

    async def run() -> None:
        async with connect(state_home) as client:
            context = await answer(client, "get_context", {"max_bytes": 5_000})
            assert len(orjson.dumps(context)) <= 5_000
            kept = len(context["context"]["insights"])
            assert 0 < kept < 60
            assert f"insights:{kept} of 60" in context["omitted"]
            assert "definitions" in context["omitted"]
            assert context["context"]["definitions"] == {}

    asyncio.run(run())


def test_a_query_is_submitted_waited_for_and_answered(state_home: StateDirectory) -> None:
    fixtures.catalog(state_home)

    async def run() -> None:
        heard: list[tuple[float, str | None]] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            del total
            heard.append((done, message))

        async with connect(state_home) as client:
            listed = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert "recent_activities(hours_back?, limit?)" in (
                listed["submit_query"].description or ""
            )
            described = await answer(client, "describe_template", {"template": "recent_activities"})
            first = described["parameters"][0]
            assert (first["name"], first["default"]) == ("hours_back", 24)
            assert first["allowed"] == "integer from 1 to 720"
            assert "sql" not in described
            unknown = {"template": "recent_activity"}
            assert "recent_activities" in await refusal(client, "describe_template", unknown)
            ticket = await answer(
                client,
                "submit_query",
                {"template": "recent_activities", "params": {"hours_back": 2}},
            )
            with closing(open_state(state_home.state_db)) as state:
                row = get_ticket(state, ticket["ticket_id"], customer=CUSTOMER)
            assert row.params == {"hours_back": 2, "limit": 100}
            assert not row.is_analyst
            assert row.session_id == records(state_home)[0]["session_id"]

            async def work() -> None:
                await asyncio.sleep(0.3)
                fixtures.finish(state_home, ticket["ticket_id"])

            worker = asyncio.create_task(work())
            begun = time.monotonic()
            result = await client.call_tool(
                "get_result",
                {"ticket_id": ticket["ticket_id"], "wait_seconds": 15},
                progress_callback=progress,
            )
            assert time.monotonic() - begun < 10
            await worker
            structured = result.structured_content
            assert structured is not None
            assert structured["status"] == "succeeded"
            assert structured["result"] == fixtures.RESULT
            assert heard
            assert heard[0][1] == "queued, next of yours"

    asyncio.run(run())


def test_an_edited_catalog_answers_no_query(state_home: StateDirectory) -> None:
    fixtures.catalog(state_home)
    text = state_home.catalog.read_bytes()
    state_home.catalog.write_bytes(text.replace(b"where customer = ?", b"where ? is not null"))

    async def run() -> None:
        async with connect(state_home) as client:
            listed = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert "Templates:" not in (listed["submit_query"].description or "")
            said = await refusal(client, "submit_query", {"template": "recent_activities"})
            assert said.startswith("catalog_unavailable: ")
            assert "cdesk refresh" in said

    asyncio.run(run())


def test_the_kill_switch_refuses_queries_and_nothing_else(state_home: StateDirectory) -> None:
    fixtures.catalog(state_home)
    with closing(open_state(state_home.state_db)) as state:
        turn_on(state, state_home, reason="credits are used up", now="2026-01-01T00:00:00.000000Z")

    async def run() -> None:
        async with connect(state_home) as client:
            text = await refusal(client, "submit_query", {"template": "recent_activities"})
            assert text.startswith("kill_switch_active: ")
            assert "credits are used up" in text
            assert "cdesk kill-switch off" in text
            assert (await answer(client, "log_event", EVENT))["accepted"] == "queued"

    asyncio.run(run())


def test_fifty_pipelined_calls_answer_as_they_finish_and_a_waiting_one_delays_nobody(
    state_home: StateDirectory,
) -> None:
    fixtures.catalog(state_home)

    async def run() -> None:
        async with connect(state_home) as client:
            ticket = await answer(client, "submit_query", {"template": "recent_activities"})
            waiting = asyncio.create_task(
                client.call_tool(
                    "get_result", {"ticket_id": ticket["ticket_id"], "wait_seconds": 20}
                )
            )
            await asyncio.sleep(0.05)
            results = await asyncio.gather(
                *(client.call_tool("log_event", EVENT) for _ in range(50))
            )
            assert not any(result.is_error for result in results)
            ids = {
                result.structured_content["activity_id"]
                for result in results
                if result.structured_content
            }
            assert len(ids) == 50
            assert not waiting.done()
            fixtures.finish(state_home, ticket["ticket_id"])
            result = await waiting
            assert result.structured_content is not None
            assert result.structured_content["status"] == "succeeded"

    asyncio.run(run())


def test_the_catalog_is_told_of_when_it_appears_and_is_a_resource(
    state_home: StateDirectory,
) -> None:
    async def run() -> None:
        changed = asyncio.Event()

        async def hear(message: object) -> None:
            if type(message).__name__ == "ToolListChangedNotification":
                changed.set()

        async with connect(state_home, message_handler=hear) as client:
            before = {tool.name: tool for tool in (await client.list_tools()).tools}["submit_query"]
            assert "is being built" in (before.description or "")
            fixtures.catalog(state_home)
            await asyncio.wait_for(changed.wait(), 30)
            resources = {str(item.uri) for item in (await client.list_resources()).resources}
            assert resources == {
                "ui://cdesk/card",
                "cdesk://templates",
                "cdesk://templates/recent_activities",
            }
            read = await client.read_resource("cdesk://templates/recent_activities")
            document = orjson.loads(read.contents[0].text)  # type: ignore[union-attr]
            assert document["parameters"][0]["allowed"] == "integer from 1 to 720"

    asyncio.run(run())


def test_the_shim_records_what_nobody_asked_it_to(state_home: StateDirectory) -> None:
    async def run() -> None:
        async with connect(state_home) as client:
            await answer(client, "log_insight", INSIGHT)
            await refusal(client, "log_event", {"activity": "nonsense", "feature_json": {}})

    asyncio.run(run())
    assert activities(state_home) == [
        "cdesk.session_started",
        "cdesk.insight_recorded",
        "cdesk.tool_called",
        "cdesk.tool_called",
        "cdesk.error_encountered",
        "cdesk.session_ended",
    ]
    found = [record for record in records(state_home) if record["kind"] == "event"]
    assert found[0]["feature_json"]["client_name"]
    assert found[2]["feature_json"]["outcome"] == "ok"
    assert found[2]["feature_json"]["latency_ms"] > 0
    assert found[3]["feature_json"]["error_code"] == "invalid_argument"
    assert found[-1]["feature_json"] | {"duration_ms": 0} == {
        "reason": "end_of_input",
        "duration_ms": 0,
        "calls": 2,
        "errors": 1,
    }
    assert len({record["session_id"] for record in records(state_home)}) == 1
    assert len({record["query_tag"] for record in records(state_home)}) == len(records(state_home))
