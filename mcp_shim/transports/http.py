"""Streamable HTTP: the tools at `/mcp` for many callers, each known by its token.

One process has one queue writer, one snapshot reader and one catalog, as over stdio; a request has
an identity, a session and nothing more. The protocol is the SDK's (`StreamableHTTPSessionManager`,
stateless, answers as JSON); what stands before it here decides who may ask, how much and how often.

A handshake client gets a session id with the answer to `initialize`. It names a session to any
process of the service: it is signed, and counts with the token alone that it was given to.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import hashlib
import hmac
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final

import anyio
import orjson
from mcp.server.auth.routes import (
    build_resource_metadata_url,
    create_protected_resource_routes,
)
from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from mcp_types.version import KNOWN_PROTOCOL_VERSIONS
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cdesk.core.clock import format_ts
from cdesk.core.config import HttpSettings, Settings
from cdesk.core.errors import CdeskError, Forbidden
from cdesk.core.features import METRICS
from cdesk.core.home import StateDirectory
from cdesk.core.identity import ADMIN
from cdesk.core.metrics import AUTH_REFUSALS, ERRORS, HTTP_REQUESTS, RATE_LIMITED
from cdesk.core.wake import WakeSender
from cdesk.state.access import AccessStore
from cdesk.state.checkpointer import Checkpointer
from cdesk.state.database import open_state
from cdesk.state.kill_switch import turn_off, turn_on
from mcp_shim.app import App
from mcp_shim.auth import Identity, Unauthorized, bearer_token
from mcp_shim.limits import AtATime, Denials, RateLimit, TooMany
from mcp_shim.server import McpServer
from mcp_shim.session import Session
from mcp_shim.session_pool import SessionPool
from mcp_shim.tools import TOOLS
from mcp_shim.tools.card import shows_cards
from mcp_shim.transports.http_connection import MAX_HEAD_BYTES
from mcp_shim.transports.http_exchange import answer_call, plain_call
from mcp_shim.transports.http_identity import verifier_of
from mcp_shim.transports.http_log import RequestLog
from mcp_shim.transports.http_metrics import Scraper, exposition, require_scraper

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 1024 * 1024
DISCARDED_BYTES: Final = 8 * MAX_BODY_BYTES
"""A body that is too large is read to here, so that its client gets to see the answer: closing a
connection with bytes unread takes the answer along.
"""
MAX_DEPTH: Final = 64
"""Of arrays and objects in a body: twice what a record may have."""
BODY_SECONDS: Final = 15.0
WRITE_SECONDS: Final = 30.0
"""A client that does not read for so long is given up."""
REFUSAL_SECONDS: Final = 0.25
"""A refusal for having asked too much waits so long: who does not heed it costs others little."""
DENIAL_SECONDS: Final = 60.0
"""Of a customer's refusals for having asked too much, one in so long stands in the stream."""
TICK_SECONDS: Final = 5.0
WATCH_SECONDS: Final = 0.5
"""Requests that last longer are asked again whether their token still counts."""
MAX_SUBSCRIPTIONS: Final = 10_000
MAX_PSEUDONYMS: Final = 10_000
LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")
SESSION_HEADER: Final = b"mcp-session-id"
CARDS_MARK: Final = "-cards"
"""In the id of a session whose client shows cards: any process must know that."""

INTERNAL_ERROR: Final = -32603
INVALID_REQUEST: Final = -32600
PARSE_ERROR: Final = -32700
REFUSED: Final = -32000

Json = dict[str, Any]
Context = ServerRequestContext[Any, Any]


class Refused(CdeskError):
    """A request that does not get as far as the protocol."""

    code = "refused"

    def __init__(self, status: int, message: str, *, rpc_code: int = INVALID_REQUEST) -> None:
        super().__init__(message)
        self.status = status
        self.rpc_code = rpc_code


@dataclass(slots=True, eq=False)
class Call:
    """One request under way, and what its line in the log says."""

    begun: float
    scope: anyio.CancelScope
    identity: Identity | None = None
    session: Session | None = None
    method: str | None = None
    tool: str | None = None
    outcome: str | None = None
    status: int = 0
    new_session: str | None = None
    is_plain: bool = False
    """Answered by us, not by the SDK's transport."""
    withdrawn: bool = False
    """Its token was revoked, or has expired, meanwhile."""


