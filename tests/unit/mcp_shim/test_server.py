"""The tools on the SDK's server: what stands in an answer beside the tool's own, what is recorded of
a call, whom the process tells of what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import mcp_types as types
import orjson
import pytest
from mcp.server.subscriptions import ResourcesListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError

from bench.turn_path import fixtures
from cdesk import __version__
from cdesk.core.errors import Forbidden, InvalidField, NotFound
from mcp_shim import completion, server
from mcp_shim.server import McpServer, _input_schema, _progress, error_text
from mcp_shim.tools import TOOLS
from mcp_shim.tools.instructions import INSTRUCTIONS
from mcp_shim.tools.tool import Answer
from tests.unit.mcp_shim.desk import Desk

LEGACY, MODERN = "2025-11-25", "2026-07-28"
ENVELOPE = {"_meta": {types.PROTOCOL_VERSION_META_KEY: MODERN}}


class Connection:
    """The SDK's session, as far as the server asks it; `told` is what it was told to say."""

    def __init__(self, **capabilities: Any) -> None:
        info = SimpleNamespace(name="a client", version="7")
        self.client_params: Any = SimpleNamespace(
            client_info=info, capabilities=SimpleNamespace(**capabilities)
        )
        self.told: list[Any] = []

    async def send_tool_list_changed(self) -> None:
        self.told.append("tools")

    async def send_resource_list_changed(self) -> None:
        self.told.append("resources")

    async def send_progress_notification(self, *given: Any, **more: Any) -> None:
        self.told.append((given, more))


def asked(method: str = "tools/call", **more: Any) -> Any:
    """The context of a request."""
    given: dict[str, Any] = {
        "request_id": 1,
        "protocol_version": LEGACY,
        "params": {},
        "meta": None,
        "session": Connection(),
        "method": method,
        **more,
    }
    return SimpleNamespace(**given)


Test = Callable[[McpServer, Desk], Awaitable[None]]


@pytest.fixture
def served(run: Callable[..., None]) -> Callable[..., None]:
    def run_test(test: Test, **options: Any) -> None:
        async def body(desk: Desk) -> None:
            await test(McpServer(desk.app, lambda _: desk.session, **options), desk)

        run(body)

    return run_test


def call(name: str, **arguments: Any) -> types.CallToolRequestParams:
    return types.CallToolRequestParams(name=name, arguments=arguments)


# -- around a message


@pytest.mark.parametrize(
    ("more", "is_refused"),
    [
        ({"params": ENVELOPE}, True),
        ({"params": ENVELOPE, "request_id": 0}, True),
        ({"params": ENVELOPE, "request_id": None}, False),
        ({"params": ENVELOPE, "protocol_version": MODERN}, False),
        ({"params": ENVELOPE, "method": "initialize"}, False),
        ({"params": {"_meta": {"progressToken": 1}}}, False),
        ({"params": {"_meta": ["odd"]}}, False),
        ({"params": {"_meta": None}}, False),
        ({"params": None}, False),
    ],
)
def test_a_request_of_the_other_era_is_refused(
    served: Callable[..., None], more: dict[str, Any], is_refused: bool
) -> None:
    async def handled(_: Any) -> Any:
        return {"a": 1}

    async def test(server: McpServer, _: Desk) -> None:
        ctx = asked(**{"method": "ping", **more})
        if is_refused:
            with pytest.raises(MCPError, match="handshake protocol era") as refused:
                await server._around(ctx, handled)
            assert refused.value.error.code == types.INVALID_REQUEST
        else:
            assert await server._around(ctx, handled) == {"a": 1}

    served(test)


