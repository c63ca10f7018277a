"""`python -m bench load`: users with a token and a connection each, thinking between calls; then as
many calls as go. Every figure stands beside the same load on a
bare server of the SDK, in the same run. Loopback; load and servers share the processors.

It counts errors and, in the queue's files, that every acknowledged record is there once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.turn_path import fixtures
from cdesk.core.clock import format_ts
from cdesk.core.home import StateDirectory
from cdesk.state.access import AccessStore

MIX: Final = {
    "get_context": 40,
    "log_event": 40,
    "submit_query": 10,
    "get_result": 5,
    "log_insight": 5,
}
UNLIMITED: Final = "1000000"
ROUNDS: Final = 3


@dataclass(slots=True)
class Tally:
    """What a phase has seen: milliseconds by tool, failures by kind, ids that were acknowledged."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    acknowledged: list[str] = field(default_factory=list)

    def p95(self, tool: str | None = None) -> float:
        values = sorted(
            value for name, times in self.times.items() if tool in (None, name) for value in times
        )
        return values[int(len(values) * 0.95)] if values else float("nan")

    @property
    def calls(self) -> int:
        return sum(map(len, self.times.values()))


class User:
    """One connection that is kept."""

    def __init__(self, port: int, token: str, seed: int) -> None:
        self._port = port
        self._head = (
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nAuthorization: Bearer {token}\r\n"
        )
        self.random = random.Random(seed)
        self._ticket = "00000000-0000-7000-8000-000000000000"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, tally: Tally) -> None:
        tool = self.random.choices(list(MIX), list(MIX.values()))[0]
        message = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": tool, "arguments": self._arguments(tool)},
        }
        body = json.dumps(message).encode()
        begun = time.perf_counter()
        try:
            status, answer = await self._exchange(body)
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            tally.failures[type(error).__name__] += 1
            self.close()
            return
        if status != 200:
            tally.failures[str(status)] += 1
            return
        tally.times[tool].append((time.perf_counter() - begun) * 1000)
        structured: dict[str, Any] = answer.get("result", {}).get("structuredContent") or {}
        self._ticket = structured.get("ticket_id", self._ticket)
        for name in ("activity_id", "insight_id"):
            if name in structured:
                tally.acknowledged.append(structured[name])

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
        status = int(head.split(" ", 2)[1])
        return status, answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


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


@dataclass(slots=True)
class Side:
    """One of the two servers: its users, and what they have seen."""

    users: list[User]
    mixed: Tally = field(default_factory=Tally)
    flat: Tally = field(default_factory=Tally)
    flat_seconds: float = 0.0

    @property
    def rate(self) -> float:
        return self.flat.calls / self.flat_seconds

    async def play(self, seconds: float, think: float) -> None:
        """A round: people who think, then 32 who do not."""
        await people(self.users, self.mixed, seconds, (think, 2.5 * think))
        begun = time.monotonic()
        await people(self.users[:32], self.flat, seconds / 3, (0.0, 0.0))
        self.flat_seconds += time.monotonic() - begun


async def compare(
    ports: tuple[int, int], tokens: list[str], options: argparse.Namespace
) -> list[Side]:
    """The service and the bare server by turns, so that what else the computer does meets both."""
    sides = [Side([User(port, one, n) for n, one in enumerate(tokens)]) for port in ports]
    for side in sides:
        await people(side.users[:8], side.flat, 1.0, (0.0, 0.01))
        side.flat.times.clear()
    for _ in range(ROUNDS):
        for side in sides:
            await side.play(options.seconds / ROUNDS, options.think)
    for side in sides:
        for user in side.users:
            user.close()
    return sides


@contextlib.contextmanager
def running(command: list[str], port: int, environ: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **environ},
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise
                time.sleep(0.1)
        time.sleep(1.0)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ids_in_queue(home: StateDirectory) -> list[str]:
    return [
        json.loads(line)["id"]
        for path in home.queue.glob("*.ndjson")
        for line in path.read_bytes().splitlines()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench load", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--think", type=float, default=2.0, help="least seconds between calls")
    options = parser.parse_args()
    if options.users * 2 + 200 > resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        home = StateDirectory(Path(folder) / "home").ensure()
        fixtures.state_directory(home.root, contexts=10)
        store = AccessStore(home.access_db)
        names = [f"user-{number}@example.com" for number in range(options.users)]
        made = store.add_tokens(names, expires_at=None, now=format_ts(time.time_ns()))
        store.close()
        tokens = [one.token for one in made]
        environ = {
            "CDESK_HOME": str(home.root),
            "CDESK_WORKER": "off",
            "CDESK_HTTP_CALLS_PER_MINUTE": UNLIMITED,
            "CDESK_HTTP_TICKETS_PER_MINUTE": UNLIMITED,
        }
        port, bare_port = free_port(), free_port()
        command = ["-m", "cdesk_app.cli", "mcp", "--http", "--port", str(port)]
        bare_command = ["-m", "bench.load.bare", str(bare_port)]
        with running(command, port, environ), running(bare_command, bare_port, {}):
            ours, bare = asyncio.run(compare((port, bare_port), tokens, options))
        written = ids_in_queue(home)
    acknowledged = [*ours.mixed.acknowledged, *ours.flat.acknowledged]
    lost = len(set(acknowledged) - set(written))
    doubled = len(written) - len(set(written))
    failures = dict(ours.mixed.failures) | dict(ours.flat.failures)

    floor = bare.mixed.p95()
    print(f"{options.users:,} users, {options.seconds:g} s, {ours.mixed.calls:,} calls")
    print(f"{'':<14}{'p95 ms':>9}{'bare ms':>9}{'ratio':>7}")
    for tool in MIX:
        p95 = ours.mixed.p95(tool)
        print(f"{tool:<14}{p95:>9.2f}{floor:>9.2f}{p95 / floor:>7.2f}")
    p95 = ours.mixed.p95()
    print(f"{'all':<14}{p95:>9.2f}{floor:>9.2f}{p95 / floor:>7.2f}")
    print(
        f"flat out: {ours.rate:,.0f} calls/s, bare {bare.rate:,.0f}, "
        f"ratio {ours.rate / bare.rate:.2f}"
    )
    print(
        f"errors: {failures or 0}; acknowledged {len(acknowledged):,}, lost {lost}, twice {doubled}"
    )
    return 1 if failures or lost or doubled or not acknowledged else 0


if __name__ == "__main__":
    sys.exit(main())