class Service:
    """One process of the HTTP service. `asgi` is what uvicorn serves."""

    def __init__(self, settings: Settings, home: StateDirectory) -> None:
        self._settings = settings
        self._home = home
        self._store = AccessStore(home.access_db, checkpoints=False)
        self._checkpointer = Checkpointer(home.access_db)
        self._verifier = verifier_of(settings.http, self._store)
        self._metadata_url = ""
        routes = []
        if settings.http.issuer:
            # Only here: without an issuer nobody needs the library.
            from mcp_shim.transports.http_oauth import SCOPES

            resource = AnyHttpUrl(f"{settings.http.url}/mcp")
            self._metadata_url = str(build_resource_metadata_url(resource))
            routes = create_protected_resource_routes(
                resource, [AnyHttpUrl(settings.http.issuer)], list(SCOPES), "cdesk"
            )
        calls, tickets = settings.http.part_of_a_process
        self._calls_limit = RateLimit("calls", per_minute=calls)
        self._tickets_limit = RateLimit("queries", per_minute=tickets)
        self._at_a_time = AtATime()
        self._denied = Denials(DENIAL_SECONDS)
        self._security = TransportSecurityMiddleware(security(settings.http))
        self._under_way: set[Call] = set()
        self._draining = False
        self._requests = RequestLog(__name__)
        self._pseudonym = functools.lru_cache(maxsize=MAX_PSEUDONYMS)(self._new_pseudonym)
        self._key = b""
        mcp = _Endpoint(self, self._mcp)
        self.asgi: ASGIApp = _Front(
            mcp,
            Starlette(
                routes=[
                    Route("/healthz", self._healthz, methods=["GET"]),
                    Route("/readyz", self._readyz, methods=["GET"]),
                    Route("/metrics", _Endpoint(self, self._metrics)),
                    Route("/mcp", mcp),
                    Route("/admin/kill-switch", _Endpoint(self, self._kill_switch)),
                    *routes,
                ],
                lifespan=self._lifespan,
            ),
        )

    # -- the process

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[dict[str, Any]]:
        self._key = self._store.secret("service")
        self._app = App.open(self._settings, self._home, transport="http")
        self._pool = SessionPool(self._app, self._store)
        server = McpServer(
            self._app,
            _session_of,
            fragments=_is_plain,
            one_connection=False,
            on_called=_note_call,
            max_subscriptions=MAX_SUBSCRIPTIONS,
        )
        manager = StreamableHTTPSessionManager(
            server.sdk,
            json_response=True,
            stateless=True,
            max_request_body_size=MAX_BODY_BYTES,
            # Hosts and origins are checked before; without settings each request makes its own.
            security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        self._server = server.sdk
        self._protocol: ASGIApp = manager.handle_request
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)

        async def tick() -> None:
            while True:
                await asyncio.sleep(TICK_SECONDS)
                for step in (
                    self._app.tick,
                    self._pool.tick,
                    self._checkpointer.tick,
                    server.announce,
                ):
                    try:
                        if (waiting := step()) is not None:
                            await waiting
                    except Exception:  # the top of a loop: the next round tries again
                        logger.exception("tick failed")

        async def watch() -> None:
            while True:
                await asyncio.sleep(WATCH_SECONDS)
                try:
                    self._withdraw()
                except Exception:  # the top of a loop
                    logger.exception("watch failed")

        tasks = [asyncio.create_task(tick()), asyncio.create_task(watch())]
        with contextlib.ExitStack() as end:  # each step runs, whatever another does
            end.callback(self._requests.flush)
            end.callback(self._store.close)
            end.callback(self._checkpointer.close)
            end.callback(self._app.close)
            end.callback(self._pool.close)
            for task in tasks:
                end.callback(task.cancel)
            async with manager.run():
                yield {"service": self}
                self.drain()

    def drain(self) -> None:
        """Answer what is under way, and end the streams that would go on for ever."""
        self._draining = True
        for call in self._under_way:
            if call.method == "subscriptions/listen":
                call.scope.cancel()

    def _withdraw(self) -> None:
        """Cut the requests under way whose token counts no more."""
        late = time.perf_counter() - WATCH_SECONDS
        asked: dict[Identity, bool] = {}
        for call in list(self._under_way):
            if call.identity is None or call.begun > late:
                continue
            if call.identity not in asked:
                asked[call.identity] = self._verifier.still_valid(call.identity)
            if not asked[call.identity]:
                call.withdrawn = True
                call.scope.cancel()

    async def _healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _readyz(self, _: Request) -> Response:
        """Whether this process takes requests: it does not while it ends, or where its files cannot
        be used.
        """
        if self._draining:
            return JSONResponse({"status": "draining"}, status_code=503)
        try:
            self._store.has_valid_token(now=format_ts(time.time_ns()))
            self._app.readers.state.version()
        except CdeskError as error:
            return JSONResponse({"status": error.code}, status_code=503)
        return JSONResponse({"status": "ready"})

    async def _metrics(self, call: Call, request: Request, _: Send) -> Response:
        """The metrics of the whole state directory, whichever process is asked."""
        if not self._settings.features.has(METRICS):
            raise Refused(404, "Not Found")
        if request.method != "GET":
            return Response(status_code=405, headers={"Allow": "GET"})
        http = self._settings.http
        scraper = Scraper(request.client.host if request.client else "", request.headers)
        require_scraper(scraper, self._home, behind_proxy=bool(http.url or http.proxies))
        self._app.counts.flush()
        try:
            told = await asyncio.to_thread(
                exposition,
                self._settings,
                self._home,
                accept=request.headers.get("accept", ""),
            )
        except ModuleNotFoundError:
            raise Refused(501, "metrics need prometheus-client: pip install 'cdesk[ops]'") from None
        call.outcome = "ok"
        return Response(told.body, headers={"Content-Type": told.content_type})

    # -- a request

    async def _mcp(self, call: Call, request: Request, send: Send) -> Response | None:
        identity = await self._admit(call, request)
        if request.method == "DELETE":
            return self._end_session(identity, request)
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "POST, DELETE"})
        with self._at_a_time.one(identity.caller.customer):
            body = await _read_body(request)
            message = _parse(body)
            self._look(call, message)
            if call.tool == "submit_query":
                self._tickets_limit.take(identity.caller.customer)
            self._join(call, identity, request, message)
            request.scope["cdesk.call"] = call
            if call.tool is not None and (plain := plain_call(request, body)) is not None:
                call.is_plain = True
                return await answer_call(self._server, plain, request)
            await self._protocol(request.scope, _replay(body, request.receive), send)
        return None

    async def _admit(self, call: Call, request: Request) -> Identity:
        """Whose request it is. Raises Unauthorized, TooMany."""
        token = bearer_token(request.headers.getlist("authorization"))
        identity = self._shown_enough(await self._verifier.identify(token))
        call.identity = identity
        self._calls_limit.take(identity.caller.customer)
        return identity

    def _shown_enough(self, identity: Identity) -> Identity:
        """The identity as it may ask over all customers: an admin sees rows of few, too."""
        caller = identity.caller
        if not caller.is_analyst or ADMIN in caller.roles:
            return identity
        least = self._settings.http.least_customers
        return replace(identity, caller=replace(caller, least_customers=least))

    def _look(self, call: Call, message: object) -> None:
        """Note what is asked, for limits and log: names of ours alone, nothing that a caller made
        up.
        """
        if not isinstance(message, dict):
            return
        method, params = message.get("method"), message.get("params")
        if isinstance(method, str) and method in _METHODS:
            call.method = method
        if call.method == "tools/call":
            name = params.get("name") if isinstance(params, dict) else None
            call.tool = name if isinstance(name, str) and name in TOOLS else "unknown"

    def _join(self, call: Call, identity: Identity, request: Request, message: object) -> None:
        """Find the request's session; `initialize` begins one."""
        given = request.headers.get("mcp-session-id")
        if call.method == "initialize":
            mark = CARDS_MARK if _shows_cards(message) else ""
            given = self._sign(identity, self._app.records.ids.uuid7() + mark)
            call.new_session = given
        elif given is not None and not self._is_ours(identity, given):
            raise Refused(404, "Session not found")
        call.session = self._pool.session(identity, given)
        if given is not None:
            call.session.shows_cards = given.partition(".")[0].endswith(CARDS_MARK)
        if call.method == "initialize" and not call.session.begun and isinstance(message, dict):
            client, version = _client_of(message)
            call.session.begin(client=client, protocol_version=version)

    def _end_session(self, identity: Identity, request: Request) -> Response:
        given = request.headers.get("mcp-session-id")
        if given is None or not self._is_ours(identity, given):
            raise Refused(404, "Session not found")
        self._pool.end(identity, given)
        return Response(status_code=204)

    def _sign(self, identity: Identity, id: str) -> str:
        text = "\0".join((identity.caller.customer, identity.token_id, id))
        seal = hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"{id}.{seal.hexdigest()[:32]}"

    def _is_ours(self, identity: Identity, given: str) -> bool:
        id = given.partition(".")[0]
        return hmac.compare_digest(self._sign(identity, id).encode(), given.encode())

    async def _kill_switch(self, call: Call, request: Request, _: Send) -> Response:
        """`{"on": true, "reason": "…"}`: refuse queries, or allow them again."""
        identity = await self._admit(call, request)
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        call.tool = "kill_switch"
        session = call.session = self._pool.session(identity, None)
        try:
            identity.caller.require_admin("the kill switch")
            given = _parse(await _read_body(request))
            on, reason = _wanted(given)
        except CdeskError as error:
            session.called("kill_switch", latency_ms=_ms(call), error_code=error.code)
            raise
        cancelled = await asyncio.to_thread(self._turn, on, reason)
        session.called("kill_switch", latency_ms=_ms(call), error_code=None)
        call.outcome = "on" if on else "off"
        return JSONResponse({"on": on, "cancelled": cancelled})

    def _turn(self, on: bool, reason: str | None) -> int:
        now, cancelled = format_ts(time.time_ns()), 0
        with contextlib.closing(open_state(self._home.state_db)) as state:
            if on:
                cancelled = turn_on(state, self._home, reason=reason, now=now)
            else:
                turn_off(state, self._home, now=now)
        with contextlib.closing(WakeSender(self._home)) as waker:
            waker.send()  # the worker stops at once what runs
        return cancelled

    async def serve(self, handler: Handler, request: Request, send: Send) -> None:
        """Run the handler of a request: errors as answers, bounds on its client, one line in the
        log.
        """
        call = Call(time.perf_counter(), anyio.CancelScope())
        answer: Response | None = None

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
                if call.new_session is not None and call.status == 200:
                    header = (SESSION_HEADER, call.new_session.encode("ascii"))
                    message = {**message, "headers": [*message.get("headers", ()), header]}
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await send(message)
            except TimeoutError:
                call.outcome = "disconnected"
                raise

        self._under_way.add(call)
        try:
            with call.scope:
                _require_small_head(request.scope)
                answer = await self._security.validate_request(request)
                if answer is None:
                    answer = await handler(call, request, watched)
        except (CdeskError, ConnectionError) as error:
            answer = self._refusal(call, error)
            if isinstance(error, TooMany):
                self._note_denial(call, error)
                await asyncio.sleep(0 if self._draining else REFUSAL_SECONDS)
        except Exception as error:  # noqa: BLE001 - the top of a request: logged, and answered
            if call.outcome != "disconnected":  # the SDK may have it in a group of errors
                answer = self._failure(call, error)
        finally:
            self._under_way.discard(call)
        if call.scope.cancelled_caught and not call.status:
            answer = (
                self._refusal(call, Unauthorized("withdrawn"))
                if call.withdrawn
                else Response(status_code=503, headers={"Retry-After": "1"})
            )
        try:
            if answer is not None and not call.status:
                await answer(request.scope, request.receive, watched)
        except TimeoutError:
            pass  # uvicorn ends the connection: the answer is not whole
        finally:
            self._log(call)

    def _failure(self, call: Call, error: Exception) -> Response:
        """The answer where something else went wrong than what we know: what it says may be the
        caller's, and is in no log.
        """
        call.outcome = call.outcome or "internal_error"
        logger.error("request failed", extra={"facts": {"error": type(error).__name__}})
        self._app.counts.add(ERRORS, "http", "internal_error")
        return _rpc_error(INTERNAL_ERROR, "Internal server error", status=500)

    def _refusal(self, call: Call, error: CdeskError | ConnectionError) -> Response | None:
        """The answer to a request that is refused, or None where nobody is there to read it."""
        headers: dict[str, str] = {}
        status, rpc_code, text = 500, REFUSED, str(error)
        counts = self._app.counts
        match error:
            case Unauthorized():
                status = 401
                counts.add(AUTH_REFUSALS, error.reason)
                call.outcome = error.reason
                said = ['error="invalid_token"'] if error.reason != "no_token" else []
                if self._metadata_url:
                    said.append(f'resource_metadata="{self._metadata_url}"')
                headers["WWW-Authenticate"] = f"Bearer {', '.join(said)}".rstrip()
            case Forbidden():
                status = 403
            case TooMany():
                status = 429
                counts.add(RATE_LIMITED)
                headers["Retry-After"] = str(error.retry_after)
            case Refused():
                status, rpc_code = error.status, error.rpc_code
            case CdeskError():
                # What is wrong with the service's files is for its log, not for a caller.
                facts = {"code": error.code, "reason": str(error)[:300]}
                logger.error("request failed", extra={"facts": facts})
                counts.add(ERRORS, "http", error.code)
                status, text = 503, f"{error.code}: the service cannot answer now; try again"
            case _:
                call.outcome = "disconnected"
                return None
        call.outcome = call.outcome or (error.code if isinstance(error, CdeskError) else None)
        if status in (408, 413):
            headers["Connection"] = "close"  # the rest of the body is not read
        return _rpc_error(rpc_code, text, status=status, headers=headers)

    def _note_denial(self, call: Call, error: TooMany) -> None:
        """Into the customer's own stream, without what was asked."""
        if call.identity is None or not self._denied.is_due(call.identity.caller.customer):
            return
        session = call.session or self._pool.session(call.identity, None)
        session.called(call.tool or "any", latency_ms=_ms(call), error_code=error.code)

    def _log(self, call: Call) -> None:
        """One line a request: who (a keyed hash), what, how it went and how long it took."""
        customer = call.identity.caller.customer if call.identity else None
        self._app.counts.add(HTTP_REQUESTS, str(call.status or "none"))
        outcome = call.outcome or ("ok" if 200 <= call.status < 300 else "refused")
        if call.tool is not None and call.outcome is None and outcome == "ok":
            outcome = "protocol_error"  # no tool ran
        self._requests.add(
            {
                "customer": self._pseudonym(customer) if customer is not None else None,
                "method": call.method,
                "tool": call.tool,
                "status": call.status,
                "outcome": outcome,
                "ms": round(_ms(call), 3),
            }
        )

    def _new_pseudonym(self, customer: str) -> str:
        """The same for a customer in all processes of this service, and no use elsewhere."""
        text = customer.encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:16]


