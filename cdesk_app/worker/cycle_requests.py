"""Asking the running worker for a whole pipeline cycle, and its answer: two rows of
`worker_status`.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import Final

from cdesk.core.clock import IdSource, format_ts, parse_ts, to_ns
from cdesk.core.errors import BuildError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.wake import WakeSender
from cdesk.state.database import open_state, write_transaction
from cdesk.state.facts import read_status, write_status
from cdesk.state.status import CycleAnswer, CycleRequest
from cdesk_app.worker.cycle import CycleReport, Stage
from cdesk_app.worker.status_board import StatusBoard

HANDED_OVER_SECONDS: Final = 600.0
"""How long the running worker has to answer."""
_WAKE_EVERY: Final = 20
_LOOK_SECONDS: Final = 0.1


# -- the running worker's end


def take_request(status: StatusBoard) -> CycleRequest | None:
    """The request that somebody left, if it has not been answered."""
    asked = status.read(CycleRequest)
    if asked.id is None or asked.id == status.read(CycleAnswer).id:
        return None
    return asked


def answer_request(
    status: StatusBoard,
    request: CycleRequest,
    *,
    report: CycleReport | None = None,
    error: str | None = None,
) -> None:
    """Tell whoever asked what came of it."""
    status.keep(
        CycleAnswer(
            id=request.id,
            asked_at=request.at,
            at=status.now(),
            ok=error is None,
            message=error,
            report={} if report is None else report.to_json(),
        )
    )


# -- the asking end


def ask_for_cycle(
    home: StateDirectory, lock: FileLock, *, full: bool, tell: Stage
) -> CycleReport | None:
    """Ask the running worker for a whole cycle and wait for its report. None if it went away
    before, and `lock` is ours now.

    Raises:
        BuildError: it could not, in its own words; or it did not answer in time.
    """
    with (
        contextlib.closing(WakeSender(home)) as sender,
        contextlib.closing(open_state(home.state_db)) as state,
    ):
        asked = _leave_request(state, full)
        tell("waiting for the running worker", 0, 0)
        deadline = time.monotonic() + HANDED_OVER_SECONDS
        while time.monotonic() < deadline:
            sender.send()
            for _ in range(_WAKE_EVERY):
                if (report := _answer_to(state, asked)) is not None:
                    return report
                if lock.acquire():
                    return None
                time.sleep(_LOOK_SECONDS)
    raise BuildError(f"the running worker did not answer; its log is {home.worker_log}")


def _leave_request(state: sqlite3.Connection, full: bool) -> CycleRequest:
    """There is one place for a request: what has not been answered is part of the one that takes
    it, which is of a later time whatever the clock says, so that an answer is for all before it.
    """
    with write_transaction(state):
        before, done = read_status(state, CycleRequest), read_status(state, CycleAnswer)
        now = format_ts(max(time.time_ns(), *map(_next_ns, (before.at, done.asked_at))))
        waits_for_all = before.full and before.id != done.id
        asked = CycleRequest(id=IdSource().uuid7(), at=now, full=full or waits_for_all)
        write_status(state, asked, now=now)
    return asked


def _next_ns(at: str | None) -> int:
    """The first time behind one that stands in a fact."""
    try:
        return 0 if at is None else to_ns(parse_ts(at)) + 1_000
    except ValueError:
        return 0


def _answer_to(state: sqlite3.Connection, asked: CycleRequest) -> CycleReport | None:
    """The report on `asked`, or on a later request that took its place."""
    done = read_status(state, CycleAnswer)
    later = done.asked_at is not None and asked.at is not None and done.asked_at > asked.at
    if done.id != asked.id and not later:
        return None
    if not done.ok:
        raise BuildError(done.message or "the running worker could not do it")
    return CycleReport.from_json(done.report)
