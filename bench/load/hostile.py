"""Clients that break the rules of HTTP, each with what the service owes them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

CUT: Final = "cut"
"""The connection ended without an answer."""
PATIENCE: Final = 25.0
"""Seconds; the service's own are 10 for a head and 15 for a body."""
_CALL: Final = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "get_context", "arguments": {}},
    }
).encode()


@dataclass(frozen=True, slots=True)
class Misdeed:
    """What a client does and the statuses, or CUT, that are right."""

    name: str
    send: Callable[[int, str], Awaitable[list[str]]]
    right: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    name: str
    seen: tuple[str, ...]
    is_right: bool
    seconds: float


def _head(token: str, *more: str, version: str = "1.1", length: int | None = None) -> bytes:
    lines = [
        f"POST /mcp HTTP/{version}",
        "Host: localhost",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"Authorization: Bearer {token}",
        *more,
    ]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def _statuses(reader: asyncio.StreamReader, most: int = 1) -> list[str]:
    """The statuses of up to `most` answers, and CUT where the connection ended before."""
    found: list[str] = []
    try:
        while len(found) < most:
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode(
                "latin-1"
            )
            found.append(head.split(" ", 2)[1])
            length = head.lower().partition("content-length:")[2].partition("\r\n")[0]
            await reader.readexactly(int(length or 0))
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        found.append(CUT)
    except TimeoutError:
        found.append("nothing")
    return found


def _sends(
    *parts: Callable[[str], bytes], half_close: bool = False, answers: int = 1, pause: float = 0.0
) -> Callable[[int, str], Awaitable[list[str]]]:
    """A client that writes its parts and reads."""

    async def act(port: int, token: str) -> list[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for part in parts:
                writer.write(part(token))
                await writer.drain()
                await asyncio.sleep(pause)
            if half_close:
                writer.write_eof()
            return await _statuses(reader, answers)
        except OSError:
            return [CUT]
        finally:
            writer.close()

    return act


async def _slow_loris(port: int, token: str) -> list[str]:
    """Fifty connections that send a byte of their head a second."""

    async def trickle() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reading = asyncio.create_task(_statuses(reader))
        try:
            for byte in _head(token):
                writer.write(bytes([byte]))
                await writer.drain()
                done, _ = await asyncio.wait([reading], timeout=1.0)
                if done:
                    break
        except OSError:
            pass
        finally:
            writer.close()
        return (await reading)[0]

    return sorted(set(await asyncio.gather(*(trickle() for _ in range(50)))))


def _nested(levels: int) -> bytes:
    deep = b"[" * levels + b"]" * levels
    return b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":' + deep + b"}}"


_BIG: Final = 2 << 20
MISDEEDS: Final = (
    Misdeed("50 slow heads (a byte a second)", _slow_loris, frozenset((CUT, "408"))),
    Misdeed(
        "a body that never comes",
        _sends(lambda t: _head(t, length=1000)),
        frozenset((CUT, "408")),
    ),
    Misdeed(
        "a body of 2 MiB, announced",
        _sends(lambda t: _head(t, length=_BIG), lambda _: b" " * _BIG),
        frozenset((CUT, "413")),
    ),
    Misdeed(
        "a body of 2 MiB, in chunks",
        _sends(
            lambda t: _head(t, "Transfer-Encoding: chunked"),
            lambda _: (b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 32 + b"0\r\n\r\n",
        ),
        frozenset((CUT, "413")),
    ),
    Misdeed(
        "malformed JSON",
        _sends(lambda t: _head(t, length=9), lambda _: b'{"jsonrpc'),
        frozenset(("400",)),
    ),
    Misdeed(
        "JSON of 1,000 levels",
        _sends(lambda t: _head(t, length=len(_nested(1000))), lambda _: _nested(1000)),
        frozenset(("400",)),
    ),
    Misdeed(
        "a truncated body",
        _sends(lambda t: _head(t, length=1000) + _CALL, half_close=True),
        frozenset((CUT, "400")),
    ),
    Misdeed(
        "half-closed after a whole request",
        _sends(lambda t: _head(t, length=len(_CALL)) + _CALL, half_close=True),
        frozenset((CUT, "200")),
    ),
    Misdeed(
        "HTTP/1.0",
        _sends(lambda t: _head(t, version="1.0", length=len(_CALL)) + _CALL),
        frozenset(("200", "426", "505")),
    ),
    Misdeed(
        "ten requests in one write",
        _sends(lambda t: (_head(t, length=len(_CALL)) + _CALL) * 10, answers=10),
        frozenset(("200",)),
    ),
    Misdeed(
        "no HTTP at all", _sends(lambda _: b"\x16\x03\x01\x02\x00" * 40), frozenset(("400", CUT))
    ),
    Misdeed(
        "64 KiB of headers",
        _sends(lambda t: _head(t, "X-More: " + "x" * (64 << 10), length=len(_CALL)) + _CALL),
        frozenset(("400", "431", CUT)),
    ),
    Misdeed(
        "two lengths that differ",
        _sends(lambda t: _head(t, "Content-Length: 3", length=len(_CALL)) + _CALL),
        frozenset(("400", CUT)),
    ),
    Misdeed(
        "a token that nobody has",
        _sends(lambda _: _head("cdt_000000000000_" + "A" * 43, length=len(_CALL)) + _CALL),
        frozenset(("401",)),
    ),
)


async def misbehave(port: int, token: str) -> list[Outcome]:
    """All of them at the same time."""

    async def one(misdeed: Misdeed) -> Outcome:
        begun = time.monotonic()
        seen = tuple(await misdeed.send(port, token))
        return Outcome(misdeed.name, seen, set(seen) <= misdeed.right, time.monotonic() - begun)

    return list(await asyncio.gather(*map(one, MISDEEDS)))
