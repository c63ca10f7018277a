"""People who call: one kept connection and one token each, and what became of their calls."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

MIX: Final = {
    "get_context": 40,
    "log_event": 40,
    "submit_query": 10,
    "get_result": 5,
    "log_insight": 5,
}
"""Of a hundred calls, how many are of each tool."""
TURN: Final = ("get_context", "log_event", "submit_query")
"""The first token path: what a turn needs before its first word."""
BROKEN: Final = (OSError, asyncio.IncompleteReadError, ValueError)
"""What a call raises whose connection is gone."""


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of all do not exceed; not a number where there is none."""
    return (
        sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else float("nan")
    )


@dataclass(slots=True)
class Tally:
    """What a phase has seen: milliseconds by tool and by turn, failures by kind, ids acknowledged."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    turns: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    acknowledged: list[str] = field(default_factory=list)
    sampled: int = 0
    tickets: int = 0

    def all_times(self, tool: str | None = None) -> list[float]:
        return [one for name, times in self.times.items() if tool in (None, name) for one in times]

    def p95(self, tool: str | None = None) -> float:
        return percentile(self.all_times(tool), 0.95)

    @property
    def calls(self) -> int:
        return sum(map(len, self.times.values()))


class User:
    """One connection that is kept. `retries` repeats a call whose connection broke."""

    def __init__(self, port: int, token: str, seed: int, *, retries: int = 0) -> None:
        self._port = port
        self._head = (
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nAuthorization: Bearer {token}\r\n"
        )
        self.random = random.Random(seed)
        self._retries = retries
        self._ticket = "00000000-0000-7000-8000-000000000000"
        self._latest: dict[str, float] = {}
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, tally: Tally, tool: str | None = None) -> None:
        """One call, by the mix or of `tool`; its time and outcome go into `tally`."""
        tool = tool or self.random.choices(list(MIX), list(MIX.values()))[0]
        message = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": tool, "arguments": self._arguments(tool)},
        }
        body = json.dumps(message).encode()
        for attempt in range(self._retries + 1):
            begun = time.perf_counter()
            try:
                status, answer = await self._exchange(body)
                break
            except BROKEN as error:
                self.close()
                if attempt == self._retries:
                    tally.failures[type(error).__name__] += 1
                    return
                await asyncio.sleep(0.2 * (attempt + 1))
        if status != 200:
            tally.failures[str(status)] += 1
            return
        took = (time.perf_counter() - begun) * 1000
        tally.times[tool].append(took)
        self._latest[tool] = took
        if tool == "submit_query" and all(name in self._latest for name in TURN):
            tally.turns.append(sum(self._latest[name] for name in TURN))
        self._note(tally, tool, answer)

    def _note(self, tally: Tally, tool: str, answer: dict[str, Any]) -> None:
        result = answer.get("result", {})
        structured: dict[str, Any] = result.get("structuredContent") or {}
        if result.get("isError") and tool != "get_result":
            tally.failures[f"{tool}: {result['content'][0]['text'][:60]}"] += 1
        if "ticket_id" in structured and tool == "submit_query":
            self._ticket = structured["ticket_id"]
            tally.tickets += 1
        if structured.get("accepted") == "sampled":
            tally.sampled += 1
            return
        tally.acknowledged += [
            structured[name] for name in ("activity_id", "insight_id") if name in structured
        ]

    def _arguments(self, tool: str) -> dict[str, Any]:
        arguments: dict[str, dict[str, Any]] = {
            "get_context": {},
            "log_event": {
                "activity": "cdesk.user_asked",
                "feature_json": {"question": "How many sessions last week?", "topic": "sessions"},
            },
            "submit_query": {"template": "recent_activities"},
            "get_result": {"ticket_id": self._ticket},
            "log_insight": {"subject": "atlas", "metric": "open questions", "value": 3},
        }
        return arguments[tool]

    async def _exchange(self, body: bytes) -> tuple[int, dict[str, Any]]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        answer: dict[str, Any] = json.loads(await reader.readexactly(length))
        return int(head.split(" ", 2)[1]), answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def people_of(port: int, tokens: list[str], *, retries: int = 0) -> list[User]:
    return [User(port, token, number, retries=retries) for number, token in enumerate(tokens)]


async def connect(users: list[User], per_second: int = 400) -> Tally:
    """Everybody's first call, a few at a time; what it saw."""
    tally = Tally()
    for start in range(0, len(users), per_second // 10):
        begun = time.monotonic()
        together = users[start : start + per_second // 10]
        await asyncio.gather(*(user.call(tally, "get_context") for user in together))
        await asyncio.sleep(max(0.0, 0.1 - (time.monotonic() - begun)))
    return tally


async def people(
    users: list[User], tally: Tally, seconds: float, think: tuple[float, float]
) -> None:
    """All users call, each with a pause between; `think` from and to, in seconds."""
    until = time.monotonic() + seconds

    async def live(user: User) -> None:
        await asyncio.sleep(user.random.uniform(0, think[1]))
        while time.monotonic() < until:
            await user.call(tally)
            await asyncio.sleep(user.random.uniform(*think))

    await asyncio.gather(*map(live, users))


async def offered(users: list[User], tally: Tally, rate: float, seconds: float) -> float:
    """Calls at a rate that does not wait for answers; calls a second that were answered.

    A call waits for its user's connection where the one before is under way, and that wait counts.
    """
    locks = {id(user): asyncio.Lock() for user in users}
    waits: list[asyncio.Task[None]] = []
    begun = time.monotonic()

    async def one(user: User, due: float) -> None:
        async with locks[id(user)]:
            late = (time.monotonic() - due) * 1000
            await user.call(own := Tally())
            for tool, times in own.times.items():
                tally.times[tool] += [late + value for value in times]
            for kind, count in own.failures.items():
                tally.failures[kind] += count
            tally.acknowledged += own.acknowledged

    for number in range(int(rate * seconds)):
        due = begun + number / rate
        if (pause := due - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        waits.append(asyncio.create_task(one(users[number % len(users)], due)))
    await asyncio.wait_for(asyncio.gather(*waits), timeout=60)
    return tally.calls / (time.monotonic() - begun)
