"""What a process does beside answering: when it wakes the worker, what it writes behind an answer,
in which order it ends. The parts are stood in for, to see what is asked of them and to let them
fail.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from cdesk.contract.vocabulary import SHED_PRIORITY, UNKNOWN_PRIORITY
from cdesk.core.clock import IdSource
from cdesk.core.config import Settings
from cdesk.core.errors import InvalidField, QueueWriteError
from cdesk.core.features import APPS, Features
from cdesk.core.home import StateDirectory
from cdesk.queue.shedding import Decision
from cdesk.state.facts import write_status
from cdesk.state.status import LastBuild
from mcp_shim.app import AT_ONCE_SECONDS, LOOK_SECONDS, WAKE_SECONDS, App, RecordQueue
from tests.unit.mcp_shim.desk import NOW_NS, at

FULL = OSError(28, "No space left on device")


class Parts:
    """The queue, the waker and the shedder; `done` is what was asked of them, in order. What stands
    in `failing` fails.
    """

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.failing: dict[str, Exception] = {}
        self.due = False
        self.report_is_due = False
        self.decision = Decision(keep=True, weight=1)

    def _do(self, name: str, *given: Any) -> None:
        self.done.append((name, *given) if given else name)
        if name in self.failing:
            raise self.failing[name]

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Of the queue and the waker: a method without an answer."""
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *given: self._do(name, *given)

    def close(self) -> None:
        self._do("close queue")

    # -- the shedder

    def decide(self, *_: str, **__: str) -> Decision:
        return self.decision

    def is_due(self, *, last: bool = False) -> bool:
        return self.report_is_due or last

    def counted(self, customer: str) -> dict[str, Any]:
        return {"of": customer}

    def tick(self) -> None:
        self._do("measure")

    def take(self) -> list[Any]:
        found, self.done = self.done, []
        return found


class Waker:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def send(self) -> None:
        self._parts._do("wake")

    def close(self) -> None:
        self._parts._do("close waker")


