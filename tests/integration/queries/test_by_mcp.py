"""As Claude asks: the SDK's client, the real server, a real worker; every template, the kill
switch, a dry run, the sample.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.queries.conftest import BOB, SECRET, copy, example
from tests.integration.shim.harness import ROOT, connect

if TYPE_CHECKING:
    from mcp import Client

    from cdesk.contract.catalog import Template
    from tests.integration.queries.conftest import Built


@pytest.fixture(scope="module")
def served(original: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """A state directory with its worker running, woken by the server as in real life."""
    built = copy(original, tmp_path_factory.mktemp("served") / "home")
    environ = {
        **os.environ,
        "CDESK_HOME": str(built.home.root),
        "CDESK_CUSTOMER": built.settings.customer,
        "CDESK_RENDER": "off",  # the renderer would outlive the tests
    }
    with subprocess.Popen(
        [sys.executable, "-m", "cdesk_app.cli", "worker"],
        env=environ,
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 60
        while not built.home.worker_json.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield built
        process.terminate()
        process.wait(30)


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return dict(result.structured_content)


async def ask(
    client: Client, template: str, params: dict[str, Any], **options: Any
) -> dict[str, Any]:
    """The ticket's answer, waited for as a model does."""
    ticket = await call(client, "submit_query", template=template, params=params, **options)
    answer = {"status": "queued"}
    while answer["status"] in ("queued", "running"):
        answer = await call(client, "get_result", ticket_id=ticket["ticket_id"], wait_seconds=20)
    return answer


async def answered(client: Client, template: Template, *, fresh: bool = False) -> dict[str, Any]:
    """What a model is given of the template's example."""
    answer = await ask(client, template.name, example(template), fresh=fresh)
    assert answer["status"] == "succeeded", (template.name, answer)
    result = answer["result"]
    assert result["template"] == template.name
    assert len(result["query_hash"]) == 16
    assert len(result["rows"]) <= 10
    assert all(len(row) == len(result["columns"]) for row in result["rows"])
    return answer


def test_an_analysts_template_answers_the_model_of_an_analyst(served: Built) -> None:
    async def scenario() -> None:
        async with connect(served.home, roles="analyst") as client:
            for template in served.catalog.templates.values():
                if template.scope == "org":
                    await answered(client, template)

    asyncio.run(scenario())


def test_without_a_role_a_model_sees_its_persons_data_alone(served: Built) -> None:
    """Another customer's records are in the same warehouse; a secret stands in each of them."""

    async def scenario() -> None:
        async with connect(served.home) as client:
            for template in served.catalog.templates.values():
                params = example(template)
                if template.scope == "org":
                    given = {"template": template.name, "params": params}
                    refused = await client.call_tool("submit_query", given)
                    assert refused.is_error
                    assert "forbidden" in str(refused.content)
                    continue
                answer = await answered(client, template, fresh=True)
                assert SECRET not in str(answer), template.name
                assert BOB.customer not in str(answer), template.name

    asyncio.run(scenario())


def test_a_model_sees_the_note_of_a_sample(served: Built) -> None:
    async def scenario() -> None:
        async with connect(served.home) as client:
            params = {"hours_back": 720, "limit": 1000}
            result = (await ask(client, "recent_activities", params, byte_cap=2_000))["result"]
            assert result["sampled"] is True
            assert result["sampling_note"].startswith("sampled ")
            assert result["sampling_note"].endswith(f"of {result['row_count']:,} rows")

    asyncio.run(scenario())


def test_a_model_turns_the_pages_of_a_result(served: Built) -> None:
    """Newest first; all rows in their order, by pages of ten; a summary of the whole."""

    async def scenario() -> None:
        async with connect(served.home) as client:
            params = {"hours_back": 720, "limit": 1000}
            ticket = await call(client, "submit_query", template="recent_activities", params=params)
            answer: dict[str, Any] = {"status": "queued"}
            rows: list[Any] = []
            page, pages = 1, 1
            while page <= pages:
                answer = await call(
                    client, "get_result", ticket_id=ticket["ticket_id"], wait_seconds=20, page=page
                )
                assert answer["status"] == "succeeded", answer
                result = answer["result"]
                assert result["page"] == page
                assert 0 < len(result["rows"]) <= 10
                rows += result["rows"]
                page, pages = page + 1, result["pages"]
            whole = served.query("recent_activities", params)
            assert pages == -(-whole["row_count"] // 10) > 10  # more than are written ahead
            assert len(rows) == whole["row_count"]
            place = [column["name"] for column in result["columns"]].index("recorded_at")
            moments = [row[place] for row in rows]
            assert moments == sorted(moments, reverse=True)
            assert len({str(row) for row in rows}) == len(rows)
            assert result["summary"]["rows"] == len(rows)
            found = {one["name"]: one for one in result["summary"]["columns"]}["recorded_at"]
            assert (found["min"], found["max"]) == (moments[-1], moments[0])
            given = {"ticket_id": ticket["ticket_id"], "page": pages + 1}
            refused = await client.call_tool("get_result", given)
            assert refused.is_error
            assert f"allowed: 1 to {pages}" in str(refused.content)

    asyncio.run(scenario())


def test_a_model_can_ask_what_a_question_would_cost(served: Built) -> None:
    async def scenario() -> None:
        async with connect(served.home) as client:
            answer = await ask(client, "recent_activities", {"hours_back": 5}, dry_run=True)
            assert answer["status"] == "succeeded", answer
            assert answer["result"]["dry_run"] is True
            assert answer["result"]["binds"][1] == {"name": "hours_back", "value": 5}

    asyncio.run(scenario())


def test_the_kill_switch_refuses_a_model_and_lets_it_log(served: Built) -> None:
    def switch(state: str) -> None:
        environ = {**os.environ, "CDESK_HOME": str(served.home.root)}
        subprocess.run(
            [sys.executable, "-m", "cdesk_app.cli", "kill-switch", state],
            env=environ,
            cwd=ROOT,
            check=True,
            capture_output=True,
        )

    async def scenario() -> None:
        async with connect(served.home) as client:
            switch("on")
            try:
                refused = await client.call_tool("submit_query", {"template": "health"})
                assert refused.is_error
                assert "kill_switch_active" in str(refused.content)
                logged = await call(
                    client, "log_event", activity="cdesk.user_asked", feature_json={}
                )
                assert logged["accepted"] == "queued"
            finally:
                switch("off")
            assert (await ask(client, "health", {}))["status"] == "succeeded"

    asyncio.run(scenario())
