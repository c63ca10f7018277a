"""What the HTTP service makes of a request's head and body, at their bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from starlette.requests import Request

from mcp_shim.transports import http
from mcp_shim.transports.http import (
    DISCARDED_BYTES,
    MAX_BODY_BYTES,
    MAX_DEPTH,
    Refused,
    _client_of,
    _parse,
    _read_body,
    _replay,
    _require_small_head,
    _shows_cards,
    _wanted,
)
from mcp_shim.transports.http_connection import MAX_HEAD_BYTES

PART = 1024 * 1024


class Body:
    """A client that sends so many bytes, a part at a time."""

    def __init__(self, *parts: bytes | None, **headers: str) -> None:
        """None: the client goes away there."""
        self.parts = [*parts]
        self.request = Request(
            {
                "type": "http",
                "headers": [
                    (name.replace("_", "-").encode(), value.encode())
                    for name, value in headers.items()
                ],
            },
            self.receive,
        )

    async def receive(self) -> Any:
        part = self.parts.pop(0)
        if part is None:
            return {"type": "http.disconnect"}
        if not self.parts:  # as ASGI has it where nothing follows
            return {"type": "http.request", "body": part}
        return {"type": "http.request", "body": part, "more_body": True}

    def read(self) -> bytes:
        return asyncio.run(_read_body(self.request))


def test_a_body_comes_together_from_its_parts() -> None:
    assert Body(b"a", b"", b"bc").read() == b"abc"
    whole = b"x" * (MAX_BODY_BYTES - 1)
    assert Body(whole, b"y").read() == whole + b"y"
    assert (MAX_BODY_BYTES, DISCARDED_BYTES) == (1_048_576, 8_388_608)


@pytest.mark.parametrize(
    ("parts", "headers", "left"),
    [
        ([PART, 1], {}, 0),
        ([PART] * 8, {}, 0),  # read to its end, so that the client sees the answer
        ([PART] * 8 + [1, 1], {}, 1),
        ([1, 1], {"content_length": str(DISCARDED_BYTES + 1)}, 2),
        ([1, 1], {"content_length": "9" * 100}, 2),
    ],
)
def test_a_body_that_is_too_large_is_read_as_far_as_an_answer_needs(
    parts: list[int], headers: dict[str, str], left: int
) -> None:
    body = Body(*(b"x" * size for size in parts), **headers)
    with pytest.raises(Refused) as refused:
        body.read()
    assert (refused.value.status, len(body.parts)) == (413, left)
    assert str(refused.value) == "body too large: allowed are 1,048,576 bytes"


@pytest.mark.parametrize("declared", [str(DISCARDED_BYTES), "-1", "many", "\u0665"])
def test_what_a_client_says_of_its_body_counts_where_it_is_a_number_beyond_all_bounds(
    declared: str,
) -> None:
    assert Body(b"a", content_length=declared).read() == b"a"


def test_a_client_that_goes_away_or_stays_silent_within_its_body_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConnectionAbortedError):
        Body(b"a", None).read()
    monkeypatch.setattr(http, "BODY_SECONDS", 0.0)
    silent = Body(b"a")

    async def receive() -> Any:
        await asyncio.Event().wait()

    silent.request._receive = receive
    with pytest.raises(Refused) as refused:
        silent.read()
    assert (refused.value.status, str(refused.value)) == (408, "the body did not come within 0 s")


def nested(depth: int, *, objects: bool = False) -> bytes:
    before, after = (b'{"a":', b"}") if objects else (b"[", b"]")
    return before * depth + b"1" + after * depth


def test_a_body_is_json_of_a_bounded_depth() -> None:
    for objects in (False, True):
        assert _parse(nested(MAX_DEPTH, objects=objects)) is not None
        with pytest.raises(Refused, match="nested too deeply: allowed are 64 levels") as refused:
            _parse(nested(MAX_DEPTH + 1, objects=objects))
        assert (refused.value.status, refused.value.rpc_code) == (400, -32600)
    wide = [[1]] * 100
    assert _parse(orjson.dumps(wide)) == wide, "many beside each other are not deep"
    mixed = b'{"a":[' * 32 + b"[]" + b"]}" * 32
    with pytest.raises(Refused, match="nested"):
        _parse(mixed)
    behind = b'[{"a":1},' + nested(MAX_DEPTH) + b"]"
    with pytest.raises(Refused, match="nested"):
        _parse(behind)
    with pytest.raises(Refused, match="no JSON") as refused:
        _parse(b"{")
    assert (refused.value.status, refused.value.rpc_code) == (400, -32700)


def test_a_body_is_given_once_more_and_then_what_follows() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def test() -> None:
        again = _replay(b"abc", receive)
        assert await again() == {"type": "http.request", "body": b"abc", "more_body": False}
        for _ in range(2):
            assert await again() == {"type": "http.disconnect"}

    asyncio.run(test())


@pytest.mark.parametrize("name", ["raw_path", "query_string", "headers"])
def test_line_and_headers_have_one_bound_together(name: str) -> None:
    def head(more: int) -> dict[str, Any]:
        scope: dict[str, Any] = {
            "raw_path": b"/mcp",
            "query_string": b"a=b",
            "headers": [(b"n", b"v" * 10)],
        }  # 4 + 3 + 1 + 10 + 4 bytes
        given = b"x" * more
        scope[name] = [*scope[name], (given[4:], b"")] if name == "headers" else scope[name] + given
        return scope

    assert MAX_HEAD_BYTES == 16_384
    _require_small_head(head(MAX_HEAD_BYTES - 22))
    with pytest.raises(Refused, match=r"^headers too large: allowed are 16,384 bytes$") as refused:
        _require_small_head(head(MAX_HEAD_BYTES - 21))
    assert refused.value.status == 431
    _require_small_head({"raw_path": None, "headers": []})


CLIENT = {"name": "a", "version": "1"}


@pytest.mark.parametrize(
    ("params", "client", "version"),
    [
        ({"clientInfo": CLIENT, "protocolVersion": "2025-06-18"}, ("a", "1"), "2025-06-18"),
        ({"clientInfo": {"name": "a"}, "protocolVersion": "2025-11-25"}, None, "2025-11-25"),
        ({"clientInfo": {"name": "a", "version": 1}}, None, "unknown"),
        ({"clientInfo": {"name": 1, "version": "1"}}, None, "unknown"),
        ({"clientInfo": "a", "protocolVersion": "2099-01-01"}, None, "unknown"),
        ({"clientInfo": CLIENT, "protocolVersion": ["2025-06-18"]}, ("a", "1"), "unknown"),
        ([], None, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_a_client_is_known_by_what_it_says_of_itself(
    params: object, client: object, version: str
) -> None:
    assert _client_of({"params": params}) == (client, version)


UI = "io.modelcontextprotocol/ui"


@pytest.mark.parametrize(
    ("message", "shows"),
    [
        ({"params": {"capabilities": {"extensions": {UI: {}}}}}, True),
        ({"params": {"capabilities": {"extensions": {UI: {"mimeTypes": ["text/html"]}}}}}, False),
        ({"params": {"capabilities": {"extensions": [UI]}}}, False),
        ({"params": {"capabilities": [UI]}}, False),
        ({"params": [UI]}, False),
        ([UI], False),
        ({}, False),
    ],
)
def test_a_client_shows_cards_where_it_says_so(message: object, shows: bool) -> None:
    assert _shows_cards(message) is shows


def test_the_kill_switch_is_told_on_or_off_and_why() -> None:
    assert _wanted({"on": True}) == (True, None)
    assert _wanted({"on": False, "reason": ""}) == (False, None)
    assert _wanted({"on": True, "reason": "x" * 501}) == (True, "x" * 500)
    for wrong in (None, [], {}, {"on": None}, {"on": 1}, {"on": True, "reason": 5}):
        with pytest.raises(Refused, match=r"expected .*true or false") as refused:
            _wanted(wrong)
        assert (refused.value.status, refused.value.rpc_code) == (400, -32600)