@pytest.mark.parametrize("fragments", [True, False])
def test_a_tools_answer_joins_the_result_when_the_sdk_has_shaped_it(
    served: Callable[..., None], fragments: bool
) -> None:
    async def test(server: McpServer, _: Desk) -> None:
        image = {"type": "image"}
        for answer, before, after in (
            (
                Answer(b'{"a":1}'),
                {},
                {"content": [{"type": "text", "text": '{"a":1}'}]},
            ),
            (
                Answer(b'{"a":1}', text="", more=(image,), meta={"b": 2}),
                {"_meta": {"c": 3}},
                {"content": [{"type": "text", "text": ""}, image], "_meta": {"c": 3, "b": 2}},
            ),
            (
                Answer(b'{"a":1}', text="t", meta={"b": 2}),
                {"_meta": None, "isError": False},
                {
                    "content": [{"type": "text", "text": "t"}],
                    "_meta": {"b": 2},
                    "isError": False,
                },
            ),
        ):

            async def handled(
                ctx: Any, answer: Answer = answer, before: dict[str, Any] = before
            ) -> Any:
                server._answers[id(ctx)] = answer
                return dict(before)

            result: Any = await server._around(asked(), handled)
            structured = result.pop("structuredContent")
            assert result == after
            if fragments:
                assert isinstance(structured, orjson.Fragment)
                structured = orjson.loads(orjson.dumps(structured))
            assert structured == {"a": 1}
            assert server._answers == {}

        async def fails(ctx: Any) -> Any:
            server._answers[id(ctx)] = Answer(b"{}")
            raise ValueError

        with pytest.raises(ValueError, match=r"^$"):
            await server._around(asked(), fails)
        assert server._answers == {}, "nothing is kept of a call that failed"

    served(test, fragments=lambda _: fragments)


def test_arguments_that_are_text_are_read_before_the_sdk_checks_them(
    served: Callable[..., None],
) -> None:
    async def handled(ctx: Any) -> Any:
        return ctx.params

    async def test(server: McpServer, _: Desk) -> None:
        for method, is_read in (("tools/call", True), ("prompts/get", False)):
            params = {"name": "get_context", "arguments": '{"max_bytes": 4096}'}
            result: Any = await server._around(asked(method, params=params), handled)
            assert (result["arguments"] == {"max_bytes": 4096}) is is_read
        assert await server._around(asked(params=None), handled) is None, "the SDK refuses it"

    served(test)


# -- a call


def test_a_call_is_recorded_told_of_and_followed_by_a_look_for_a_worker(
    served: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[str, str | None]] = []

    async def test(server: McpServer, desk: Desk) -> None:
        looks: list[bool] = []
        monkeypatch.setattr(desk.app, "after_call", lambda *, needs_worker: looks.append(needs_worker))  # fmt: skip
        ok = await server._call_tool(asked(), call("get_context"))
        assert ok == {"content": [], "isError": False, "resultType": "complete"}
        refused = await server._call_tool(asked(), call("get_result"))
        assert refused == {
            "content": [{"type": "text", "text": "invalid_argument: ticket_id: missing; allowed: the ticket_id that submit_query gave"}],
            "isError": True,
            "resultType": "complete",
        }  # fmt: skip
        assert heard == [("get_context", None), ("get_result", "invalid_argument")]
        assert looks == [False, False, True], "the first as the session begins"
        events = desk.events()
        assert [one["tool"] for name, one in events if name == "cdesk.tool_called"] == [
            "get_context",
            "get_result",
        ]
        times = [one["latency_ms"] for name, one in events if name == "cdesk.tool_called"]
        assert all(0 < one < 3_600_000 for one in times)
        for unknown in ("x" * 61, ""):
            with pytest.raises(MCPError) as error:
                await server._call_tool(asked(), call(unknown))
            assert error.value.error.code == types.INVALID_PARAMS
            assert error.value.error.message == (
                f"Unknown tool: {unknown[:60]}; known: {', '.join(TOOLS)}"
            )
        assert len(heard) == 2, "what is no tool is no call of one"

    served(test, on_called=lambda _, tool, code: heard.append((tool, code)))


