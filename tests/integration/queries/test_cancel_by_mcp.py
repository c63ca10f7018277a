"""Tickets as a model handles them while no worker takes them: their place in the queue, and their
end on request.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from cdesk.core.clock import format_ts
from cdesk.state.database import open_state
from cdesk.state.tickets import cancel_requests, claim_ticket, get_ticket
from tests.integration.shim.harness import connect

if TYPE_CHECKING:
    from mcp import Client

    from tests.integration.queries.conftest import Built


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return dict(result.structured_content)


def test_a_waiting_ticket_says_how_many_go_before_it_and_ends_on_request(built: Built) -> None:
    heard: list[str | None] = []

    async def progress(_: float, __: float | None, message: str | None) -> None:
        heard.append(message)

    async def scenario() -> None:
        async with connect(built.home) as client:
            first, second, third = [
                (
                    await call(
                        client,
                        "submit_query",
                        template="activity_counts",
                        params={"days_back": days},
                    )
                )["ticket_id"]
                for days in (1, 2, 3)
            ]
            assert (await call(client, "get_result", ticket_id=first))[
                "progress"
            ] == "queued, next of yours"
            waiting = await call(client, "get_result", ticket_id=third)
            assert waiting["progress"] == "queued, 2 of your queries before it"
            await client.call_tool(
                "get_result", {"ticket_id": third, "wait_seconds": 0.2}, progress_callback=progress
            )
            assert heard[0] == "queued, 2 of your queries before it"
            cancelled = await call(client, "get_result", ticket_id=second, cancel=True)
            assert (cancelled["status"], cancelled["progress"]) == ("cancelled", None)
            assert cancelled["error"]["code"] == "cancelled"
            waiting = await call(client, "get_result", ticket_id=third)
            assert waiting["progress"] == "queued, 1 of your queries before it"
            again = await call(client, "get_result", ticket_id=second, cancel=True, wait_seconds=5)
            assert again == cancelled, "one that has ended stays as it is"

    asyncio.run(scenario())


def test_a_running_ticket_is_asked_to_end_and_nobody_elses_is(built: Built) -> None:
    async def scenario() -> None:
        async with connect(built.home) as client:
            ticket = (await call(client, "submit_query", template="health"))["ticket_id"]
            with contextlib.closing(open_state(built.home.state_db)) as state:
                assert claim_ticket(state, runner="r", now=format_ts(time.time_ns())) is not None
                assert (await call(client, "get_result", ticket_id=ticket, cancel=True))[
                    "status"
                ] == "running"
                assert cancel_requests(state, runner="r") == [ticket]
                state.execute("update tickets set customer = 'bob', cancel_requested = 0")
                refused = await client.call_tool(
                    "get_result", {"ticket_id": ticket, "cancel": True}
                )
                assert refused.is_error
                assert "not_found" in str(refused.content)
                assert cancel_requests(state, runner="r") == []
                assert get_ticket(state, ticket, customer="bob").status == "running"
            wrong = await client.call_tool("get_result", {"ticket_id": ticket, "cancel": "yes"})
            assert wrong.is_error
            assert "true or false" in str(wrong.content)

    asyncio.run(scenario())


def test_a_blank_subject_is_refused_and_one_number_is_one_number(built: Built) -> None:
    async def scenario() -> None:
        async with connect(built.home) as client:
            for name in ("subject", "metric"):
                insight = {"subject": "s", "metric": "m", "value": 1} | {name: " \t"}
                refused = await client.call_tool("log_insight", insight)
                assert refused.is_error
                assert f"{name}" in str(refused.content)
                assert "blank" in str(refused.content)
            ticket = await call(
                client, "submit_query", template="recent_activities", params={"hours_back": 24.0}
            )
            same = await call(
                client, "submit_query", template="recent_activities", params={"hours_back": 24}
            )
            assert ticket["query_hash"] == same["query_hash"]
            beyond = await client.call_tool(
                "log_insight", {"subject": "s", "metric": "m", "value": 2**70}
            )
            assert "integer within 64 bits" in str(beyond.content)

    asyncio.run(scenario())
