"""The tools on the SDK's low-level server: handlers in, protocol by the SDK. One server serves all
callers of a process, over any transport.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import mcp_types as types
import orjson
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp_types.methods import serialize_server_result, validate_client_request
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from cdesk import __version__
from cdesk.core.errors import CdeskError, InvalidField, NotFound
from mcp_shim import tools
from mcp_shim.app import App
from mcp_shim.sdk_verdicts import ANSWER, PlainCall
from mcp_shim.session import Session
from mcp_shim.tools.card import shows_cards
from mcp_shim.tools.instructions import INSTRUCTIONS
from mcp_shim.tools.tool import Answer, Progress

logger = logging.getLogger(__name__)

Context = ServerRequestContext[Any, Any]
Result = dict[str, Any]

RESOURCE_NOT_FOUND: Final = -32002

WARM_SECONDS: Final = 0.02
"""After the answer to the first tools/list."""

_LARGE: Final = 1_024
"""Bytes of structured content from which on its text is worth keeping."""
_LISTED: Final[dict[str, Any]] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
"""In every answer that protocol 2026-07-28 lets a client keep: not to be kept, the catalog may
change. Older versions never see it.
"""


class McpServer:
    """Answers by way of the tools, and records what it was asked.

    `session_of` gives the caller's session for a request: over stdio always the same one, over
    HTTP the one of the request's token. `fragments`: whether the transport of a request writes
    `orjson.Fragment`s in results as they stand (ours do, the SDK's own do not). `one_connection`:
    whether all messages come over one connection, which then hears of changes. `on_called` hears of
    each call of a tool and its error code, None for success. `max_subscriptions`: streams of
    changes that are open at a time.
    """

    def __init__(
        self,
        app: App,
        session_of: Callable[[Context], Session],
        *,
        fragments: Callable[[Context], bool] = lambda _: False,
        one_connection: bool = True,
        on_called: Callable[[Context, str, str | None], None] = lambda *_: None,
        max_subscriptions: int = 16,
    ) -> None:
        self._app = app
        self._session_of = session_of
        self._fragments = fragments
        self._one_connection = one_connection
        self._on_called = on_called
        self._bus = InMemorySubscriptionBus()
        self._connection: ServerSession | None = None
        """Who hears of a changed catalog by a notification: the latest that finished a handshake.
        Over HTTP, and from protocol 2026-07-28 on, clients subscribe instead.
        """
        self._listed: str | None = None
        """The content hash of the catalog that a client was shown last; empty for none."""
        self._answers: dict[int, Answer] = {}
        """Answers of tools on its way from the handler to `_around`, by the identity of the
        request's context.
        """
        self._texted = (b"", orjson.Fragment(b"[]"))
        """Structured content, and the content of a result that says it as text."""
        self.sdk = Server(
            "cdesk",
            version=__version__,
            title="cdesk",
            description="Activity stream and memory of this person, kept across conversations",
            instructions=INSTRUCTIONS,
            get_tool_input_schema=_input_schema,
            on_subscriptions_listen=ListenHandler(self._bus, max_subscriptions=max_subscriptions),
        )
        # The SDK's own middleware makes spans for an exporter that a desktop process does not have;
        # the stream itself says how long calls took.
        self.sdk.middleware[:] = [self._around]
        paged = types.PaginatedRequestParams
        handlers: tuple[tuple[str, Any, Any], ...] = (
            ("tools/list", paged, self._list_tools),
            ("tools/call", PlainCall, self._call_tool),
            ("resources/list", paged, self._list_resources),
            ("resources/templates/list", paged, self._list_resource_templates),
            ("resources/read", types.ReadResourceRequestParams, self._read_resource),
            ("prompts/list", paged, self._list_prompts),
            ("prompts/get", types.GetPromptRequestParams, self._get_prompt),
            ("completion/complete", types.CompleteRequestParams, self._complete),
        )
        for method, params, handler in handlers:
            self.sdk.add_request_handler(method, params, handler)
        self.sdk.add_notification_handler(
            "notifications/initialized", types.NotificationParams, self._initialized
        )
        self.options = self.sdk.create_initialization_options(
            NotificationOptions(tools_changed=True, resources_changed=True)
        )

    async def _around(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """The SDK's place for what happens around a message.

        A tool's structured content joins the result after the SDK has shaped it: it is JSON
        already, and walking through a context of some hundred values twice more would cost more
        than all the rest of the call.
        """
        params = ctx.params
        if (
            params
            and "_meta" in params
            and ctx.request_id is not None
            and ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS
            and _has_envelope(params)
            and ctx.method != "initialize"
        ):
            # As the SDK's driver for both eras does; the one for the handshake era, which our
            # stdio transport uses, leaves it to others.
            raise MCPError(
                types.INVALID_REQUEST,
                "this connection serves the handshake protocol era; "
                "requests carrying the 2026-07-28 envelope are not accepted on it",
            )
        if (
            ctx.method == "tools/call"
            and isinstance(params, dict)
            and isinstance(params.get("arguments"), str)
        ):
            tools.parse_arguments(params)
        try:
            result = await call_next(ctx)
        finally:
            answer = self._answers.pop(id(ctx), None)
        if answer is not None and isinstance(result, dict):
            structured = answer.structured
            if as_fragments := self._fragments(ctx):
                result["structuredContent"] = orjson.Fragment(structured)
            else:
                result["structuredContent"] = orjson.loads(structured)
            if as_fragments and answer.text is None and len(structured) >= _LARGE:
                result["content"] = self._as_text(structured)
            else:
                text = structured.decode() if answer.text is None else answer.text
                result["content"] = [{"type": "text", "text": text}, *answer.more]
            if answer.meta is not None:
                result["_meta"] = {**(result.get("_meta") or {}), **answer.meta}
        return result

    def _as_text(self, structured: bytes) -> orjson.Fragment:
        """Structured content as the text of a result. The latest is kept: what is known of a person
        is asked for more often than it changes.
        """
        if structured is not self._texted[0]:
            text = orjson.dumps([{"type": "text", "text": structured.decode()}])
            self._texted = (structured, orjson.Fragment(text))
        return self._texted[1]

    # -- session

    async def _initialized(self, ctx: Context, _: types.NotificationParams) -> None:
        if self._one_connection:
            self._connection = ctx.session
        self._session(ctx)

    def _session(self, ctx: Context) -> Session:
        """The caller's session, which begins with the first thing that the client does on it."""
        session = self._session_of(ctx)
        params = ctx.session.client_params
        if not session.begun:
            client = (params.client_info.name, params.client_info.version) if params else None
            session.begin(client=client, protocol_version=ctx.protocol_version)
        if params is not None and params is not session.client:
            session.client = params
            session.shows_cards = shows_cards(params.capabilities)
        return session

    # -- tools

    async def _list_tools(self, ctx: Context, _: types.PaginatedRequestParams) -> Result:
        session = self._session(ctx)
        catalog = self._app.readers.catalog.look()
        if self._listed is None:
            asyncio.get_running_loop().call_later(
                WARM_SECONDS, self._warm, session, ctx.protocol_version
            )
        self._listed = catalog.content_hash if catalog else ""
        return {"tools": tools.tool_list(catalog, session.caller), **_LISTED}

    def _warm(self, session: Session, version: str) -> None:
        """After the tools have been listed and before one is called: build what the first call
        would have to build.
        """
        call = {"name": "get_context", "arguments": {}}
        # Each may refuse this empty call, a ValueError, when its validator has been built: which
        # was the purpose.
        with contextlib.suppress(ValueError):
            validate_client_request("tools/call", version, call)
        with contextlib.suppress(ValueError):
            types.CallToolRequestParams.model_validate(call, by_name=False)
        with contextlib.suppress(ValueError):
            serialize_server_result(
                "tools/call", version, {"content": [], "resultType": "complete"}
            )
        # Opens and reads what the first call would have to open. What is wrong, that call says.
        with contextlib.suppress(CdeskError):
            session.context.answer()

    async def _call_tool(
        self, ctx: Context, params: PlainCall | types.CallToolRequestParams
    ) -> Result:
        begun = time.perf_counter_ns()
        tool = params.name
        if tool not in tools.TOOLS:
            raise MCPError(
                types.INVALID_PARAMS,
                f"Unknown tool: {tool[:60]}; known: {', '.join(tools.TOOLS)}",
            )
        session = self._session(ctx)
        code: str | None = None
        try:
            self._answers[id(ctx)] = await tools.call(
                session, tool, params.arguments, _progress(ctx)
            )
            answer: Result = {**ANSWER, "content": []}
        except asyncio.CancelledError:
            spent = (time.perf_counter_ns() - begun) / 1e6
            session.called(tool, latency_ms=spent, error_code=None, cancelled=True)
            raise
        except CdeskError as error:
            code = error.code
            answer = {
                "content": [{"type": "text", "text": self._said(error)}],
                "isError": True,
                "resultType": "complete",
            }
        except Exception as error:  # noqa: BLE001 - the top of a call: the connection goes on
            code = "internal"
            facts = {"tool": tool, "error": type(error).__name__}
            logger.error("call failed", extra={"facts": facts})
            said = (
                f"internal: {tool} failed inside the server ({type(error).__name__}); "
                "try again, or see 'cdesk doctor'"
            )
            answer = {
                "content": [{"type": "text", "text": said}],
                "isError": True,
                "resultType": "complete",
            }
        session.called(tool, latency_ms=(time.perf_counter_ns() - begun) / 1e6, error_code=code)
        self._on_called(ctx, tool, code)
        self._app.after_call(needs_worker=tools.TOOLS[tool].needs_worker)
        return answer

    def _said(self, error: CdeskError) -> str:
        return self._without_paths(error_text(error))

    def _without_paths(self, text: str) -> str:
        """For a caller on another computer: what is wrong, without where it is on this one."""
        folder = self._app.private_folder
        return text.replace(folder, "<state directory>") if folder else text

    # -- resources

    async def _list_resources(self, ctx: Context, _: types.PaginatedRequestParams) -> Result:
        from mcp_shim.resources import resource_list  # what few ask for: a start costs less

        return {"resources": resource_list(self._session(ctx)), **_LISTED}

    async def _list_resource_templates(
        self, ctx: Context, _: types.PaginatedRequestParams
    ) -> Result:
        from mcp_shim.resources import resource_templates

        self._session(ctx)
        return {"resourceTemplates": resource_templates(), **_LISTED}

    async def _read_resource(self, ctx: Context, params: types.ReadResourceRequestParams) -> Result:
        from mcp_shim.resources import resource

        session, uri = self._session(ctx), str(params.uri)
        try:
            return {"contents": [await resource(session, uri)], **_LISTED}
        except CdeskError as error:
            raise MCPError(
                RESOURCE_NOT_FOUND, self._without_paths(str(error)), {"uri": uri[:200]}
            ) from None

    # -- prompts

    async def _list_prompts(self, ctx: Context, _: types.PaginatedRequestParams) -> Result:
        from mcp_shim.prompts import PROMPTS

        self._session(ctx)
        return {"prompts": [prompt.listed() for prompt in PROMPTS.values()], **_LISTED}

    async def _get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> Result:
        from mcp_shim.prompts import PROMPTS, local_now, prompt_text

        readers = self._session(ctx).app.readers
        try:
            text = prompt_text(
                params.name,
                params.arguments or {},
                catalog=readers.catalog.look(),
                now=local_now(readers.now_ns(), readers.timezone),
            )
        except (InvalidField, NotFound) as error:
            raise MCPError(types.INVALID_PARAMS, self._without_paths(str(error))) from None
        return {
            "description": PROMPTS[params.name].description,
            "messages": [{"role": "user", "content": {"type": "text", "text": text}}],
            "resultType": "complete",
        }

    async def _complete(self, ctx: Context, params: types.CompleteRequestParams) -> Result:
        from mcp_shim.completion import completions

        ref = params.ref
        values, total = completions(
            self._session(ctx),
            of=ref.name if isinstance(ref, types.PromptReference) else ref.uri,
            argument=params.argument.name,
            begun=params.argument.value,
        )
        found = {"values": values, "total": total, "hasMore": total > len(values)}
        return {"completion": found, "resultType": "complete"}

    # -- changes

    async def announce(self) -> None:
        """Tell clients when the catalog is another than the one that was shown last."""
        if self._listed is None:
            return
        catalog = self._app.readers.catalog.look()
        now = catalog.content_hash if catalog else ""
        if now == self._listed:
            return
        self._listed = now
        if self._connection is not None:
            await self._connection.send_tool_list_changed()
            await self._connection.send_resource_list_changed()
        await self._bus.publish(ToolsListChanged())
        await self._bus.publish(ResourcesListChanged())


def error_text(error: CdeskError) -> str:
    """`code: message` in one line, as a tool result says it."""
    text = str(error)
    return text if text.startswith(f"{error.code}:") else f"{error.code}: {text}"


def _input_schema(tool: str) -> Mapping[str, Any] | None:
    """What the SDK holds a call's headers against; it would list all tools for each call."""
    return tools.TOOLS[tool].input if tool in tools.TOOLS else None


def _has_envelope(params: Mapping[str, Any]) -> bool:
    """Whether a request carries the mark of protocol 2026-07-28."""
    meta = params.get("_meta")
    return isinstance(meta, Mapping) and types.PROTOCOL_VERSION_META_KEY in meta


def _progress(ctx: Context) -> Progress | None:
    """A way to report progress, where the client asked for it."""
    if not ctx.meta or "progress_token" not in ctx.meta:
        return None
    token = ctx.meta["progress_token"]

    async def report(done: float, total: float, message: str) -> None:
        await ctx.session.send_progress_notification(
            token, done, total, message, related_request_id=_text(ctx.request_id)
        )

    return report


def _text(request_id: types.RequestId | None) -> str | None:
    return None if request_id is None else str(request_id)