def test_a_call_that_its_caller_cancels_is_recorded_as_that(
    served: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    async def test(served: McpServer, desk: Desk) -> None:
        async def waits(*_: Any) -> Any:
            await asyncio.Event().wait()

        monkeypatch.setattr(server.tools, "call", waits)
        calling = asyncio.create_task(served._call_tool(asked(), call("get_result")))
        await asyncio.sleep(0)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        ((_, features),) = [one for one in desk.events() if one[0] == "cdesk.tool_called"]
        assert (features["outcome"], features["error_code"]) == ("cancelled", None)
        assert 0 < features["latency_ms"] < 3_600_000
        assert heard == []

    served(test, on_called=lambda *_: heard.append("called"))


def test_what_nobody_foresaw_is_an_error_of_the_call_alone(
    served: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(served: McpServer, _: Desk) -> None:
        async def fails(*_: Any) -> Any:
            raise KeyError("what the caller wrote")

        monkeypatch.setattr(server.tools, "call", fails)
        answer = await served._call_tool(asked(), call("get_result"))
        (said,) = answer.pop("content")
        assert answer == {"isError": True, "resultType": "complete"}
        assert said == {
            "type": "text",
            "text": "internal: get_result failed inside the server (KeyError); try again, or see "
            "'cdesk doctor'",
        }
        (line,) = caplog.records
        assert line.facts == {"tool": "get_result", "error": "KeyError"}  # type: ignore[attr-defined]

    served(test)


def test_progress_goes_to_who_asked_for_it(served: Callable[..., None]) -> None:
    async def test(_: McpServer, __: Desk) -> None:
        for meta in (None, {}, {"else": 1}):
            assert _progress(asked(meta=meta)) is None
        for id, related in ((0, "0"), ("a", "a"), (None, None)):
            ctx = asked(meta={"progress_token": 0}, request_id=id)
            report = _progress(ctx)
            assert report is not None
            await report(1.0, 20.0, "queued")
            assert ctx.session.told == [((0, 1.0, 20.0, "queued"), {"related_request_id": related})]

    served(test)


# -- the session


def test_a_session_begins_with_what_its_client_said_of_itself(
    served: Callable[..., None],
) -> None:
    async def test(server: McpServer, desk: Desk) -> None:
        plain = asked("tools/list")
        session = server._session(plain)
        assert session is desk.session
        assert not session.shows_cards
        ((name, features),) = desk.events()
        assert (name, features["client_name"], features["client_version"]) == (
            "cdesk.session_started",
            "a client",
            "7",
        )
        assert features["protocol_version"] == LEGACY
        assert features["server_version"] == __version__
        shows = Connection(extensions={"io.modelcontextprotocol/ui": {}})
        server._session(asked(session=shows))
        assert session.shows_cards
        session.shows_cards = False
        server._session(asked(session=shows))
        assert not session.shows_cards, "looked at once"
        server._session(asked(session=SimpleNamespace(client_params=None)))
        assert session.client is shows.client_params
        assert len(desk.events()) == 1
        session.end("client")
        server._session(asked(session=SimpleNamespace(client_params=None)))
        assert desk.events()[-1][1]["client_name"] is None

    served(test)


@pytest.mark.parametrize("one_connection", [True, False])
def test_one_that_has_shaken_hands_hears_of_a_new_catalog_where_it_is_alone(
    served: Callable[..., None], one_connection: bool
) -> None:
    async def test(server: McpServer, desk: Desk) -> None:
        published: list[Any] = []

        async def publish(event: Any) -> None:
            published.append(type(event))

        server._bus.publish = publish  # type: ignore[method-assign]
        connection = Connection()
        await server._initialized(
            asked("notifications/initialized", session=connection), types.NotificationParams()
        )
        assert desk.session.begun
        await server.announce()
        assert published == [], "nobody was shown one"
        await server._list_tools(asked("tools/list"), types.PaginatedRequestParams())
        await server.announce()
        assert published == []
        desk.home.catalog.unlink()
        for _ in range(2):
            await server.announce()
        assert published == [ToolsListChanged, ResourcesListChanged]
        assert connection.told == (["tools", "resources"] if one_connection else [])
        fixtures.catalog(desk.home)
        await server.announce()
        assert len(published) == 4

    served(test, one_connection=one_connection)


# -- lists


def test_what_is_listed_may_change_at_any_time(served: Callable[..., None]) -> None:
    async def test(server: McpServer, _: Desk) -> None:
        page = types.PaginatedRequestParams()
        kept = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        for listing, name, count in (
            (server._list_tools, "tools", len(TOOLS)),
            (server._list_resources, "resources", 3),
            (server._list_resource_templates, "resourceTemplates", 2),
            (server._list_prompts, "prompts", 5),
        ):
            found = await listing(asked(), page)
            assert len(found.pop(name)) == count
            assert found == kept
        read = await server._read_resource(
            asked(), types.ReadResourceRequestParams(uri="cdesk://templates")
        )
        assert {name: read[name] for name in kept} == kept
        assert read.keys() == {"contents", *kept}
        with pytest.raises(MCPError) as error:
            await server._read_resource(
                asked(), types.ReadResourceRequestParams(uri="cdesk://" + "x" * 300)
            )
        assert error.value.error.data == {"uri": "cdesk://" + "x" * 192}

    served(test)


def test_the_first_list_of_tools_makes_the_first_call_ready(
    served: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "WARM_SECONDS", 0.0)

    async def test(server: McpServer, desk: Desk) -> None:
        warmed: list[str] = []
        warm = server._warm
        monkeypatch.setattr(server, "_warm", lambda *given: (warmed.append(given[1]), warm(*given)))
        for _ in range(2):
            await server._list_tools(asked("tools/list"), types.PaginatedRequestParams())
            await asyncio.sleep(0.001)
            while not warmed:
                await asyncio.sleep(0.001)
        assert warmed == [LEGACY]
        assert desk.session.context._last is not None
        assert desk.session.calls == 0, "it is no call"

    served(test)


def test_a_prompt_is_a_message_of_the_persons(served: Callable[..., None]) -> None:
    async def test(server: McpServer, _: Desk) -> None:
        params = types.GetPromptRequestParams(name="remember", arguments={"subject": "atlas"})
        found = await server._get_prompt(asked(), params)
        (message,) = found.pop("messages")
        assert found == {
            "description": "Keep what this conversation found out, with its proof.",
            "resultType": "complete",
        }
        assert message["role"] == "user"
        assert message["content"]["type"] == "text"
        assert '"atlas"' in message["content"]["text"]
        review = types.GetPromptRequestParams(name="weekly_review", arguments=None)
        assert (await server._get_prompt(asked(), review))["messages"]
        for name, given in (("nothing", {}), ("remember", {})):
            with pytest.raises(MCPError) as error:
                await server._get_prompt(
                    asked(), types.GetPromptRequestParams(name=name, arguments=given)
                )
            assert error.value.error.code == types.INVALID_PARAMS

    served(test)


def test_completions_say_whether_there_are_more(
    served: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    of: list[str] = []

    def candidates(_: Any, of_what: str, __: str) -> list[str]:
        of.append(of_what)
        return [f"a{n}" for n in range(101)]

    monkeypatch.setattr(completion, "_candidates", candidates)

    async def test(server: McpServer, _: Desk) -> None:
        for ref in (
            types.PromptReference(type="ref/prompt", name="remember"),
            types.ResourceTemplateReference(type="ref/resource", uri="cdesk://x/{id}"),
        ):
            for value, total, more in (("a", 101, True), ("a1", 12, False)):
                params = types.CompleteRequestParams(
                    ref=ref, argument=types.CompletionArgument(name="subject", value=value)
                )
                found = await server._complete(asked(), params)
                assert found["resultType"] == "complete"
                assert found["completion"]["total"] == total
                assert found["completion"]["hasMore"] is more
                assert len(found["completion"]["values"]) == min(total, 100)
        assert set(of) == {"remember", "cdesk://x/{id}"}

    served(test)


# -- what a client is told of the server


def test_the_server_says_what_it_is_and_that_its_lists_change(
    served: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    most: list[int] = []
    handler = server.ListenHandler

    def listening(bus: Any, *, max_subscriptions: int) -> Any:
        most.append(max_subscriptions)
        return handler(bus, max_subscriptions=max_subscriptions)

    monkeypatch.setattr(server, "ListenHandler", listening)

    async def test(server: McpServer, _: Desk) -> None:
        options = server.options
        assert (options.server_name, options.server_version) == ("cdesk", __version__)
        assert options.instructions == INSTRUCTIONS
        capabilities = options.capabilities
        assert capabilities.tools is not None
        assert capabilities.tools.list_changed
        assert capabilities.resources is not None
        assert capabilities.resources.list_changed
        assert len(server.sdk.middleware) == 1, "no spans for an exporter that nobody has"

    served(test)
    served(test, max_subscriptions=7)
    assert most == [16, 7]


def test_an_error_begins_with_its_code_once() -> None:
    assert error_text(NotFound("no such thing")) == "not_found: no such thing"
    assert error_text(Forbidden("forbidden: not yours")) == "forbidden: not yours"
    assert error_text(InvalidField("a", "is b", "c")) == "invalid_argument: a: is b; allowed: c"


def test_headers_are_held_against_the_schema_of_a_tool_that_is_one() -> None:
    assert _input_schema("get_result") is TOOLS["get_result"].input
    assert _input_schema("nothing") is None
