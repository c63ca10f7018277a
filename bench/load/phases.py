"""What a run of `bench load` does, phase after phase. Each returns its figures; none prints."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import psutil

from bench.load import servers
from bench.load.client import MIX, Tally, connect, offered, people, people_of, percentile
from bench.load.hostile import Outcome, misbehave
from bench.load.servers import Memory
from cdesk.core.home import StateDirectory

ROUNDS: Final = 2
UNLIMITED: Final = {
    "CDESK_HTTP_CALLS_PER_MINUTE": "1000000",
    "CDESK_HTTP_TICKETS_PER_MINUTE": "1000000",
}
RAMP_SECONDS: Final = 4.0
RAMP_FROM: Final = 100.0
RAMP_STEP: Final = 1.25
KNEE_MS: Final = 100.0
"""A rate is carried while the 95th percentile stays below this and all but 5 % is answered."""


@dataclass(slots=True)
class Counted:
    """Of acknowledged records: how many the warehouse (or the queue) lacks or shows twice."""

    acknowledged: int = 0
    lost: int = 0
    twice: int = 0


@dataclass(slots=True)
class People:
    """People who think, on the service with its worker and on the bare server by turns."""

    users: int
    seconds: float
    think: tuple[float, float]
    ours: Tally
    bare: Tally
    counted: Counted
    lag_p95: float
    memory: Memory
    worked: bool

    def floor(self, tool: str | None = None) -> float:
        return self.bare.p95(tool)

    @property
    def ratio(self) -> float:
        return self.ours.p95() / self.bare.p95()


@contextlib.contextmanager
def _maybe_worker(home: StateDirectory, wanted: bool) -> Iterator[dict[str, int]]:
    if not wanted:
        yield {}
        return
    with servers.worker(home) as process:
        yield {"worker": process.pid}


def thinking(
    home: StateDirectory,
    tokens: Sequence[str],
    seconds: float,
    think: float,
    *,
    work: bool,
    bare_too: bool = True,
) -> People:
    """Everybody connected, then calls with pauses of `think` to 2.5 × `think` seconds."""
    ours, floor = Tally(), Tally()
    span = (think, 2.5 * think)

    async def play(port: int, bare_port: int) -> None:
        mine, theirs = people_of(port, list(tokens)), people_of(bare_port, list(tokens))
        for users, tally in ((mine, ours), (theirs, floor)):
            first = await connect(users)
            for kind, count in first.failures.items():
                tally.failures[kind] += count
        for _ in range(ROUNDS):
            await people(mine, ours, seconds / ROUNDS, span)
            if not bare_too:
                continue
            if work:  # so that the bare server's turn isn't slowed by what the worker is behind
                await asyncio.to_thread(servers.wait_landed, home, ours.acknowledged)
            await people(theirs, floor, seconds / ROUNDS, span)
        for user in (*mine, *theirs):
            user.close()

    with (
        _maybe_worker(home, work) as processes,
        servers.service(home) as (port, process),
        servers.bare() as bare_port,
    ):
        processes["service"] = process.pid
        with Memory(processes) as memory:
            asyncio.run(play(port, bare_port))
        if work:
            missing, twice = servers.wait_landed(home, ours.acknowledged)
            lag = percentile(servers.lags(home, ours.acknowledged), 0.95)
    if not work:
        written = servers.ids_in_queue(home)
        missing = len(set(ours.acknowledged) - set(written))
        twice = len(written) - len(set(written))
        lag = float("nan")
    counted = Counted(len(ours.acknowledged), missing, twice)
    return People(len(tokens), seconds, span, ours, floor, counted, lag, memory, work)


@dataclass(frozen=True, slots=True)
class Step:
    """One rate of the ramp."""

    offered: float
    answered: float
    p95: float
    failures: int

    @property
    def is_carried(self) -> bool:
        return self.p95 <= KNEE_MS and self.answered >= 0.95 * self.offered and not self.failures


@dataclass(slots=True)
class Ramp:
    ours: list[Step] = field(default_factory=list)
    bare: list[Step] = field(default_factory=list)

    @staticmethod
    def knee(steps: list[Step]) -> float:
        return max((step.answered for step in steps if step.is_carried), default=0.0)

    @property
    def ratio(self) -> float:
        return self.knee(self.ours) / self.knee(self.bare)


def ramp(home: StateDirectory, tokens: Sequence[str]) -> Ramp:
    """Rates that rise by a quarter until a server no longer carries them twice; by turns."""
    result = Ramp()

    async def play(ports: tuple[int, int]) -> None:
        sides = [
            (people_of(port, list(tokens)), steps)
            for port, steps in zip(ports, (result.ours, result.bare), strict=True)
        ]
        for users, _ in sides:
            await connect(users)
        rate = RAMP_FROM
        while any(not over(steps) for _, steps in sides) and rate < 20_000:
            for users, steps in sides:
                if over(steps):
                    continue
                tally = Tally()
                answered = await offered(users, tally, rate, RAMP_SECONDS)
                failed = sum(tally.failures.values())
                steps.append(Step(rate, answered, tally.p95(), failed))
            rate *= RAMP_STEP
        for users, _ in sides:
            for user in users:
                user.close()

    def over(steps: list[Step]) -> bool:
        return len(steps) > 1 and not steps[-1].is_carried and not steps[-2].is_carried

    with servers.service(home, settings=UNLIMITED) as (port, _), servers.bare() as bare_port:
        asyncio.run(play((port, bare_port)))
    return result


@dataclass(slots=True)
class Connected:
    """Many connections whose people think ten times as long."""

    users: int
    tally: Tally
    connecting: Tally
    memory: Memory


def connected(
    home: StateDirectory, tokens: Sequence[str], seconds: float, think: float
) -> Connected:
    tally = Tally()

    async def play(port: int) -> Tally:
        users = people_of(port, list(tokens))
        first = await connect(users)
        await people(users, tally, seconds, (think, 2.5 * think))
        for user in users:
            user.close()
        return first

    with servers.service(home) as (port, process), Memory({"service": process.pid}) as memory:
        first = asyncio.run(play(port))
    return Connected(len(tokens), tally, first, memory)


@dataclass(slots=True)
class Abused:
    """Others' calls without and with one user who does not pause, under the usual limits."""

    users: int
    calm: Tally
    abused: Tally
    abuser: Tally

    @property
    def ratio(self) -> float:
        return self.abused.p95() / self.calm.p95()


