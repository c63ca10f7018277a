"""The background process of a state directory: `run` stays and waits for wake-ups, `run_once` does
everything that waits and returns.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from typing import Final

from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Settings, load_settings
from cdesk.core.errors import BuildError, CdeskError, StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.log import set_up_logging
from cdesk.core.wake import WakeListener, WakeSender
from cdesk.state.database import get_status, open_state, set_status
from cdesk_app.worker.loop import Loop
from cdesk_app.worker.round import OnceReport, Stage, do_everything
from cdesk_app.worker.service import open_service

logger = logging.getLogger(__name__)

IDLE_EXIT_SECONDS: Final = 900.0
"""Nobody there for so long and nothing waiting: the process ends. The next shim starts another."""
HANDED_OVER_SECONDS: Final = 600.0
RUNNING_ALREADY: Final = "a worker runs already for this state directory"

# -- once


def run_once(
    settings: Settings, *, full: bool = False, progress: Stage | None = None
) -> OnceReport:
    """Land what is queued, build, renew snapshot and catalog, run the queued tickets, land what
    that made; then return.

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
    if not _take(lock, home) and (report := _hand_over(home, lock, full, tell)) is not None:
        return report
    try:
        stop = threading.Event()
        service = open_service(settings, home, stop=stop)
        try:
            service.resume()
            report = do_everything(service, full=full, tell=tell)
        finally:
            service.close()
    finally:
        lock.release()
    report.seconds = time.monotonic() - started
    return report


# -- a worker that is there already


def _take(lock: FileLock, home: StateDirectory) -> bool:
    """Whether the lock is ours. Who only looks whether it is free holds it for a moment, so a few
    tries are made.
    """
    try:
        for _ in range(4):
            if lock.acquire():
                return True
            time.sleep(0.05)
        return lock.acquire()
    except OSError as error:
        raise StateDirectoryError(
            f"{lock.path} cannot be used ({error.strerror}); mend the permissions of {home.root}"
        ) from None


def _hand_over(home: StateDirectory, lock: FileLock, full: bool, tell: Stage) -> OnceReport | None:
    """Ask the running worker for a whole round and wait for its report. None if it went away
    before, and `lock` is ours now.

    Raises:
        BuildError: it could not, in its own words; or it did not answer in time.
    """
    sender = WakeSender(home)
    request = IdSource().uuid7()
    with contextlib.closing(open_state(home.state_db)) as state:
        now = format_ts(time.time_ns())
        before, done = get_status(state, "build_request"), get_status(state, "build_request_done")
        waiting = before if isinstance(before, dict) and before.get("id") != _id_of(done) else {}
        # There is one place for a request: what has not been answered is part of the one that takes
        # it.
        asked = {"id": request, "at": now, "full": full or bool(waiting.get("full"))}
        set_status(state, "build_request", asked, now=now)
        deadline = time.monotonic() + HANDED_OVER_SECONDS
        tell("waiting for the running worker", 0, 0)
        try:
            while time.monotonic() < deadline:
                sender.send()
                for _ in range(20):
                    done = get_status(state, "build_request_done")
                    if isinstance(done, dict) and (
                        done.get("id") == request or str(done.get("asked_at")) > now
                    ):
                        if done.get("ok"):
                            return OnceReport.from_json(done.get("report"))
                        raise BuildError(
                            str(done.get("message") or "the running worker could not do it")
                        )
                    if lock.acquire():
                        return None
                    time.sleep(0.1)
        finally:
            sender.close()
    raise BuildError(f"the running worker did not answer; its log is {home.worker_log}")


def _id_of(answer: object) -> object:
    return answer.get("id") if isinstance(answer, dict) else None


# -- stay


def run(settings: Settings, *, idle_exit_seconds: float = IDLE_EXIT_SECONDS) -> int:
    """Be the worker of `settings.home` until told to stop or long idle; the exit code. A second one
    returns 0 at once.

    Raises:
        CdeskError: it cannot be started.
    """
    home = StateDirectory(settings.home).ensure()
    lock = FileLock(home.worker_lock)
    if not _take(lock, home):
        sys.stderr.write(f"{RUNNING_ALREADY}\n")
        return 0
    try:
        stop = threading.Event()
        listener = WakeListener(home)
        try:
            with _signals(stop, listener):
                service = open_service(settings, home, stop=stop, notify=listener.interrupt)
                try:
                    facts = {"pid": os.getpid(), "home": str(home.root), "target": settings.target}
                    logger.info("worker started", extra={"facts": facts})
                    service.status("worker", {"pid": os.getpid(), "state": "running"})
                    service.resume()
                    reason = Loop(
                        service,
                        listener.wait,
                        stop,
                        others_live=lambda: shims_live(home, own=service.writer),
                        owned=lambda: lock.stands,
                    ).run(idle_exit_seconds)
                    logger.info("worker ends", extra={"facts": {"reason": reason}})
                    service.status("worker", {"pid": None, "state": "ended", "reason": reason})
                finally:
                    service.close()
        finally:
            listener.close()
    finally:
        lock.release()
    return 0


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
    """SIGTERM and SIGINT set `stop` and end a wait at once, on Windows too (where a socket has to
    be written to for that).
    """

    def handle(_number: int, _frame: object) -> None:
        stop.set()
        listener.interrupt()

    names = [name for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), handle) for name in names}
    nudge = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    nudge.setblocking(False)
    nudge.connect(listener.address)
    previous = signal.set_wakeup_fd(nudge.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        nudge.close()
        for name, old in before.items():
            signal.signal(getattr(signal, name), old)


def main(argv: list[str] | None = None) -> int:
    """`python -m cdesk_app.worker.main [--once] [--foreground]`: what the shim starts. The log goes
    to worker.log, with --foreground to stderr.
    """
    words = sys.argv[1:] if argv is None else argv
    os.umask(0o077)
    try:
        settings = load_settings(os.environ)
        home = StateDirectory(settings.home).ensure()
        set_up_logging(None if "--foreground" in words else home.worker_log, settings.environ)
        if "--once" not in words:
            return run(settings)
        report = run_once(settings)
        if report.failed_tests:
            raise BuildError(f"data tests failed: {', '.join(report.failed_tests)}")
    except (CdeskError, sqlite3.Error, OSError) as error:
        if logging.getLogger().handlers:
            logger.error("worker failed", extra={"facts": {"reason": str(error)}})
        sys.stderr.write(f"cdesk worker: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
