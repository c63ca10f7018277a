"""What a client can read, complete and hear of beside the tools."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from bench.turn_path import fixtures
from cdesk.contract.vocabulary import VOCABULARY
from cdesk.core.errors import Forbidden, NotFound
from cdesk.core.home import StateDirectory
from cdesk.core.identity import ANALYST, Caller
from cdesk.state.snapshot import ContextRow, SnapshotWriter
from mcp_shim.completion import completions
from mcp_shim.resources import (
    ARTIFACT_TEMPLATE,
    TEMPLATE_TEMPLATE,
    resource,
    resource_list,
    resource_templates,
)
from mcp_shim.server import McpServer
from mcp_shim.tools import TOOLS
from mcp_shim.tools.card import CARD_URI, card_page
from tests.unit.mcp_shim.desk import ADA, Desk, at, serve

ARTIFACTS = [f"019b76da-a800-7000-8000-{number:012d}" for number in range(3)]


def store(desk: Desk, number: int, customer: str = ADA.customer, **changes: Any) -> None:
    """A result that a query has left, the later the greater its number."""
    artifact = {"artifact_id": ARTIFACTS[number], "open_with": "x"}
    result = {**fixtures.RESULT, "artifact": artifact, "headline": "H", **changes}
    desk.app.readers.state.connection().execute(
        "insert into query_runs (customer, query_hash, ticket_id, template, values_complete, "
        "finished_at, result) values (?, ?, 't', 'x', 1, ?, ?)",
        (customer, f"{number:016x}", at(number), orjson.dumps(result).decode()),
    )


async def read(desk: Desk, uri: str) -> Any:
    content = await resource(desk.session, uri)
    assert (content["uri"], content["mimeType"]) == (uri, "application/json")
    return orjson.loads(content["text"])


def test_templates_the_card_and_the_own_results_are_listed(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        for number in (0, 2):
            store(desk, number)
        store(desk, 1, "bob")
        listed = resource_list(desk.session)
        assert [one["uri"] for one in listed] == [
            "cdesk://templates",
            CARD_URI,
            "cdesk://templates/recent_activities",
            f"cdesk://artifacts/{ARTIFACTS[2]}",
            f"cdesk://artifacts/{ARTIFACTS[0]}",
        ]
        assert listed[3]["title"] == "recent_activities"
        assert listed[3]["description"] == (
            "250 rows of recent_activities, as of 2026-01-01T00:00:00.000000Z"
        )
        assert all(one["name"] and one["mimeType"] for one in listed)
        assert [one["uriTemplate"] for one in resource_templates()] == [
            "cdesk://templates/{name}",
            "cdesk://artifacts/{id}{?page}",
        ]

    run(test)


def test_results_that_are_listed_are_the_newest_twenty(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        for number in range(25):
            desk.app.readers.state.connection().execute(
                "insert into query_runs (customer, query_hash, ticket_id, template, "
                "values_complete, finished_at, result) values (?, ?, 't', 'x', 1, ?, ?)",
                (
                    ADA.customer,
                    f"{number:016x}",
                    at(number),
                    orjson.dumps(
                        {**fixtures.RESULT, "artifact": {"artifact_id": f"a{number}"}}
                    ).decode(),
                ),
            )
        names = [one["name"] for one in resource_list(desk.session)[3:]]
        assert names == [f"a{number}" for number in range(24, 4, -1)]
        found, count = completions(desk.session, of=ARTIFACT_TEMPLATE, argument="id", begun="a2")
        assert (found[:2], count) == (["a24", "a23"], 6)

    run(test)


def test_a_template_is_read_in_full_by_who_may(
    run: Callable[..., None], state_home: StateDirectory
) -> None:
    async def test(desk: Desk) -> None:
        template = await read(desk, "cdesk://templates/recent_activities")
        assert template["sql"].startswith("select")
        everything = await read(desk, "cdesk://templates")
        assert everything["templates"] == [template]
        assert (everything["dialect"], everything["content_hash"]) == ("duckdb", "fedcba9876543210")
        with pytest.raises(NotFound, match="did you mean recent_activities"):
            await read(desk, "cdesk://templates/recent_activity")
        for unknown in ("cdesk://else", "cdesk://artifacts/x", "file:///etc/passwd"):
            with pytest.raises(NotFound, match=r"no resource .*known: cdesk://templates, "):
                await read(desk, unknown)
        card = await resource(desk.session, CARD_URI)
        assert card["text"] == card_page()

    run(test)
    fixtures.catalog(state_home, scope="org")

    async def test_role(desk: Desk) -> None:
        with pytest.raises(Forbidden, match="analyst"):
            await read(desk, "cdesk://templates/recent_activities")
        assert (await read(desk, "cdesk://templates"))["templates"] == []
        assert len(resource_list(desk.session)) == 2

    serve(lambda: Desk(state_home), test_role)

    async def test_analyst(desk: Desk) -> None:
        assert await read(desk, "cdesk://templates/recent_activities")

    serve(lambda: Desk(state_home, Caller(ADA.customer, frozenset((ANALYST,)))), test_analyst)


def test_a_result_is_read_page_by_page_by_its_owner_alone(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        store(desk, 0)
        store(desk, 1, "bob")
        uri = f"cdesk://artifacts/{ARTIFACTS[0]}"
        first = await read(desk, uri)
        assert (first["status"], first["page"], first["pages"]) == ("succeeded", 1, 25)
        assert first["rows"] == fixtures.RESULT["rows"]
        assert (first["headline"], first["row_count"]) == ("H", 250)
        assert await read(desk, f"{uri}?page=1") == first
        second = await read(desk, f"{uri}?page=2")
        assert (second["status"], second["progress"]) == ("running", "page 2 is being written; ask again in a moment")  # fmt: skip
        assert "rows" not in second
        connection = desk.app.readers.state.connection()
        connection.execute("update result_pages set error_code = 'gone'")
        failed = await read(desk, f"{uri}?page=2")
        assert (failed["status"], failed["error"]) == ("failed", "gone")
        assert "rows" not in failed
        connection.execute("update result_pages set error_code = null, rows = '[[1]]'")
        assert (await read(desk, f"{uri}?page=2"))["rows"] == [[1]]
        assert (await read(desk, f"{uri}?page=25"))["status"] == "running"
        with pytest.raises(NotFound, match=r"no page 26 of .*; it has 25 pages$"):
            await read(desk, f"{uri}?page=26")
        for other in (ARTIFACTS[1], ARTIFACTS[2]):
            with pytest.raises(NotFound, match=f"no page 1 of a result {other} of yours$"):
                await read(desk, f"cdesk://artifacts/{other}")
        # A result whose answer is in no query_runs any more stands in its ticket.
        ticket = await desk.ask("submit_query", template="recent_activities")
        result = {**fixtures.RESULT, "artifact": {"artifact_id": ARTIFACTS[2]}}
        fixtures.finish(desk.home, ticket["ticket_id"], result)
        assert (await read(desk, f"cdesk://artifacts/{ARTIFACTS[2]}"))["row_count"] == 250

    run(test)


def test_arguments_are_completed_to_what_there_is(
    run: Callable[..., None], state_home: StateDirectory
) -> None:
    context = {
        "insights": [{"subject": "atlas", "metric": "m", "value": 1, "ts": at(0), "insight_id": "i1"}],
        "unverified": [{"subject": "Borealis", "metric": "m", "value": 1, "ts": at(0)}, {"subject": 5}],
        "counts": {"cdesk.my_own": {}},
    }  # fmt: skip
    SnapshotWriter(state_home.context_db).apply(
        [ContextRow(ADA.customer, orjson.dumps(context), "v", at(0))], refreshed_at=at(0)
    )

    async def test(desk: Desk) -> None:
        def found(of: str, argument: str, begun: str = "") -> list[str]:
            return completions(desk.session, of=of, argument=argument, begun=begun)[0]

        await desk.ask("log_insight", subject="pending one", metric="m", value=1)
        subjects = ["atlas", "pending one", "Borealis"]
        assert found("remember", "subject") == found("forget", "subject") == subjects
        assert found("remember", "metric") == []
        assert found("remember", "subject", "BO") == ["Borealis"]
        assert found("what_did_i_do", "topic") == [*subjects, "cdesk.my_own", *VOCABULARY]
        assert found("year_in_review", "year") == [str(2027 - back) for back in range(10)]
        assert found("what_did_i_do", "since", "7")
        assert found(TEMPLATE_TEMPLATE, "name", "act") == ["recent_activities"]
        assert found("unknown", "subject") == []

    run(test)


# -- the server, by the SDK's own client in this process


def by_client(run: Callable[..., None], test: Callable[[Client, Desk], Awaitable[None]]) -> None:
    async def with_client(desk: Desk) -> None:
        server = McpServer(desk.app, lambda _: desk.session)
        async with Client(server.sdk, mode="legacy") as client:
            await test(client, desk)

    run(with_client)


def test_a_client_lists_calls_and_reads_and_each_call_is_recorded(
    run: Callable[..., None],
) -> None:
    async def test(client: Client, desk: Desk) -> None:
        assert [tool.name for tool in (await client.list_tools()).tools] == list(TOOLS)
        answer = await client.call_tool("get_context", {})
        assert answer.structured_content is not None
        assert answer.structured_content["customer"] == ADA.customer
        assert orjson.loads(answer.content[0].text) == answer.structured_content  # type: ignore[union-attr]
        refused = await client.call_tool("log_event", {"activity": "x", "feature_json": {}})
        assert refused.is_error
        assert refused.content[0].text.startswith("invalid_argument: activity: ")  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="Unknown tool: nothing; known: get_context, log_event"):
            await client.call_tool("nothing", {})
        assert (await client.list_resources()).resources
        assert len((await client.list_resource_templates()).resource_templates) == 2
        read = await client.read_resource("cdesk://templates")
        assert "recent_activities" in read.contents[0].text  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="no resource") as caught:
            await client.read_resource("cdesk://nothing")
        assert caught.value.error.code == -32002
        assert caught.value.error.data == {"uri": "cdesk://nothing"}
        prompts = (await client.list_prompts()).prompts
        assert "remember" in {prompt.name for prompt in prompts}
        prompt = await client.get_prompt("remember", {"subject": "atlas"})
        assert "atlas" in prompt.messages[0].content.text  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="nothing"):
            await client.get_prompt("nothing", {})
        events = desk.events()
        assert [
            (features["tool"], features["outcome"])
            for name, features in events
            if name == "cdesk.tool_called"
        ] == [("get_context", "ok"), ("log_event", "error")]
        assert [name for name, _ in events].count("cdesk.session_started") == 1

    by_client(run, test)


def test_a_call_that_fails_within_is_answered_without_what_went_wrong(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(client: Client, desk: Desk) -> None:
        def fails(*_: Any) -> Any:
            raise RuntimeError("a secret")

        monkeypatch.setattr(desk.session.context, "answer", fails)
        answer = await client.call_tool("get_context", {})
        assert answer.is_error
        assert answer.content[0].text == (  # type: ignore[union-attr]
            "internal: get_context failed inside the server (RuntimeError); try again, or see "
            "'cdesk doctor'"
        )
        called = [features for name, features in desk.events() if name == "cdesk.tool_called"]
        assert called[0]["error_code"] == "internal"

    by_client(run, test)


def test_no_answer_to_another_computer_names_a_folder_of_this_one(
    run: Callable[..., None], state_home: StateDirectory
) -> None:
    async def test(client: Client, desk: Desk) -> None:
        desk.app.private_folder = str(state_home.root)
        state_home.catalog.write_text("{", encoding="utf-8")
        answer = await client.call_tool("submit_query", {"template": "x"})
        text = answer.content[0].text  # type: ignore[union-attr]
        assert str(state_home.root) not in text
        assert "<state directory>" in text
        with pytest.raises(MCPError, match="<state directory>"):
            await client.read_resource("cdesk://templates")
        desk.app.private_folder = ""
        answer = await client.call_tool("submit_query", {"template": "x"})
        assert str(state_home.root) in answer.content[0].text  # type: ignore[union-attr]

    by_client(run, test)


def test_a_client_hears_of_a_catalog_that_is_another_than_it_was_shown(
    state_home: StateDirectory,
) -> None:
    async def body() -> None:
        desk = Desk(state_home)
        server = McpServer(desk.app, lambda _: desk.session)
        heard: list[str] = []

        async def hear(message: Any) -> None:
            heard.append(getattr(getattr(message, "root", message), "method", ""))

        try:
            async with Client(server.sdk, mode="legacy", message_handler=hear) as client:
                fixtures.catalog(state_home)
                await server.announce()
                await asyncio.sleep(0.02)
                assert heard == [], "nothing was shown yet"
                await client.list_tools()
                await server.announce()
                await asyncio.sleep(0.02)
                assert heard == [], "it is the same"
                state_home.catalog.unlink()
                await server.announce()
                await server.announce()  # of which the second has nothing new
                async with asyncio.timeout(120):
                    while len(heard) < 2:
                        await asyncio.sleep(0.01)
                assert heard == [
                    "notifications/tools/list_changed",
                    "notifications/resources/list_changed",
                ]
        finally:
            desk.app.close()

    asyncio.run(body())