class Counted:
    """The process's counts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.added: list[tuple[Any, ...]] = []

    def add(self, metric: Any, *labels: str, by: float = 1) -> None:
        self.added.append((metric.name, *labels, by))

    def flush(self) -> None:
        self._parts._do("flush counts")

    def close(self) -> None:
        self._parts._do("close counts")


@dataclass
class Author:
    customer: str = "ada"
    session_id: str = "s"

    def own_line(
        self, activity: str, feature_json: dict[str, Any], *, ts: str | None = None, **_: str
    ) -> bytes:
        if activity == "odd":
            raise InvalidField("activity", "is odd", "even ones")
        return f"{self.customer} {activity} {feature_json} {ts}\n".encode()


@dataclass
class Process:
    records: RecordQueue
    parts: Parts
    counted: Counted
    timers: list[float]
    """The delays of what was put off."""


def run(test: Callable[[Process], Awaitable[None]], *, sheds: bool = True) -> None:
    async def body() -> None:
        parts = Parts()
        counted = Counted(parts)
        records = RecordQueue(
            parts,  # type: ignore[arg-type]
            Waker(parts),  # type: ignore[arg-type]
            parts if sheds else None,  # type: ignore[arg-type]
            ids=IdSource(),
            now_ns=lambda: NOW_NS,
            counts=counted,  # type: ignore[arg-type]
        )
        loop = asyncio.get_running_loop()
        timers: list[float] = []
        later = loop.call_later

        def call_later(delay: float, *given: Any, **more: Any) -> Any:
            timers.append(delay)
            return later(0.0, *given, **more)

        loop.call_later = call_later  # type: ignore[method-assign, assignment]
        loop.time = lambda: 64.0  # type: ignore[method-assign]
        await test(Process(records, parts, counted, timers))

    asyncio.run(body())


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


# -- waking the worker


def test_the_worker_is_woken_seldom_but_at_once_where_somebody_waits() -> None:
    async def test(process: Process) -> None:
        records, timers = process.records, process.timers
        records.append(b"a")
        records.append(b"b")
        assert timers == [0.0], "once, and now: it was not woken for long"
        await turn()
        assert process.parts.take() == [("append", b"a"), ("append", b"b"), "wake"]
        records.wake_worker()
        assert timers[1:] == [pytest.approx(WAKE_SECONDS)], "and not again so soon"
        for _ in range(2):
            records.wake_worker(at_once=True)
            records.wake_worker()
        assert timers[2:] == [AT_ONCE_SECONDS], "what waits is not put off"
        await turn()
        assert process.parts.take() == ["wake"], "instead of the one that waited"
        records.wake_worker(at_once=True)
        records.wake_worker()
        assert timers[3:] == [AT_ONCE_SECONDS]
        await turn()
        process.parts.failing["append"] = QueueWriteError("full")
        with pytest.raises(QueueWriteError):
            records.append(b"c")
        assert len(timers) == 4, "for what could not be written nobody is woken"

    run(test)


# -- notes


def test_notes_are_written_together_once_the_answer_has_left() -> None:
    async def test(process: Process) -> None:
        records, parts = process.records, process.parts
        records.note(Author(), "a", {"n": 1})
        records.note(Author("bob"), "b", {})
        assert parts.done == []
        await turn()
        lines = f"ada a {{'n': 1}} {at(0)}\nbob b {{}} {at(0)}\n".encode()
        assert [one for one in parts.take() if one != "wake"] == [("append", lines)]
        records.flush()
        assert parts.take() == [], "there is nothing to write"
        records.note(Author(), "c", {})
        await turn()
        assert ("append", f"ada c {{}} {at(0)}\n".encode()) in parts.take()

    run(test)


def test_notes_of_one_read_wait_for_its_answers_and_no_longer() -> None:
    async def test(process: Process) -> None:
        records, parts = process.records, process.parts
        records.gather()
        records.note(Author(), "a", {})
        await turn()
        assert parts.take() == [], "they are written when it says so"
        records.flush()
        assert parts.take() == [("append", f"ada a {{}} {at(0)}\n".encode())]
        records.note(Author(), "b", {})
        await turn()
        assert ("append", f"ada b {{}} {at(0)}\n".encode()) in parts.take(), "as ever after it"

    run(test)


def test_notes_that_cannot_be_written_are_counted_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(process: Process) -> None:
        records, parts = process.records, process.parts
        for activity in ("odd", "a", "b"):
            records.note(Author(), activity, {})
        records.flush()
        assert [one[1].count(b"\n") for one in parts.take() if one[0] == "append"] == [2]
        parts.failing["append"] = QueueWriteError("full")
        for activity in ("a", "b"):
            records.note(Author(), activity, {})
        records.flush()
        errors = "cdesk_errors_total"
        assert process.counted.added == [
            (errors, "queue", "invalid_argument", 1),
            (errors, "queue", QueueWriteError.code, 2),
        ]
        assert [one.facts for one in caplog.records] == [  # type: ignore[attr-defined]
            {"notes": 1, "code": "invalid_argument"},
            {"notes": 2, "code": QueueWriteError.code},
        ]

    with caplog.at_level(logging.WARNING):
        run(test)


# -- shedding


def test_without_a_policy_everything_is_kept() -> None:
    async def test(process: Process) -> None:
        assert process.records.keeps(Author(), "cdesk.file_read")
        process.records.tick()
        assert process.parts.take() == ["flush counts"]

    run(test, sheds=False)


@pytest.mark.parametrize(
    ("activity", "keep", "weight", "counted", "reported"),
    [
        ("cdesk.user_asked", True, 1, [], False),
        ("cdesk.user_asked", True, 4, [], True),
        ("cdesk.file_read", False, 4, [str(SHED_PRIORITY["cdesk.file_read"]), "sampling"], True),
        ("cdesk.made_up", False, 1, [str(UNKNOWN_PRIORITY), "sampling"], False),
    ],
)
def test_what_is_shed_is_counted_and_its_report_renewed_before_the_answer(
    activity: str, keep: bool, weight: int, counted: list[str], reported: bool
) -> None:
    async def test(process: Process) -> None:
        process.parts.decision = Decision(keep=keep, weight=weight)
        assert process.records.keeps(Author(), activity) is keep
        assert [one[1] for one in process.counted.added] == counted
        puts = process.parts.take()
        line = b"ada cdesk.fallback_triggered {'of': 'ada'} None\n"
        assert puts == ([("put_pending", "ada", line)] if reported else [])

    run(test)


def test_a_note_that_is_shed_is_not_written() -> None:
    async def test(process: Process) -> None:
        process.parts.decision = Decision(keep=False, weight=1)
        process.records.note(Author(), "a", {})
        process.records.flush()
        assert process.parts.take() == []

    run(test)


def test_a_report_that_a_full_disk_refused_is_told_with_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(process: Process) -> None:
        records, parts = process.records, process.parts
        parts.decision = Decision(keep=True, weight=4)
        parts.failing["put_pending"] = FULL
        for customer in ("ada", "bob"):
            assert records.keeps(Author(customer), "a"), "the record itself is kept"
        parts.take()
        records.tick()
        assert parts.take() == ["measure", "flush counts"], "it is not due"
        parts.report_is_due = True
        records.tick()
        tried = parts.take()
        assert [one for one in tried if one[0] == "put_pending"] == tried[1:2]
        assert tried[2:] == ["flush counts"]
        assert [one.message for one in caplog.records] == ["report put off"]
        parts.failing.clear()
        records.tick()
        told = parts.take()
        assert sorted(one[1] for one in told if one[0] == "put_pending") == ["ada", "bob"]
        assert told[3:] == ["join_pending", "told", "flush counts"]
        await turn()
        assert parts.take() == ["wake"]
        records.tick()
        assert parts.take()[:3] == ["measure", "join_pending", "told"], "each once"
        assert len({*records._shed}) == 0

    run(test)


# -- what has time


def test_a_file_of_the_queue_is_sealed_when_it_is_due(caplog: pytest.LogCaptureFixture) -> None:
    async def test(process: Process) -> None:
        process.records.tick()
        assert process.parts.take() == ["measure", "flush counts"]
        process.parts.due = True
        process.records.tick()
        assert process.parts.take() == ["measure", "seal", "flush counts"]
        process.parts.failing["seal"] = FULL
        process.records.tick()
        assert process.parts.take() == ["measure", "seal", "flush counts"], "counts are kept"
        (line,) = caplog.records
        assert line.message == "seal failed"
        assert line.facts == {"reason": "No space left on device"}  # type: ignore[attr-defined]

    run(test)


@pytest.mark.parametrize("failing", ["", "append", "told", "close queue", "wake", "close waker"])
def test_at_the_end_each_step_runs_whatever_another_does(failing: str) -> None:
    async def test(process: Process) -> None:
        records, parts = process.records, process.parts
        records.note(Author(), "a", {})
        records.wake_worker()
        error = QueueWriteError("full") if failing == "append" else RuntimeError("failed")
        parts.failing = {failing: error} if failing else {}
        if failing in ("", "append"):
            records.close()
        else:
            with pytest.raises(RuntimeError, match="failed"):
                records.close()
        steps = parts.take()
        assert [one if isinstance(one, str) else one[0] for one in steps] == [
            *("append", "join_pending", "told"),
            *("close queue", "wake", "close waker", "close counts"),
        ]
        await turn()
        # What was put off before the end is not done after it, but for what the end itself wakes.
        assert parts.take().count("wake") <= 1

    run(test)


# -- the process


def opened(home: StateDirectory, *, transport: str = "stdio", **given: Any) -> App:
    settings = Settings(home=home.root, customer="ada", worker="off", **given)
    return App.open(settings, home, transport=transport)


def test_a_process_is_made_as_the_settings_say(state_home: StateDirectory) -> None:
    async def body() -> None:
        over_http = opened(state_home, transport="http", timezone="Asia/Tokyo", durability="disk")
        with closing(over_http):
            assert over_http.transport == "http"
            assert over_http.private_folder == str(state_home.root)
            assert over_http.readers.timezone == "Asia/Tokyo"
            assert over_http.readers.charts == state_home.charts
            assert over_http.readers.kill_switch == state_home.kill_switch
            assert over_http.records._queue._durability == "disk"
            assert over_http.counts is over_http.records.counts
            assert over_http.cards
            over_http.records.append(b'{"a":1}\n')
            (series,) = [
                found
                for metric, found in over_http.counts._table.items()
                if metric.name == "cdesk_records_queued_total"
            ]
            assert [*series] == [("http",)]
        assert over_http.counts._name.isalnum()
        assert len(over_http.counts._name) == 32
        plain = opened(state_home, features=Features(frozenset((APPS.name,))))
        with closing(plain):
            assert (plain.transport, plain.private_folder, plain.cards) == ("stdio", "", False)
            assert plain.records._queue._durability == "os"

    asyncio.run(body())


def test_after_a_call_a_worker_is_looked_for_once_the_answer_has_left(
    state_home: StateDirectory,
) -> None:
    async def body() -> None:
        app = opened(state_home)
        asked: list[bool] = []
        looks: list[str] = []
        starter: Any = SimpleNamespace(
            is_due=lambda *, waited_for: bool(asked.append(waited_for)) or waited_for,
            look=lambda: looks.append("look"),
            release=lambda: looks.append("release"),
            arriving=lambda: "setting up",
        )
        app._starter = starter
        timers: list[float] = []
        loop = asyncio.get_running_loop()
        loop.call_later = lambda delay, call: (timers.append(delay), call())  # type: ignore
        app.after_call(needs_worker=False)
        app.after_call(needs_worker=True)
        assert (asked, timers, looks) == ([False, True], [LOOK_SECONDS], ["look"])
        state = app.readers.state.connection()
        for status, told in (
            (None, "setting up"),
            ("succeeded", "setting up"),
            ("tests_failed", "setting up"),
            ("failed", None),
        ):
            write_status(state, LastBuild(status=status), now=at(0))
            assert app.arriving() == told
        app.close()
        assert looks == ["look", "release"]
        for path in state_home.root.glob("state.db*"):
            path.unlink()
        state_home.state_db.mkdir()
        assert app.arriving() == "setting up", "as far as can be told"

    asyncio.run(body())


def test_what_has_time_is_done_of_all_parts_and_the_end_of_all_is_come_to(
    state_home: StateDirectory,
) -> None:
    async def body() -> None:
        app = opened(state_home)
        done: list[str] = []

        class Closing:
            def __init__(self, name: str) -> None:
                self.name = name

            def _do(self) -> None:
                done.append(self.name)
                raise RuntimeError(self.name)

            close = release = _do

        app.readers.state.retries = 3
        for _ in range(2):
            app.tick()
        (series,) = [
            found for metric, found in app.counts._table.items() if metric.name == "cdesk_retries_total"
        ]  # fmt: skip
        assert {labels: one.value for labels, one in series.items()} == {("state",): 3}
        app.close()
        app.records = Closing("records")  # type: ignore[assignment]
        app._starter = Closing("starter")  # type: ignore[assignment]
        app.readers = replace(
            app.readers, snapshot=Closing("readers")  # type: ignore[arg-type]
        )  # fmt: skip
        with pytest.raises(RuntimeError):
            app.close()
        assert done == ["records", "readers", "starter"]

    asyncio.run(body())