Handler = Callable[[Call, Request, Send], Awaitable[Response | None]]
"""Answers a request: by a response, or by itself and None."""


class _Endpoint:
    """An ASGI application for a route, over a handler of the service: an object, for a function
    would get Starlette's own treatment of errors and methods.
    """

    def __init__(self, service: Service, handler: Handler) -> None:
        self._service = service
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._service.serve(self._handler, Request(scope, receive), send)


class _Front:
    """The service's routes. The one that is asked all day is gone to straight, past what Starlette
    puts around a handler, which is a part of each call.
    """

    def __init__(self, mcp: _Endpoint, rest: ASGIApp) -> None:
        self._mcp = mcp
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_mcp = scope["type"] == "http" and scope["path"] == "/mcp"
        await (self._mcp if is_mcp else self._rest)(scope, receive, send)


_METHODS: Final = frozenset(
    (
        "initialize",
        "notifications/cancelled",
        "notifications/initialized",
        "ping",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "server/discover",
        "subscriptions/listen",
        "tools/call",
        "tools/list",
    )
)
"""What the log names; any other method is the caller's invention."""


def security(http: HttpSettings) -> TransportSecuritySettings:
    """The Host and Origin headers that are answered: loopback's names, those of where the service
    listens and is reached, and what the settings add.
    """
    hosts = {*LOOPBACK_HOSTS, *http.hosts}
    if http.host not in ("", "0.0.0.0", "::"):
        hosts.add(f"[{http.host}]" if ":" in http.host else http.host)
    if http.url:
        hosts.add(http.url.partition("://")[2].partition("/")[0])
    bare = {host for host in hosts if not re.search(r":\d+$", host)}
    allowed = sorted(hosts | {f"{host}:*" for host in bare})
    return TransportSecuritySettings(
        allowed_hosts=allowed,
        allowed_origins=[
            *(f"{scheme}://{host}" for scheme in ("http", "https") for host in allowed),
            *http.origins,
        ],
    )