def one_abuser(home: StateDirectory, tokens: Sequence[str], seconds: float) -> Abused:
    """By turns, twice: everybody but the first alone, then beside the first on 16 connections."""
    calm, abused, abuser = Tally(), Tally(), Tally()

    async def play(port: int) -> None:
        users = people_of(port, list(tokens[1:]))
        floods = people_of(port, [tokens[0]] * 16)
        await connect(users)
        for _ in range(ROUNDS):
            await people(users, calm, seconds / ROUNDS, (0.5, 1.25))
            await asyncio.gather(
                people(users, abused, seconds / ROUNDS, (0.5, 1.25)),
                people(floods, abuser, seconds / ROUNDS, (0.0, 0.0)),
            )
        for user in (*users, *floods):
            user.close()

    with servers.service(home) as (port, _):
        asyncio.run(play(port))
    return Abused(len(tokens) - 1, calm, abused, abuser)


@dataclass(slots=True)
class Hostile:
    outcomes: list[Outcome]
    others: Tally
    stands: bool


def hostile(home: StateDirectory, tokens: Sequence[str]) -> Hostile:
    """Clients that break the rules, all at once, while others go on."""
    others = Tally()

    async def play(port: int) -> list[Outcome]:
        users = people_of(port, list(tokens[1:]))
        await connect(users)
        ended = asyncio.create_task(misbehave(port, tokens[0]))
        while not ended.done():
            await people(users, others, 2.0, (0.2, 0.5))
        for user in users:
            user.close()
        return await ended

    with servers.service(home) as (port, process):
        outcomes = asyncio.run(play(port))
        stands = process.poll() is None
    return Hostile(outcomes, others, stands)


@dataclass(slots=True)
class Killed:
    """One process of the service and the worker are killed while people call."""

    tally: Tally
    counted: Counted
    processes: int


def killed(home: StateDirectory, tokens: Sequence[str], seconds: float) -> Killed:
    """A call whose connection breaks is made again, as clients do; it may then stand twice."""
    tally = Tally()

    async def play(port: int, pid: int) -> int:
        users = people_of(port, list(tokens), retries=5)
        await connect(users)
        calling = asyncio.create_task(people(users, tally, seconds, (0.3, 0.8)))
        await asyncio.sleep(seconds / 3)
        answering = servers.children(pid)
        psutil.Process(answering[-1]).send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        await calling
        for user in users:
            user.close()
        return len(answering)

    with servers.service(home, workers=2, settings=UNLIMITED) as (port, process):
        with servers.worker(home) as first:

            async def all_of_it() -> int:
                playing = asyncio.create_task(play(port, process.pid))
                await asyncio.sleep(seconds * 2 / 3)
                first.kill()
                return await playing

            processes = asyncio.run(all_of_it())
        with servers.worker(home):
            missing, twice = servers.wait_landed(home, tally.acknowledged)
    return Killed(tally, Counted(len(tally.acknowledged), missing, twice), processes)


TOOLS: Final = tuple(MIX)
