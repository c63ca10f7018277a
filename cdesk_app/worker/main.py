"""The background process of a state directory: `run` stays and waits for wake-ups, `run_once` does
everything that waits and returns.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from typing import Final

from cdesk.core.clock import format_ts
from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError, NewerVersion, StateDirectoryError
from cdesk.core.features import METRICS
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.wake import WakeListener
from cdesk.state.counts import Counts
from cdesk.state.facts import write_status
from cdesk.state.status import WorkerState
from cdesk.state.tickets import fail_open
from cdesk_app.worker.cycle import CycleReport, Stage, run_cycle
from cdesk_app.worker.cycle_requests import ask_for_cycle
from cdesk_app.worker.loop import Loop
from cdesk_app.worker.pipeline import Pipeline, open_pipeline
from cdesk_app.worker.presentation import PresenterFactory, plain_presenter
from cdesk_app.worker.stop_request import StopEvent
from cdesk_app.worker.version import running_version
from cdesk_app.worker.waking import Waking

logger = logging.getLogger(__name__)

IDLE_EXIT_SECONDS: Final = 900.0
"""With nobody there for this long and nothing waiting the process ends. The next shim starts
another.
"""
RUNNING_ALREADY: Final = "a worker runs already for this state directory"
_TRIES: Final = 5
BEGUN_SECONDS: Final = 0.05
"""So long the loop leaves a query that has just begun alone: most have ended by then."""

# -- once


def run_once(
    settings: Settings,
    *,
    full: bool = False,
    progress: Stage | None = None,
    present: PresenterFactory = plain_presenter,
) -> CycleReport:
    """One pipeline cycle: land what is queued, build, renew snapshot and catalog, run the queued
    tickets, land what that made; then return.

    `full` builds seeds and every model and runs the data tests, as the first run for a project does
    anyway. Where a worker runs already it is asked to do the same, and waited for.

    Raises:
        CdeskError: what went wrong, in one line (`BuildError`: which model, the first line of its
        error, where the log is).
    """
    started = time.monotonic()
    home = StateDirectory(settings.home).ensure()
    tell = progress or (lambda _what, _done, _total: None)
    lock = FileLock(home.worker_lock)
    if not _take(lock, home):
        report = ask_for_cycle(home, lock, full=full, tell=tell)
        if report is not None:
            return report
    try:
        _finish_erasures(settings, home)
        with contextlib.closing(_open(settings, home, threading.Event(), present)) as pipeline:
            pipeline.resume()
            report = run_cycle(pipeline, full=full, tell=tell)
    finally:
        lock.release()
    report.seconds = time.monotonic() - started
    return report


def _take(lock: FileLock, home: StateDirectory) -> bool:
    """Whether the lock is ours. Who only looks whether it is free holds it for a moment, so a few
    tries are made.
    """
    try:
        for _ in range(_TRIES - 1):
            if lock.acquire():
                return True
            time.sleep(0.05)
        return lock.acquire()
    except OSError as error:
        raise StateDirectoryError(
            f"{lock.path} cannot be used ({error.strerror}); mend the permissions of {home.root}"
        ) from None


def _open(
    settings: Settings,
    home: StateDirectory,
    stop: threading.Event,
    present: PresenterFactory,
    listener: WakeListener | None = None,
) -> Pipeline:
    """The pipeline, if this version may run here.

    Raises:
        NewerVersion: it may not, and whoever waits has been told. Other CdeskErrors: it cannot be
        started.
    """
    try:
        notify = None if listener is None else listener.interrupt
        return open_pipeline(settings, home, stop=stop, notify=notify, present=present)
    except NewerVersion as error:
        tell_of_newer_version(home, error)
        raise


def tell_of_newer_version(home: StateDirectory, error: NewerVersion) -> None:
    """Leave in state.db, as far as this version can write it, why no worker of it runs; tickets
    that wait fail with the same words.
    """
    logger.error(
        "worker is older than its state directory", extra={"facts": {"reason": str(error)}}
    )
    now = format_ts(time.time_ns())
    fact = WorkerState(version=running_version(), reason="newer_version", problem=str(error))
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(
            sqlite3.connect(home.state_db, timeout=5.0, isolation_level=None)
        ) as state,
    ):
        write_status(state, fact, now=now)
        fail_open(state, code=error.code, message=str(error), now=now)


# -- stay


def run(
    settings: Settings,
    *,
    idle_exit_seconds: float = IDLE_EXIT_SECONDS,
    present: PresenterFactory = plain_presenter,
) -> int:
    """Be the worker of `settings.home` until told to stop or long idle; the exit code. A second one
    returns 0 at once.

    Raises:
        CdeskError: it cannot be started, or a newer version of cdesk has taken the state directory
        over.
    """
    home = StateDirectory(settings.home).ensure()
    lock = FileLock(home.worker_lock)
    if not _take(lock, home):
        sys.stderr.write(f"{RUNNING_ALREADY}\n")
        return 0
    stop = StopEvent(home)
    try:
        stop.forget_request()  # nobody has been told of this process yet
        _finish_erasures(settings, home)
        with (
            contextlib.closing(WakeListener(home)) as listener,
            _signals(stop, listener),
            contextlib.closing(_open(settings, home, stop, present, listener)) as pipeline,
            _serving_metrics(settings, home, pipeline.counts),
        ):
            _stay(pipeline, listener, lock, idle_exit_seconds)
    except (CdeskError, sqlite3.Error, OSError) as error:
        logger.error("worker failed", extra={"facts": {"reason": str(error)}})
        raise
    finally:
        stop.forget_request()
        lock.release()
    return 0


def _finish_erasures(settings: Settings, home: StateDirectory) -> None:
    if home.erasing.exists():
        from cdesk_app.worker.erasure import finish_erasures  # here: seldom needed, and large

        finish_erasures(settings, home)


def _serving_metrics(
    settings: Settings, home: StateDirectory, counts: Counts
) -> contextlib.AbstractContextManager[None]:
    if not settings.metrics_address or not settings.features.has(METRICS):
        return contextlib.nullcontext()
    from cdesk_app.worker.metrics_server import serving_metrics  # here: it brings an HTTP server

    return serving_metrics(settings, home, counts)


def _stay(
    pipeline: Pipeline, listener: WakeListener, lock: FileLock, idle_exit_seconds: float
) -> None:
    home = pipeline.home
    started = {"pid": os.getpid(), "home": str(home.root), "version": running_version()}
    logger.info("worker started", extra={"facts": started})
    pipeline.status.keep(WorkerState(pid=os.getpid(), state="running", version=running_version()))
    pipeline.resume()
    follower = pipeline.follower(listener.interrupt)
    waking = Waking(listener, pipeline.runner.look)

    def wait(seconds: float) -> bool:
        """What a query was asked by wakes the loop, too, which leaves it the first moment."""
        woken = waking.wait(seconds)
        if woken:
            pipeline.runner.wait_begun(BEGUN_SECONDS)
        return woken

    loop = Loop(
        pipeline,
        wait,
        pipeline.stop,
        others_live=lambda: shims_live(home, own=pipeline.queue.writer),
        owned=lambda: lock.stands,
    )
    follower.start()
    try:
        ending = loop.run(idle_exit_seconds)
    finally:
        follower.close()
        waking.close()
    logger.info("worker ends", extra={"facts": {"reason": ending}})
    if loop.problem is not None:
        error = NewerVersion(loop.problem)
        tell_of_newer_version(home, error)
        raise error
    pipeline.status.keep(WorkerState(version=running_version(), reason=ending))


_WRITER_LOCK: Final = re.compile(r"[0-9a-f]{32}\.lock\Z")
_JUST_MADE_SECONDS: Final = 10.0


def shims_live(home: StateDirectory, *, own: str | None = None) -> bool:
    """Whether any process but this one writes to the queue: its lock cannot be had.

    A lock file made a moment ago counts as held, so that trying it never takes it from under its
    maker's hands.
    """
    for path in home.queue.glob("*.lock"):
        if not _WRITER_LOCK.match(path.name) or path.stem == own:
            continue
        try:
            if time.time() - path.stat().st_mtime < _JUST_MADE_SECONDS:
                return True
            lock = FileLock(path)
            if not lock.acquire():
                return True
            lock.release()
        except FileNotFoundError:
            continue
        except OSError:
            return True
    return False


@contextlib.contextmanager
def _signals(stop: threading.Event, listener: WakeListener) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop` and end a wait."""

    def handle(_number: int, _frame: object) -> None:
        stop.set()
        listener.interrupt()

    names = [name for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), handle) for name in names}
    try:
        yield
    finally:
        for name, old in before.items():
            signal.signal(getattr(signal, name), old)