def _require_small_head(scope: Scope) -> None:
    """Raises Refused: request line and headers are larger than allowed."""
    size = len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
    size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    if size > MAX_HEAD_BYTES:
        raise Refused(431, f"headers too large: allowed are {MAX_HEAD_BYTES:,} bytes")


async def _read_body(request: Request) -> bytes:
    """The body of a request. Raises Refused: it is too large, or does not come."""
    too_large = Refused(413, f"body too large: allowed are {MAX_BODY_BYTES:,} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > DISCARDED_BYTES:
        raise too_large
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionAbortedError
                part = message.get("body", b"")
                size += len(part)
                if size <= MAX_BODY_BYTES:
                    body += part
                elif size > DISCARDED_BYTES:
                    raise too_large
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise Refused(408, f"the body did not come within {BODY_SECONDS:.0f} s") from None
    if size > MAX_BODY_BYTES:
        raise too_large
    return bytes(body)


def _parse(body: bytes) -> object:
    """A body as JSON. Raises Refused: it is none, or nested too deeply."""
    try:
        message: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(400, "Parse error: the body is no JSON", rpc_code=PARSE_ERROR) from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deep(message):
        raise Refused(400, f"nested too deeply: allowed are {MAX_DEPTH} levels")
    return message


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner += [one for one in item.values() if isinstance(one, dict | list)]
            elif isinstance(item, list):
                inner += [one for one in item if isinstance(one, dict | list)]
        if not inner:
            return False
        level = inner
    return True


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once more, for the SDK; what comes after it, from the connection."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _client_of(message: Json) -> tuple[tuple[str, str] | None, str]:
    """Name and version of the client in an `initialize`, and the protocol version it asks for."""
    params = message.get("params")
    params = params if isinstance(params, dict) else {}
    info, version = params.get("clientInfo"), params.get("protocolVersion")
    client = None
    if isinstance(info, dict):
        name, number = info.get("name"), info.get("version")
        if isinstance(name, str) and isinstance(number, str):
            client = (name, number)
    known = isinstance(version, str) and version in KNOWN_PROTOCOL_VERSIONS
    return client, str(version) if known else "unknown"


def _shows_cards(message: object) -> bool:
    """Whether the client in an `initialize` shows cards."""
    params = message.get("params") if isinstance(message, dict) else None
    capabilities = params.get("capabilities") if isinstance(params, dict) else None
    extensions = capabilities.get("extensions") if isinstance(capabilities, dict) else None
    return isinstance(extensions, dict) and shows_cards(SimpleNamespace(extensions=extensions))


def _wanted(given: object) -> tuple[bool, str | None]:
    """What a request to the kill switch says. Raises Refused."""
    on, reason = (given.get("on"), given.get("reason")) if isinstance(given, dict) else (None, None)
    if not isinstance(on, bool) or not (reason is None or isinstance(reason, str)):
        raise Refused(400, 'expected {"on": true or false, "reason": text or null}')
    return on, reason[:500] if reason else None


def _session_of(ctx: Context) -> Session:
    """The session of the request that a message came with."""
    assert ctx.request is not None
    session: Session = ctx.request.scope["cdesk.call"].session
    return session


def _rpc_error(
    code: int, text: str, *, status: int, headers: Mapping[str, str] | None = None
) -> Response:
    """An error of JSON-RPC to a request whose id nobody knows."""
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}
    return Response(orjson.dumps(body), status, headers=headers, media_type="application/json")


def _is_plain(ctx: Context) -> bool:
    assert ctx.request is not None
    is_plain: bool = ctx.request.scope["cdesk.call"].is_plain
    return is_plain


def _note_call(ctx: Context, _: str, error_code: str | None) -> None:
    assert ctx.request is not None
    ctx.request.scope["cdesk.call"].outcome = error_code or "ok"


def _ms(call: Call) -> float:
    return (time.perf_counter() - call.begun) * 1000
