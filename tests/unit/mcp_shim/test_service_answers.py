"""The HTTP service in this process, without a socket: who may ask, what is refused, what stands in
the log.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response

from bench.turn_path import fixtures
from cdesk.contract.records import parse_line
from cdesk.core.clock import format_ts
from cdesk.core.config import HttpSettings, Settings
from cdesk.core.errors import Forbidden, StateDirectoryError
from cdesk.core.features import METRICS, Features
from cdesk.core.home import StateDirectory
from cdesk.state.access import AccessStore
from cdesk.state.database import open_state
from cdesk.state.kill_switch import read_switch
from mcp_shim.auth import Identity
from mcp_shim.limits import TooMany
from mcp_shim.tools.instructions import INSTRUCTIONS
from mcp_shim.transports import http as http_module
from mcp_shim.transports.http import (
    MAX_BODY_BYTES,
    Call,
    Refused,
    Service,
    security,
)

ADA, BOB = "ada@example.com", "bob@example.com"
HEADERS = {
    "host": "127.0.0.1:8378",
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2025-11-25",
}
CALL = {"method": "tools/call", "params": {"name": "get_context", "arguments": {}}}


@dataclass(frozen=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Running:
    """A service, and the lines of its log."""

    def __init__(self, service: Service, home: StateDirectory) -> None:
        self.service = service
        self.home = home
        self.log: list[dict[str, Any]] = []
        service._requests.add = self.log.append  # type: ignore[method-assign, assignment]

    def token(self, customer: str, *roles: str) -> str:
        with closing(AccessStore(self.home.access_db)) as store:
            now = format_ts(time.time_ns())
            (made,) = store.add_tokens([customer], roles=roles, expires_at=None, now=now)
        return made.token

    async def ask(
        self,
        method: str = "GET",
        path: str = "/mcp",
        body: bytes = b"",
        *,
        peer: str = "127.0.0.1",
        token: str | None = None,
        **headers: str | None,
    ) -> Answered:
        """A header of None is left out; `_` stands for `-`."""
        given = dict(HEADERS)
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        for name, value in headers.items():
            given.pop(name.replace("_", "-"), None)
            if value is not None:
                given[name.replace("_", "-")] = value
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": (peer, 5),
            "server": ("127.0.0.1", 8378),
        }
        parts = [body[start : start + 300_000] for start in range(0, len(body), 300_000)] or [b""]
        sent: list[Any] = []

        async def receive() -> Any:
            if not parts:
                await asyncio.sleep(3600)
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.service.asgi(scope, receive, send)
        told = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return Answered(sent[0]["status"], told, content)

    async def post(self, message: Any, **options: Any) -> Answered:
        whole = {"jsonrpc": "2.0", "id": 1, **message} if isinstance(message, dict) else message
        return await self.ask("POST", body=orjson.dumps(whole), **options)

    async def call(self, tool: str, given: Any = None, **options: Any) -> Any:
        """The result of a tool."""
        params = {"name": tool, "arguments": given or {}}
        answer = await self.post({"method": "tools/call", "params": params}, **options)
        assert answer.status == 200, answer
        return answer.json["result"]

    def events(self, name: str) -> list[Mapping[str, Any]]:
        self.service._app.records.flush()
        return [
            record
            for path in sorted(self.home.queue.glob("*.ndjson"))
            for record in map(parse_line, path.read_bytes().splitlines())
            if record.get("activity") == name
        ]


@asynccontextmanager
async def started(service: Service) -> AsyncIterator[None]:
    """As uvicorn begins and ends it."""
    told: asyncio.Queue[Any] = asyncio.Queue()
    said: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.create_task(service.asgi(scope, told.get, said.put))
    await told.put({"type": "lifespan.startup"})
    assert (await said.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await told.put({"type": "lifespan.shutdown"})
        assert (await said.get())["type"] == "lifespan.shutdown.complete"
        await task


Test = Callable[[Running], Awaitable[None]]


@pytest.fixture
def serve(state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr(http_module, "REFUSAL_SECONDS", 0.0)
    monkeypatch.setattr(http_module, "gc", _NoGc)
    fixtures.catalog(state_home)

    def run(test: Test, *, features: Features | None = None, **http: Any) -> None:
        async def body() -> None:
            settings = Settings(
                home=state_home.root, customer=ADA, worker="off", http=HttpSettings(**http)
            )
            if features is not None:
                settings = replace(settings, features=features)
            running = Running(Service(settings, state_home), state_home)
            async with started(running.service):
                await test(running)

        asyncio.run(body())

    return run


class _NoGc:
    """Of the process that runs the tests nothing is set."""

    freeze = staticmethod(lambda: None)
    set_threshold = staticmethod(lambda *_: None)


# -- who may


@pytest.mark.parametrize(
    ("header", "reason", "said"),
    [
        (None, "no_token", "Bearer"),
        ("Basic abc", "malformed_header", 'Bearer error="invalid_token"'),
        ("Bearer", "malformed_header", 'Bearer error="invalid_token"'),
        ("Bearer a b", "malformed_header", 'Bearer error="invalid_token"'),
        ("Bearer cdt_0", "unknown_token", 'Bearer error="invalid_token"'),
    ],
)
def test_who_brings_no_token_that_counts_is_told_so_and_no_more(
    serve: Callable[..., None], header: str | None, reason: str, said: str
) -> None:
    async def test(running: Running) -> None:
        answer = await running.post(CALL, authorization=header)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, said)
        assert answer.json == {
            "jsonrpc": "2.0",
            "id": None,
            "error": {"code": -32000, "message": "unauthorized: a valid bearer token is needed"},
        }
        (line,) = running.log
        assert (line["status"], line["outcome"], line["customer"]) == (401, reason, None)
        refusals = {
            metric.name: found for metric, found in running.service._app.counts._table.items()
        }
        assert refusals["cdesk_auth_refusals_total"][(reason,)].value == 1

    serve(test)


def test_a_token_opens_what_is_its_customers(serve: Callable[..., None]) -> None:
    async def test(running: Running) -> None:
        for customer in (ADA, BOB):
            result = await running.call("get_context", token=running.token(customer))
            assert result["structuredContent"]["customer"] == customer
        names = {line["customer"] for line in running.log}
        assert len(names) == 2
        assert all(len(name) == 16 and ADA not in name for name in names)
        line = running.log[0]
        assert line | {"customer": "", "ms": 0} == {
            "customer": "",
            "method": "tools/call",
            "tool": "get_context",
            "status": 200,
            "outcome": "ok",
            "ms": 0,
        }
        assert line["ms"] > 0

    serve(test)


def test_an_analyst_is_asked_for_as_many_customers_as_the_settings_say_and_an_admin_is_not(
    serve: Callable[..., None],
) -> None:
    async def test(running: Running) -> None:
        for roles in (("analyst",), ("analyst", "admin"), ()):
            token = running.token(ADA, *roles)
            result = await running.call(
                "submit_query", {"template": "recent_activities"}, token=token
            )
            assert result["structuredContent"]["status"] == "queued"
        with closing(open_state(running.home.state_db)) as state:
            found = state.execute(
                "select is_analyst, least_customers from tickets order by ticket_id"
            )
            assert found.fetchall() == [(1, 7), (1, 1), (0, 1)]

    serve(test, least_customers=7)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:1"}, 200),
        ({"host": "cdesk.example:443"}, 200),
        ({"host": "more.example"}, 200),
        ({"host": "evil.example"}, 421),
        ({"origin": "https://cdesk.example"}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "https://app.example"}, 200),
        ({"origin": "https://evil.example"}, 403),
    ],
)
def test_only_names_of_the_service_are_answered(
    serve: Callable[..., None], headers: dict[str, str], status: int
) -> None:
    async def test(running: Running) -> None:
        answer = await running.post(CALL, token=running.token(ADA), **headers)
        assert answer.status == status

    serve(test, url="https://cdesk.example/x", hosts=("more.example",), origins=("https://app.example",))  # fmt: skip


@pytest.mark.parametrize(
    ("http", "host", "is_allowed"),
    [
        (HttpSettings(host="192.0.2.1"), "192.0.2.1:*", True),
        (HttpSettings(host="2001:db8::1"), "[2001:db8::1]:*", True),
        (HttpSettings(host="0.0.0.0"), "0.0.0.0", False),
        (HttpSettings(host="::"), "[::]", False),
        (HttpSettings(hosts=("a.example:8443",)), "a.example:8443", True),
        (HttpSettings(hosts=("a.example:8443",)), "a.example:8443:*", False),
        (HttpSettings(url="https://b.example/path"), "b.example", True),
        (HttpSettings(), "localhost", True),
    ],
)
def test_the_hosts_that_are_answered(http: HttpSettings, host: str, is_allowed: bool) -> None:
    allowed = security(http)
    assert (host in allowed.allowed_hosts) == is_allowed
    assert (f"https://{host}" in allowed.allowed_origins) == is_allowed
    assert (f"http://{host}" in allowed.allowed_origins) == is_allowed


# -- what is refused


@pytest.mark.parametrize(
    ("body", "status", "code", "said"),
    [
        (b"{", 400, -32700, "Parse error"),
        (b"[" * 65 + b"]" * 65, 400, -32600, "nested too deeply: allowed are 64 levels"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, 400, -32600, "nested too deeply"),
        (b" " * (MAX_BODY_BYTES + 1), 413, -32600, "body too large: allowed are 1,048,576 bytes"),
    ],
)
def test_a_body_that_is_no_request_is_refused(
    serve: Callable[..., None], body: bytes, status: int, code: int, said: str
) -> None:
    async def test(running: Running) -> None:
        answer = await running.ask("POST", body=body, token=running.token(ADA))
        assert (answer.status, answer.json["error"]["code"]) == (status, code)
        assert answer.json["error"]["message"].startswith(said)
        assert (answer.headers.get("connection") == "close") == (status == 413)
        assert running.log[-1]["outcome"] == "refused"

    serve(test)


def test_a_request_at_its_bounds_passes(serve: Callable[..., None]) -> None:
    async def test(running: Running) -> None:
        token = running.token(ADA)
        deep: Any = 1
        for _ in range(60):  # within the message, its params, their arguments and feature_json
            deep = [deep]
        given = {"activity": "cdesk.x", "feature_json": {"a": deep}}
        result = await running.call("log_event", given, token=token)
        assert "nested more than 32 deep" in result["content"][0]["text"], "the contract's bound"
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, **CALL}).ljust(MAX_BODY_BYTES)
        assert (await running.ask("POST", body=body, token=token)).status == 200
        declared = str(8 * MAX_BODY_BYTES + 1)
        answer = await running.ask("POST", body=b"{}", token=token, content_length=declared)
        assert answer.status == 413, "and isn't waited for"
        assert (await running.ask("POST", token=token, x="y" * 70_000)).status == 431

    serve(test)


def test_other_methods_are_told_the_allowed(serve: Callable[..., None]) -> None:
    async def test(running: Running) -> None:
        token = running.token(ADA, "admin")
        for method, path, allowed in (
            ("GET", "/mcp", "POST, DELETE"),
            ("PUT", "/mcp", "POST, DELETE"),
            ("GET", "/admin/kill-switch", "POST"),
            ("POST", "/metrics", "GET"),
        ):
            answer = await running.ask(method, path, token=token)
            assert (answer.status, answer.headers["allow"]) == (405, allowed)
        assert (await running.ask(path="/nowhere")).status == 404

    serve(test)


def test_who_asks_too_much_is_told_when_to_come_back_and_it_stands_once_in_their_stream(
    serve: Callable[..., None],
) -> None:
    async def test(running: Running) -> None:
        for limit in (running.service._tickets_limit, running.service._denied):
            limit._monotonic = lambda: 0.0
        ada, bob = running.token(ADA), running.token(BOB)
        answers = [
            await running.call("submit_query", {"template": "recent_activities"}, token=ada)
            for _ in range(10)
        ]
        assert all(not answer["isError"] for answer in answers)
        told = {"method": "tools/call", "params": {"name": "submit_query", "arguments": {}}}
        for _ in range(2):
            answer = await running.post(told, token=ada)
            assert answer.status == 429
            assert answer.headers["retry-after"] == "60"
            assert answer.json["error"]["message"] == "too many queries; try again in 60 s"
        assert (await running.post(CALL, token=ada)).status == 200, "other calls go on"
        assert not (await running.call("submit_query", {"template": "recent_activities"}, token=bob))["isError"]  # fmt: skip
        (denied,) = [one for one in running.events("cdesk.tool_called") if one["feature_json"]["error_code"] == "rate_limited"]  # fmt: skip
        assert (denied["customer"], denied["feature_json"]["tool"]) == (ADA, "submit_query")
        assert [line["outcome"] for line in running.log].count("rate_limited") == 2

    serve(test, tickets_per_minute=1)


def test_a_failure_within_is_answered_and_tells_nothing(
    serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(running: Running) -> None:
        def fails(*_: Any) -> None:
            raise RuntimeError("of a path /secret")

        token = running.token(ADA)
        with monkeypatch.context() as patch:
            patch.setattr(running.service, "_look", fails)
            answer = await running.post(CALL, token=token)
        assert (answer.status, answer.json["error"]) == (
            500,
            {"code": -32603, "message": "Internal server error"},
        )
        assert running.log[-1]["outcome"] == "internal_error"
        running.service._store.close()
        for path in running.home.root.glob("access.db*"):
            path.unlink()
        running.home.access_db.mkdir()
        answer = await running.post(CALL, token=token)
        assert answer.status == 503
        assert answer.json["error"]["message"] == "state_directory: the service cannot answer now; try again"  # fmt: skip
        assert (await running.ask(path="/readyz")).status == 503

    serve(test)


# -- sessions


def initialize(**params: Any) -> dict[str, Any]:
    client = {"name": "a client", "version": "1"}
    given = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client, **params}
    return {"method": "initialize", "params": given}


def test_a_handshake_begins_a_session_that_counts_with_its_token_alone(
    serve: Callable[..., None],
) -> None:
    async def test(running: Running) -> None:
        ada, bob = running.token(ADA), running.token(BOB)
        answer = await running.post(initialize(), token=ada)
        assert answer.status == 200
        session = answer.headers["mcp-session-id"]
        said = answer.json["result"]
        assert said["serverInfo"] | {"version": ""} == {
            "name": "cdesk",
            "title": "cdesk",
            "version": "",
            "description": "Activity stream and memory of this person, kept across conversations",
        }
        assert said["instructions"] == INSTRUCTIONS
        (begun,) = running.events("cdesk.session_started")
        assert begun["feature_json"]["client_name"] == "a client"
        assert begun["feature_json"]["protocol_version"] == "2025-11-25"
        for _ in range(2):
            await running.call("get_context", token=ada, mcp_session_id=session)
        assert len(running.events("cdesk.session_started")) == 1
        await running.call("get_context", token=ada)
        assert len(running.events("cdesk.session_started")) == 2, "that of the token"
        forged = session.partition(".")[0] + "." + "0" * 32
        for token, given in ((bob, session), (ada, forged), (ada, "x")):
            answer = await running.post(CALL, token=token, mcp_session_id=given)
            assert (answer.status, answer.json["error"]["message"]) == (404, "Session not found")
        for given in (None, forged):
            assert (await running.ask("DELETE", token=ada, mcp_session_id=given)).status == 404
        assert (await running.ask("DELETE", token=ada, mcp_session_id=session)).status == 204
        (ended,) = running.events("cdesk.session_ended")
        assert (ended["session_id"], ended["feature_json"]["reason"]) == (
            begun["session_id"],
            "client",
        )
        assert ended["feature_json"]["calls"] == 2

    serve(test)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"clientInfo": {"name": 5, "version": "1"}}, (None, "2025-11-25")),
        ({"clientInfo": []}, (None, "2025-11-25")),
        ({"protocolVersion": "made up"}, ("a client", "unknown")),
        ({"protocolVersion": 5}, ("a client", "unknown")),
    ],
)
def test_what_a_client_says_of_itself_is_taken_as_far_as_it_can_be(
    serve: Callable[..., None], params: dict[str, Any], told: tuple[str | None, str]
) -> None:
    async def test(running: Running) -> None:
        await running.post(initialize(**params), token=running.token(ADA))
        (begun,) = running.events("cdesk.session_started")
        features = begun["feature_json"]
        assert (features["client_name"], features["protocol_version"]) == told

    serve(test)


def test_any_process_knows_of_a_session_whether_its_client_shows_cards(
    serve: Callable[..., None],
) -> None:
    async def test(running: Running) -> None:
        token = running.token(ADA)
        shows = {"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}}  # fmt: skip
        for capabilities, is_shown in ((shows, True), ({"extensions": {}}, False), ({}, False)):
            answer = await running.post(initialize(capabilities=capabilities), token=token)
            session = answer.headers["mcp-session-id"]
            assert session.partition(".")[0].endswith("-cards") == is_shown
            await running.call("get_context", token=token, mcp_session_id=session)
            (entry,) = list(running.service._pool._entries.values())[-1:]
            assert entry.session.shows_cards == is_shown

    serve(test)


def test_the_log_names_what_we_know_and_nothing_that_a_caller_made_up(
    serve: Callable[..., None],
) -> None:
    async def test(running: Running) -> None:
        token = running.token(ADA)
        for message, told in (
            ({"method": "tools/list"}, ("tools/list", None, "ok")),
            ({"method": "my secret"}, (None, None, "ok")),
            ({"method": 5}, (None, None, "refused")),
            ([1], (None, None, "refused")),
            (
                {"method": "tools/call", "params": {"name": "my secret"}},
                ("tools/call", "unknown", "protocol_error"),
            ),
            ({"method": "tools/call", "params": 5}, ("tools/call", "unknown", "refused")),
            (
                {"method": "tools/call", "params": {"name": "log_event"}},
                ("tools/call", "log_event", "invalid_argument"),
            ),
        ):
            await running.post(message, token=token)
            line = running.log[-1]
            assert (line["method"], line["tool"], line["outcome"]) == told, message

    serve(test)


# -- a request under way


def asked(**headers: str) -> Request:
    given = {"host": "127.0.0.1", **headers}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "query_string": b"",
    }

    async def receive() -> Any:
        await asyncio.Event().wait()

    return Request(scope, receive)


class Client:
    """What one was sent. `reads`: whether it takes an answer."""

    def __init__(self, *, reads: bool = True) -> None:
        self.sent: list[Any] = []
        self._reads = reads

    async def send(self, message: Any) -> None:
        if not self._reads:
            await asyncio.Event().wait()
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_what_would_go_on_for_ever_ends_with_the_process_and_a_call_does_not(
    serve: Callable[..., None],
) -> None:
    async def test(running: Running) -> None:
        service, free = running.service, asyncio.Event()
        calls: list[Call] = []

        def handler(method: str) -> Any:
            async def wait(call: Call, _: Request, __: Any) -> Response:
                call.method = method
                calls.append(call)
                await free.wait()
                return Response("done")

            return wait

        stream, tool = Client(), Client()
        serving = [
            asyncio.create_task(service.serve(handler(method), asked(), client.send))
            for method, client in (("subscriptions/listen", stream), ("tools/call", tool))
        ]
        await until(lambda: len(calls) == 2)
        assert service._under_way == {*calls}
        service.drain()
        await serving[0]
        assert (stream.status, stream.headers[b"retry-after"]) == (503, b"1")
        assert not tool.sent
        free.set()
        await serving[1]
        assert (tool.status, tool.sent[1]["body"]) == (200, b"done")
        assert service._under_way == set()
        assert [line["outcome"] for line in running.log] == ["refused", "ok"]

    serve(test)


def test_who_loses_its_token_loses_what_is_under_way(
    serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "WATCH_SECONDS", 3_600.0)  # it is watched here

    async def test(running: Running) -> None:
        service = running.service
        revoked, kept = running.token(ADA), running.token(BOB)
        looked: list[str] = []
        still_valid = service._verifier.still_valid

        def seen(identity: Identity) -> bool:
            looked.append(identity.caller.customer)
            return still_valid(identity)

        monkeypatch.setattr(service._verifier, "still_valid", seen)
        calls: list[Call] = []

        async def wait(call: Call, request: Request, _: Any) -> Response:
            if "authorization" in request.headers:
                await service._admit(call, request)
            calls.append(call)
            await asyncio.Event().wait()
            raise AssertionError

        clients = [Client() for _ in range(4)]
        tokens = ({"authorization": f"Bearer {one}"} for one in (revoked, revoked, kept))
        serving = [
            asyncio.create_task(service.serve(wait, asked(**given), client.send))
            for client, given in zip(clients, (*tokens, {}), strict=True)
        ]
        await until(lambda: len(calls) == 4)
        with closing(AccessStore(running.home.access_db)) as store:
            ids = [token.id for token in store.tokens() if token.customer == ADA]
            store.revoke(ids, now=format_ts(time.time_ns()))
        service._withdraw()
        assert looked == [], "a request that has just begun was asked for its token then"
        for call in calls:
            call.begun -= 3_601
        service._withdraw()
        assert sorted(looked) == [ADA, BOB], "each token once"
        await asyncio.gather(*serving[:2])
        assert [client.status for client in clients] == [401, 401, None, None]
        assert clients[0].headers[b"www-authenticate"] == b'Bearer error="invalid_token"'
        assert [line["outcome"] for line in running.log] == ["withdrawn"] * 2
        for call in calls:
            call.scope.cancel()
        await asyncio.gather(*serving)
        assert [client.status for client in clients] == [401, 401, 503, 503]

    serve(test)


def test_a_client_that_goes_away_or_reads_nothing_has_its_line_in_the_log(
    serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "WRITE_SECONDS", 0.01)

    async def gone(*_: Any) -> Response:
        raise ConnectionAbortedError

    async def answers(*_: Any) -> Response:
        return Response("x")

    async def by_itself(_: Call, request: Request, send: Any) -> None:
        try:
            await Response("x")(request.scope, request.receive, send)
        except TimeoutError:
            raise RuntimeError("as the SDK has it in a group of errors") from None

    async def test(running: Running) -> None:
        for handler in (gone, answers, by_itself):
            client = Client(reads=False)
            await running.service.serve(handler, asked(), client.send)
            assert client.sent == []
        told = [(line["status"], line["outcome"]) for line in running.log]
        assert told == [(0, "disconnected"), (200, "disconnected"), (200, "disconnected")]
        running.service._app.counts.flush()
        (path,) = running.home.metrics.glob("*.json")
        series = json.loads(path.read_bytes())["series"]
        counted = {one[1][0]: one[2] for one in series if one[0] == "cdesk_http_requests_total"}
        assert counted == {"none": 1.0, "200": 2.0}
        assert not [one for one in series if one[0] == "cdesk_errors_total"]

    serve(test)


def test_a_session_is_named_to_its_client_where_it_has_begun(serve: Callable[..., None]) -> None:
    async def test(running: Running) -> None:
        for status, named in ((200, b"a-session"), (400, None)):

            async def answers(call: Call, *_: Any, status: int = status) -> Response:
                call.new_session = "a-session"
                return Response("x", status)

            client = Client()
            await running.service.serve(answers, asked(), client.send)
            assert client.headers.get(b"mcp-session-id") == named
            assert client.headers[b"content-length"] == b"1"

    serve(test)


@pytest.mark.parametrize(
    ("error", "status", "code", "said", "outcome"),
    [
        (Forbidden("not yours"), 403, -32000, "not yours", "forbidden"),
        (TooMany("calls", 3), 429, -32000, "too many calls; try again in 3 s", "rate_limited"),
        (Refused(400, "odd"), 400, -32600, "odd", "refused"),
        (Refused(408, "slow"), 408, -32600, "slow", "refused"),
        (Refused(413, "large", rpc_code=-1), 413, -1, "large", "refused"),
        (StateDirectoryError("/a/path"), 503, -32000, "state_directory: the service cannot answer now; try again", "state_directory"),
        (RuntimeError("/a/path"), 500, -32603, "Internal server error", "internal_error"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_answered_by_its_kind(
    serve: Callable[..., None],
    error: Exception,
    status: int,
    code: int,
    said: str,
    outcome: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(*_: Any) -> Response:
        raise error

    async def test(running: Running) -> None:
        client = Client()
        await running.service.serve(fails, asked(), client.send)
        assert client.status == status
        assert orjson.loads(client.sent[1]["body"]) == {
            "jsonrpc": "2.0",
            "id": None,
            "error": {"code": code, "message": said},
        }
        headers = client.headers
        assert headers[b"content-type"] == b"application/json"
        assert (b"retry-after" in headers) == (status == 429)
        assert headers.get(b"connection") == (b"close" if status in (408, 413) else None)
        assert (running.log[-1]["status"], running.log[-1]["outcome"]) == (status, outcome)
        assert (running.log[-1]["customer"], running.log[-1]["tool"]) == (None, None)
        counts = running.service._app.counts._table
        counted = {metric.name: {*found} for metric, found in counts.items()}
        assert ("cdesk_rate_limited_requests_total" in counted) == (status == 429)
        errors = {("http", outcome)} if status in (500, 503) else set()
        assert counted.get("cdesk_errors_total", set()) == errors
        told = [one.message for one in caplog.records if one.name.startswith("mcp_shim")]
        assert told == ["request failed"] * len(errors)
        assert running.events("cdesk.tool_called") == [], "of whom nobody knows, nothing is kept"

    serve(test)


def test_the_process_keeps_going_whatever_one_of_its_steps_does(
    serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_module, "TICK_SECONDS", 0.0)
    monkeypatch.setattr(http_module, "WATCH_SECONDS", 0.0)
    done: list[str] = []

    async def test(running: Running) -> None:
        service = running.service

        def fails(name: str) -> Callable[[], None]:
            def step() -> None:
                done.append(name)
                raise RuntimeError(name)

            return step

        async def fails_later() -> None:
            done.append("pool")
            raise RuntimeError

        monkeypatch.setattr(service._app, "tick", fails("app"))
        monkeypatch.setattr(service._pool, "tick", fails_later)
        monkeypatch.setattr(service._checkpointer, "tick", fails("checkpointer"))
        monkeypatch.setattr(service, "_withdraw", fails("watch"))
        done.clear()
        await until(lambda: done.count("watch") > 1 and done.count("checkpointer") > 1)
        ticks = [name for name in done if name != "watch"]
        first = ticks.index("app")
        assert ticks[first : first + 3] == ["app", "pool", "checkpointer"]
        messages = {record.message for record in caplog.records}
        assert messages >= {"tick failed", "watch failed"}

    serve(test)


def test_the_collector_looks_seldom_in_a_service(
    serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    class Gc:
        freeze = staticmethod(lambda: told.append("freeze"))
        set_threshold = staticmethod(lambda *given: told.append(given))

    monkeypatch.setattr(http_module, "gc", Gc)

    async def test(_: Running) -> None:
        assert told == ["freeze", (10_000, 20, 20)]

    serve(test)


# -- beside the protocol


def test_health_and_readiness_tell_whether_requests_are_taken(serve: Callable[..., None]) -> None:
    async def test(running: Running) -> None:
        assert (await running.ask(path="/healthz")).json == {"status": "ok"}
        ready = await running.ask(path="/readyz")
        assert (ready.status, ready.json) == (200, {"status": "ready"})
        running.service.drain()
        ready = await running.ask(path="/readyz")
        assert (ready.status, ready.json) == (503, {"status": "draining"})

    serve(test)


def test_the_kill_switch_is_turned_by_an_admin_alone(serve: Callable[..., None]) -> None:
    async def test(running: Running) -> None:
        admin, user = running.token(ADA, "admin"), running.token(BOB)
        await running.call("submit_query", {"template": "recent_activities"}, token=user)

        async def turn(given: Any, token: str) -> Answered:
            return await running.ask("POST", "/admin/kill-switch", orjson.dumps(given), token=token)

        assert (await running.ask("POST", "/admin/kill-switch", b"{}")).status == 401
        assert (await turn({"on": True}, user)).status == 403
        for wrong in ({}, {"on": 1}, {"on": True, "reason": 5}, [True]):
            assert (await turn(wrong, admin)).status == 400
        with closing(open_state(running.home.state_db)) as state:
            assert not read_switch(state, running.home.kill_switch).on
            answer = await turn({"on": True, "reason": "r" * 600}, admin)
            assert (answer.status, answer.json) == (200, {"on": True, "cancelled": 1})
            assert running.log[-1]["outcome"] == "on"
            found = read_switch(state, running.home.kill_switch)
            assert (found.on, found.reason) == (True, "r" * 500)
            answer = await turn({"on": False, "reason": None}, admin)
            assert answer.json == {"on": False, "cancelled": 0}
            assert running.log[-1]["outcome"] == "off"
            assert not read_switch(state, running.home.kill_switch).on
        called = running.events("cdesk.tool_called")
        outcomes = [
            one["feature_json"]["error_code"]
            for one in called
            if one["feature_json"]["tool"] == "kill_switch"
        ]
        assert outcomes == ["forbidden", *["refused"] * 4, None, None]

    serve(test)


def test_metrics_are_this_computers_where_they_are_on_and_no_proxy_stands_before(
    serve: Callable[..., None],
) -> None:
    async def test(running: Running) -> None:
        answer = await running.ask(path="/metrics")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert b"cdesk_http_requests_total" in (await running.ask(path="/metrics")).body
        assert (await running.ask(path="/metrics", peer="192.0.2.7")).status == 401
        assert running.log[0]["outcome"] == "ok"

    serve(test)

    async def proxied(running: Running) -> None:
        assert (await running.ask(path="/metrics")).status == 401

    serve(proxied, proxies=("192.0.2.1",))
    serve(proxied, url="https://cdesk.example")

    async def off(running: Running) -> None:
        assert (await running.ask(path="/metrics")).status == 404

    serve(off, features=Features(frozenset((METRICS.name,))))


def test_a_session_of_the_issuers_is_told_where_tokens_are_given_out(
    serve: Callable[..., None],
) -> None:
    async def test(running: Running) -> None:
        answer = await running.post(CALL)
        assert answer.headers["www-authenticate"] == (
            'Bearer resource_metadata="https://cdesk.example/.well-known/oauth-protected-resource/mcp"'
        )
        told = await running.ask(path="/.well-known/oauth-protected-resource/mcp")
        assert told.json["authorization_servers"] == ["https://issuer.example/"]

    serve(
        test,
        url="https://cdesk.example",
        issuer="https://issuer.example",
        jwks_url="https://issuer.example/keys",
    )


def test_what_a_service_counted_and_recorded_stands_when_it_has_ended(
    serve: Callable[..., None],
) -> None:
    homes: list[StateDirectory] = []

    async def test(running: Running) -> None:
        homes.append(running.home)
        await running.call("log_event", {"activity": "cdesk.x", "feature_json": {}}, token=running.token(ADA))  # fmt: skip

    serve(test)
    assert not list(homes[0].queue.glob("*.open.ndjson"))
    counted = json.loads(next(homes[0].metrics.glob("*.json")).read_bytes())["series"]
    assert ["cdesk_http_requests_total", ["200"], 1.0, None] in counted
    with closing(AccessStore(homes[0].access_db)) as store:
        (row,) = store.end_sessions(unused_since=2**62)
    assert (row.customer, row.calls, row.errors) == (ADA, 1, 0)
