"""The worker's eye on Claude's own histories: a thread that looks at their files while capture is
on, and wakes the loop when something is new.

Looking costs next to nothing: files that changed within the last hour are looked at each time, of
others a third, of those that nobody has written to for a week a twelfth; folders tell by their
times when a file was added.

What reads them is imported once capture is on: a worker without it does without.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cdesk.contract.records import Record
from cdesk.core.backoff import Backoff
from cdesk.core.config import CaptureSettings, Settings, load_settings
from cdesk.core.errors import CdeskError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.processes import give_way_here
from cdesk.queue.writer import QueueWriter

if TYPE_CHECKING:
    from uploader.capture import Capture, Look
    from uploader.capture_store import CaptureStore
    from uploader.sources.protocol import HistoryFile

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.5
OFF_POLL_SECONDS: Final = 10.0
"""How often a worker looks whether capture was turned on."""
HOT_SECONDS: Final = 3_600.0
COLD_SECONDS: Final = 7 * 86_400.0
DISCOVER_SECONDS: Final = 60.0
DUE_SECONDS: Final = 30.0
"""How often what was held back (a call without its result) is looked at."""
LOOK_SECONDS: Final = 0.5
FULL_QUEUE: Final = 4_000
"""A queue with more in it than this is not added to."""
RETRY: Final = Backoff(5.0, 300.0)
_PARTS: Final = 3
_COLD_PARTS: Final = 12


class Follower:
    """Follows the histories of this computer into `queue`. `depth`: undelivered records. `notify`
    is called from the thread when lines were written.
    """

    def __init__(
        self,
        settings: Settings,
        home: StateDirectory,
        queue: QueueWriter,
        *,
        depth: Callable[[], int],
        notify: Callable[[], None],
        earlier: Callable[[], Iterable[Record]] = tuple,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._home = home
        self._queue = queue
        self._depth = depth
        self._notify = notify
        self._earlier = earlier
        self._monotonic = monotonic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._config_seen: tuple[int, int] | None = None
        self._capture: Capture | None = None
        self._store: CaptureStore | None = None
        self._following: CaptureSettings | None = None
        self._lock = FileLock(home.root / "capture.lock")
        self._files: dict[Path, HistoryFile] = {}
        self._seen: dict[Path, tuple[int, int]] = {}
        self._folders: dict[Path, int] = {}
        self._discovered_at = float("-inf")
        self._due_at = float("-inf")
        self._failed: list[Path] = []
        self._turns = 0
        self._behind = True

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait for a look that is under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)

    def _run(self) -> None:
        give_way_here()
        try:
            self._follow()
        finally:
            self._let_go()

    def _follow(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                pause = self.turn()
                failures = 0
            except (CdeskError, OSError) as error:
                failures += 1
                pause = RETRY.pause(failures)
                logger.warning("capture put off", extra={"facts": {"reason": str(error)}})
                self._let_go()
                self._keep_error(str(error))
            except Exception:  # the top of a thread: it must not end the worker
                failures += 1
                pause = RETRY.pause(failures)
                logger.exception("capture failed")
                self._let_go()
                self._keep_error("see the worker's log")
            self._stop.wait(pause)

    def _keep_error(self, reason: str) -> None:
        """For the status; where even that cannot be written, the log says it."""
        from uploader.capture_store import CaptureStore

        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with (
            contextlib.suppress(CdeskError, sqlite3.Error),
            contextlib.closing(CaptureStore(self._home.capture)) as store,
        ):
            store.put_setting("error", f"{at}: {reason}"[:500])

    def turn(self) -> float:
        """Look once; seconds until the next time."""
        wanted = self._wanted()
        if not wanted.enabled:
            self._let_go()
            return OFF_POLL_SECONDS
        if self._capture is None or self._following != wanted:
            self._take_up(wanted)
        capture = self._capture
        if capture is None or self._depth() > FULL_QUEUE:
            return POLL_SECONDS
        if not self._lock.acquire():
            return POLL_SECONDS  # 'cdesk capture now', or an import
        try:
            now = self._monotonic()
            is_due = now - self._due_at >= DUE_SECONDS
            if is_due:  # a drive that was away for a moment is back, and no file has changed
                for path in self._failed:
                    self._seen.pop(path, None)
                self._failed = []
            changed = self._changed(capture)
            if not (changed or is_due):
                return POLL_SECONDS
            self._due_at = now
            look = capture.look(changed, write=self._write, seconds=LOOK_SECONDS)
        finally:
            self._lock.release()
        self._behind = look.more
        self._failed += look.failed
        if look.more:  # what was not read is looked at again
            for file in changed:
                self._seen.pop(file.path, None)
        if look.lines:
            self._notify()
            self._tell(look)
        return 0.05 if look.more else POLL_SECONDS

    def _write(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            self._queue.append(line)

    def _tell(self, look: Look) -> None:
        facts = {"records": len(look.lines), "files": look.files, "behind": look.behind_bytes}
        logger.info("captured", extra={"facts": facts})

    def _wanted(self) -> CaptureSettings:
        """The settings as they stand now: `cdesk capture on` changes them while a worker runs."""
        path = self._home.root / "config.toml"
        try:
            status = path.stat()
            seen: tuple[int, int] | None = (status.st_mtime_ns, status.st_size)
        except OSError:
            seen = None
        if seen != self._config_seen:
            self._settings = load_settings(self._settings.environ)
            self._config_seen = seen
        return self._settings.capture

    def _take_up(self, wanted: CaptureSettings) -> None:
        from uploader.capture_store import CaptureStore

        self._let_go()
        self._store = CaptureStore(self._home.capture)
        self._capture = _capture_into(self._store, self._settings, self._earlier)
        self._following = wanted
        self._files, self._seen, self._folders = {}, {}, {}
        self._failed = []
        self._discovered_at = float("-inf")

    def _let_go(self) -> None:
        self._capture = None
        self._following = None
        if self._store is not None:
            with contextlib.suppress(sqlite3.Error):
                self._store.close()
            self._store = None

    # -- which files to look at

    def _changed(self, capture: Capture) -> list[HistoryFile]:
        now = self._monotonic()
        if now - self._discovered_at >= DISCOVER_SECONDS or self._has_new_entries():
            self._discover(capture)
            self._discovered_at = now
        self._turns += 1
        now_ns = time.time_ns()
        hot, cold = (now_ns - int(age * 1e9) for age in (HOT_SECONDS, COLD_SECONDS))
        found: list[HistoryFile] = []
        for place, (path, file) in enumerate(self._files.items()):
            seen = self._seen.get(path)
            if seen is not None and seen[1] < hot:
                parts = _PARTS if seen[1] >= cold else _COLD_PARTS
                if place % parts != self._turns % parts:
                    continue
            try:
                status = path.stat()
            except OSError:
                continue
            if seen != (status.st_size, status.st_mtime_ns):
                self._seen[path] = (status.st_size, status.st_mtime_ns)
                found.append(file)
        # What is written to now comes before what is years old.
        found.sort(key=lambda file: -self._seen[file.path][1])
        return found

    def _discover(self, capture: Capture) -> None:
        self._files = {file.path: file for file in capture.discover()}
        folders: set[Path] = set()
        for path in self._files:
            folders.update(list(path.parents)[:3])
        from uploader.histories import local_histories

        places = local_histories(self._settings.environ)
        folders.update((*places.code, *places.desktop))
        self._folders = {folder: _changed_at(folder) for folder in folders}

    def _has_new_entries(self) -> bool:
        return any(_changed_at(folder) != known for folder, known in self._folders.items())


def _changed_at(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _capture_into(
    store: CaptureStore, settings: Settings, earlier: Callable[[], Iterable[Record]]
) -> Capture:
    from uploader.capture import Capture
    from uploader.histories import local_histories

    return Capture(
        store,
        [local_histories(settings.environ)],
        customer=settings.customer,
        include_text=settings.capture.include_text,
        exclude=settings.capture.exclude,
        earlier=earlier,
    )


def capture_once(
    settings: Settings,
    home: StateDirectory,
    queue: QueueWriter,
    *,
    earlier: Callable[[], Iterable[Record]] = tuple,
    most_records: int = 20_000,
) -> int:
    """Look through all histories once, for at most about `most_records`; how many were written. A
    running worker that looks just then is let be.

    Raises:
        CdeskError: what is known cannot be kept, or the queue not be written.
    """
    from uploader.capture_store import CaptureStore

    lock = FileLock(home.root / "capture.lock")
    if not lock.acquire():
        return 0
    try:
        with contextlib.closing(CaptureStore(home.capture)) as store:
            capture = _capture_into(store, settings, earlier)

            def write(lines: Sequence[bytes]) -> None:
                for line in lines:
                    queue.append(line)

            look = capture.look(capture.discover(), write=write, most_records=most_records)
            return len(look.lines)
    finally:
        lock.release()
