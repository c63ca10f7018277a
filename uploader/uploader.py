"""The queue's way into the warehouse: tail, check, batch, land, remember, archive.

What has landed is known from the warehouse itself: each row carries its file and offset, so rows
and position are one transaction. state.db caches that. Nothing here deletes a line that has not
landed.
"""

from __future__ import annotations

import itertools
import logging
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

import orjson

from cdesk.core.backoff import Breaker
from cdesk.core.clock import NowNs, format_ts, parse_ts
from cdesk.core.errors import (
    ConfigurationError,
    WarehouseError,
    WarehouseNotBuilt,
    WarehouseRewound,
    WarehouseUnavailable,
)
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.metrics import (
    LANDING_LAG_SECONDS,
    LANDING_ROWS,
    LANDING_SECONDS,
    RECORDS_LANDED,
    RECORDS_QUARANTINED,
    RETRIES,
)
from cdesk.queue.depth import Delivered, Depth, DepthCounter
from cdesk.queue.files import (
    QueueFile,
    QueueListing,
    by_writer,
    finish_leftovers,
    fresh_name,
    list_queue,
)
from cdesk.state.counts import Counts
from cdesk.state.database import open_state, repair_state
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.protocol import LandResult, Stretch, Warehouse
from uploader.archive import Archive
from uploader.batching import Batcher, Prepared, Reached
from uploader.bulk import Bulk
from uploader.checkpoints import Checkpoints, Progress
from uploader.file_position import is_still, resume, wherever
from uploader.landing import land_around_poison
from uploader.reading import behind_blank, read_blocks, tail_crc
from uploader.validation import QUARANTINE

log = logging.getLogger("cdesk.uploader")

LIVE_SOURCE: Final = "claude_desktop"
FIRST_ROWS: Final = 2_000
LEAST_ROWS: Final = 100
MOST_ROWS: Final = 25_000
MOST_BYTES: Final = 12 * 1024 * 1024
"""A batch ends at the adaptive number of rows or here."""
FAST_SECONDS: Final = 0.5
SLOW_SECONDS: Final = 2.0
"""A landing quicker than the first doubles the next batch, one slower than the second halves it."""
DEBOUNCE_SECONDS: Final = 0.25
"""At least this long between two small landings, so that a steady trickle is landed in batches."""
MOST_DEBOUNCE_SECONDS: Final = 2.0
DRAIN_SHARE: Final = 0.2
"""Small landings take no more of the time than this: where they are slow, they are fewer. Waiting
for whoever keeps the warehouse does not count. Of one that caught up with more rows than FIRST_ROWS
so much counts as so many take: the others are no price of landing often.
"""
PART_ROWS: Final = 4_096
STRETCH_BYTES: Final = 64 * 1024 * 1024
STRETCH_SECONDS: Final = 4.0
"""Where several batches land in one transaction, a batch is of so many rows, and the transaction
ends here, its rows complete or not. Of incomplete ones the engine writes a log.
"""
MOST_POISON: Final = 100
"""Refused records in one drain after which the warehouse is taken to be at fault."""
CLEAN_UP_SECONDS: Final = 600.0
_POSITIONS_AT_ONCE: Final = 10_000


@dataclass(slots=True)
class DrainReport:
    """What one drain did. landed: rows, quarantined ones included. waiting: lines that still stand
    in the queue.

    blocked is None when the queue was drained to its end, else the code of what stopped it
    (`warehouse_unavailable`, `warehouse_not_built`, `warehouse_error`, `backing_off`, `busy`:
    another uploader has the queue, `stopped`), with `message` in words.
    held: files left alone for now because they contradict what has landed of them, or could not be
    read just now. unreadable: queue entries that are no readable files, with why. unknown: .ndjson
    files in the queue that are not of the queue. reasons: quarantined lines by reason.
    """

    landed: int = 0
    quarantined: int = 0
    batches: int = 0
    bytes: int = 0
    waiting: int = 0
    blocked: str | None = None
    message: str | None = None
    reasons: dict[str, int] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


class Uploader:
    """Drains one queue into one warehouse. `drain` and `depth` may be called from different
    threads.

    A second uploader on the same state directory finds the queue taken and reports `busy`; where it
    finds it free again, it asks the warehouse first, as what it remembers may have been overtaken.
    """

    def __init__(
        self,
        home: StateDirectory,
        warehouse: Warehouse,
        *,
        connect: Callable[[], sqlite3.Connection] | None = None,
        repair: Callable[[], object] | None = None,
        breaker: Breaker | None = None,
        keep_days: float = 14.0,
        now_ns: NowNs = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        most_rows: int = MOST_ROWS,
        counts: Counts | None = None,
        landed: Callable[[LineBatch, float], None] | None = None,
    ) -> None:
        """repair: called where state.db is found damaged, its connection here closed; without, it
        is set aside and made anew. landed: told of each batch that has landed, and how many seconds
        that took.
        """
        self._counts = counts or Counts()
        self._landed = landed
        self._queue = home.queue
        self._warehouse = warehouse
        self._checkpoints = Checkpoints(
            connect or (lambda: open_state(home.state_db, mends=repair is None)),
            repair=repair or (lambda: repair_state(home.state_db)),
        )
        self.breaker = breaker or Breaker(monotonic=monotonic)
        self._archive = Archive(home.queue, keep_days=keep_days)
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._most_rows = most_rows
        self._rows = min(FIRST_ROWS, most_rows)
        self._lock = FileLock(home.queue / "uploader.lock")
        self._mark = os.urandom(16)
        self._turn = threading.Lock()
        self._progress: dict[str, Progress] = {}
        self._progress_lock = threading.Lock()
        self._counter = DepthCounter(home.queue)
        self._synced = False
        self._look_again = False
        self._last_landed_at: datetime | None = None
        self._last_drain = -DEBOUNCE_SECONDS
        self._debounce = DEBOUNCE_SECONDS
        self._waited = 0.0
        """How long the drain under way has waited for others."""
        self._last_batch = 0
        self._stretch_rows: int | None = None
        """How many rows the transaction under way still takes, where it is of several batches."""
        self._careful_rows = 0
        """So many rows land batch by batch: one of them was refused."""
        self._last_clean_up = monotonic()

    # -- the public face

    def drain(self, stop: threading.Event | None = None) -> DrainReport:
        """Land everything that stands in the queue, or as much as goes. Never raises for a
        warehouse that is away: see `DrainReport`.

        Raises:
            OSError: the queue folder itself cannot be read.
        """
        report = DrainReport()
        begun = self._monotonic()
        self._waited = 0.0
        with self._turn:
            try:
                taken = self._lock.acquire()
            except FileNotFoundError:  # no queue folder: nothing has ever been queued
                return report
            if not taken:
                report.blocked, report.message = "busy", "another uploader drains this queue"
                return report
            try:
                if not self._lock.claim(self._mark):
                    self._synced = False  # somebody else has drained since: ask what has landed
                self._drain(report, stop or threading.Event())
            finally:
                self._lock.release()
            self._last_drain = self._monotonic()
            took = self._last_drain - begun - self._waited
            small = min(FIRST_ROWS / report.landed, 1.0) if report.landed else 0.0
            self._debounce = min(
                max(took * small / DRAIN_SHARE, DEBOUNCE_SECONDS), MOST_DEBOUNCE_SECONDS
            )
            report.waiting = self.measure().lines
        if report.reasons:
            log.warning("lines quarantined: %s", dict(report.reasons))
        return report

    def depth(self) -> int:
        """Undelivered records over all files and processes."""
        return self.measure().lines

    def measure(self) -> Depth:
        """The depth in lines, bytes and files."""
        with self._progress_lock:
            known = (
                self._progress
                if self._synced
                else {**(self._checkpoints.load() or {}), **self._progress}
            )
            delivered = {
                name: Delivered(one.next_offset, one.records) for name, one in known.items()
            }
            return self._counter.measure(delivered)

    @property
    def debounce_seconds(self) -> float:
        """How long the next drain is best put off: a pause after a failure, or a moment for a batch
        to gather. 0 = now.
        """
        if self.breaker.failures:
            return self.breaker.wait
        if self._last_batch >= self._rows:
            return 0.0
        return max(0.0, self._last_drain + self._debounce - self._monotonic())

    def close(self) -> None:
        self._checkpoints.close()

    # -- one drain

    def _drain(self, report: DrainReport, stop: threading.Event) -> None:
        if self.breaker.wait:
            report.blocked, report.message = "backing_off", self.breaker.reason
            return
        try:
            again = True
            while again and not stop.is_set():
                listing = finish_leftovers(self._queue)
                report.unknown = listing.unknown
                if not self._synced:
                    listing = self._synchronise(listing)
                again = self._pass(listing, report, stop)
        except WarehouseNotBuilt as error:
            # Nothing is wrong with the warehouse but that a build has to come first: no pause, no
            # breaker.
            self._synced = False
            report.blocked, report.message = error.code, str(error)
            return
        except (WarehouseError, ConfigurationError) as error:
            self._synced = (
                False  # the last transaction may or may not have happened: ask before going on
            )
            pause = self.breaker.failed(f"{error.code}: {error}")
            self._counts.add(RETRIES, "landing")
            report.blocked, report.message = error.code, str(error)
            log.warning(
                "landing put off for %.1f s (%s, failure %d)",
                pause,
                error.code,
                self.breaker.failures,
            )
            return
        self.breaker.succeeded()
        if stop.is_set():
            report.blocked = "stopped"
        elif self._monotonic() - self._last_clean_up > CLEAN_UP_SECONDS:
            self._last_clean_up = self._monotonic()
            self._archive.clean_up()

    def _pass(self, listing: QueueListing, report: DrainReport, stop: threading.Event) -> bool:
        """One walk over all files; whether another one is due at once: much has landed, or a file
        has to be looked at anew.
        """
        before = report.landed
        report.held = []
        report.unreadable = listing.held
        self._look_again = False
        with Bulk(self._warehouse, self._monotonic) as bulk:
            batches = self._prepare(listing.files, report)
            for prepared in batches:
                if stop.is_set():
                    return False
                if len(prepared.ends) >= self._rows:  # a backlog, not a trickle
                    bulk.hold()
                if bulk.stretch is not None and self._may_stretch():
                    self._land_stretch(bulk.stretch, prepared, batches, report, stop)
                else:
                    self._land(prepared, report)
                if not self._synced:
                    return True
        self._put_away(listing.files)
        self._last_batch = report.landed - before
        return self._look_again or self._last_batch >= self._rows

    def _land(self, prepared: Prepared, report: DrainReport) -> None:
        done = 0

        def note(part: LineBatch, result: LandResult) -> None:
            nonlocal done
            if part.kinds.count(QUARANTINE):
                for index, kind in enumerate(part.kinds, done):
                    if kind == QUARANTINE:
                        reason = prepared.reasons.get(index, "refused")
                        report.reasons[reason] = report.reasons.get(reason, 0) + 1
                        report.quarantined += 1
                        self._counts.add(RECORDS_QUARANTINED, reason)
            reached = prepared.reached(done, done + len(part))
            done += len(part)
            self._careful_rows -= len(part)
            self._note(reached, result, report)

        started, waited = self._monotonic(), self._waited
        try:
            land_around_poison(
                self._warehouse,
                prepared.batch,
                after=self._last_landed_at,
                most_poison=MOST_POISON,
                on_landed=note,
            )
        except WarehouseRewound:
            self._rewound()
            return
        seconds = self._monotonic() - started
        self._observe(len(prepared.ends), seconds, born_at(prepared.batch))
        if self._landed is not None:
            self._landed(prepared.batch, seconds)
        self._adapt(len(prepared.ends), seconds - (self._waited - waited))

    def _may_stretch(self) -> bool:
        return self._careful_rows <= 0 and not self.breaker.failures and self._landed is None

    def _land_stretch(
        self,
        stretch: Stretch,
        first: Prepared,
        batches: Iterator[Prepared],
        report: DrainReport,
        stop: threading.Event,
    ) -> None:
        """Land `first` and what follows it in `batches` in one transaction. Where a line of it is
        refused, nothing has landed, and all of it comes again batch by batch.
        """
        reached: list[Reached] = []
        reasons: Counter[str] = Counter()
        rows = bytes_ = 0

        def parts() -> Iterator[LineBatch]:
            nonlocal rows, bytes_
            for prepared in itertools.chain([first], batches):
                reached.extend(prepared.reached())
                reasons.update(prepared.reasons.values())
                rows += len(prepared.ends)
                bytes_ += prepared.bytes
                self._stretch_rows = stretch.rows - rows
                yield prepared.batch
                if rows >= stretch.rows or bytes_ >= STRETCH_BYTES:
                    return
                if stop.is_set() or self._monotonic() - started >= STRETCH_SECONDS:
                    return

        batch_rows = self._rows
        started, born = self._monotonic(), born_at(first.batch)
        try:
            result = stretch.land(parts(), self._last_landed_at)
        except WarehouseRewound:
            self._rewound()
            return
        except (WarehouseUnavailable, WarehouseNotBuilt):
            raise
        except WarehouseError as error:
            log.info("a landing of %d lines was refused, batch by batch now: %s", rows, error)
            self._careful_rows = max(rows, self._rows)
            self._synced = False  # it may have landed all the same
            return
        finally:
            self._stretch_rows = None
        report.quarantined += reasons.total()
        for reason, count in reasons.items():
            report.reasons[reason] = report.reasons.get(reason, 0) + count
            self._counts.add(RECORDS_QUARANTINED, reason, by=count)
        seconds = self._monotonic() - started
        self._note(reached, result, report)
        self._observe(rows, seconds, born)
        self._adapt(batch_rows, (seconds - result.waited) * batch_rows / rows)

    def _rewound(self) -> None:
        log.warning("the warehouse is older than what has landed: asking it again for every file")
        self._synced = False

    def _note(self, reached: Sequence[Reached], result: LandResult, report: DrainReport) -> None:
        """Note one transaction."""
        report.bytes += self._advance(reached)
        self._waited += result.waited
        report.landed += result.rows
        report.batches += 1
        self._counts.add(RECORDS_LANDED, by=result.rows)
        self._last_landed_at = result.landed_at

    def _observe(self, rows: int, seconds: float, born: float | None) -> None:
        self.breaker.succeeded()
        self._counts.observe(LANDING_SECONDS, seconds)
        self._counts.observe(LANDING_ROWS, rows)
        if born is not None:
            self._counts.observe(LANDING_LAG_SECONDS, max(0.0, self._now_ns() / 1e9 - born))

    def _adapt(self, rows: int, seconds: float) -> None:
        if seconds > SLOW_SECONDS:
            self._rows = max(min(LEAST_ROWS, self._most_rows), self._rows // 2)
        elif seconds < FAST_SECONDS and rows >= self._rows:
            self._rows = min(self._most_rows, self._rows * 2)

    def _advance(self, reached: Sequence[Reached]) -> int:
        """Note how far lines have landed, the later word of a file last; their bytes."""
        moved = 0
        files = {one.file.name: one.file for one in reached}
        with self._progress_lock:
            for one in reached:
                progress = self._progress[one.file.name]
                moved += one.next_offset - progress.next_offset
                progress.next_offset = one.next_offset
                progress.last_offset = one.last_offset
                progress.records += one.records
            for name, file in files.items():
                progress = self._progress[name]
                try:
                    progress.tail_crc = wherever(
                        file, partial(tail_crc, offset=progress.next_offset)
                    )
                except (OSError, ValueError):
                    self._synced = False
            changed = [(name, self._progress[name]) for name in files]
            self._checkpoints.save(changed, now=format_ts(self._now_ns()))
        return moved

    # -- from files to batches

    def _prepare(self, files: list[QueueFile], report: DrainReport) -> Iterator[Prepared]:
        """Batches over all files, a writer's files in order; a file that has to wait makes its
        writer's later ones wait.
        """
        batcher = Batcher(rows=self._limit, most_bytes=MOST_BYTES)
        for group in by_writer(files):
            for file in group:
                try:
                    size = file.size()
                    progress = self._progress.setdefault(file.name, Progress())
                    if size == progress.next_offset and not file.sealed:
                        continue
                    if not is_still(file, progress, size):
                        if (
                            file.sealed
                        ):  # nobody writes to it: its content lands under a name of its own
                            self._adopt(file)
                        else:
                            report.held.append(file.name)
                        break
                    self._pass_blank(file, progress)
                    for block in read_blocks(file.path, progress.next_offset, whole=file.sealed):
                        yield from batcher.add(file, block)
                except FileNotFoundError:  # sealed by its writer since the listing
                    self._look_again = True
                    break
                except OSError as error:
                    log.warning(
                        "%s cannot be read (%s); left for later", file.path.name, error.strerror
                    )
                    report.held.append(file.name)
                    break
        if rest := batcher.rest():
            yield rest

    def _pass_blank(self, file: QueueFile, progress: Progress) -> None:
        """Go past what was erased at the place that has been reached. Raises OSError."""
        end, count = behind_blank(file.path, progress.next_offset)
        if count:
            with self._progress_lock:
                progress.next_offset, progress.records = end, progress.records + count
                progress.tail_crc = tail_crc(file.path, end)

    def _limit(self) -> int:
        """Rows of the next batch; a few only while the breaker is being probed."""
        if self._stretch_rows is not None:
            return max(1, min(PART_ROWS, self._most_rows, self._stretch_rows))
        return min(self._rows, LEAST_ROWS) if self.breaker.failures else self._rows

    def _adopt(self, file: QueueFile) -> None:
        target = fresh_name(self._queue)
        log.warning("%s is not what has landed of it; it lands again as %s", file.name, target.name)
        file.path.rename(target)
        with self._progress_lock:
            self._progress.pop(file.name, None)
        self._checkpoints.forget([file.name])
        self._look_again = True

    def _put_away(self, files: list[QueueFile]) -> None:
        """Take sealed files that have landed whole out of the queue."""
        gone: list[str] = []
        for file in files:
            progress = self._progress.get(file.name)
            if not file.sealed or progress is None:
                continue
            try:
                if file.size() != progress.next_offset:
                    continue
                if progress.last_offset < 0:
                    file.path.unlink()
                else:
                    self._archive.put(file, progress.last_offset)
            except OSError as error:
                log.warning(
                    "%s cannot be put away (%s); tried again later", file.name, error.strerror
                )
                continue
            gone.append(file.name)
        with self._progress_lock:
            for name in gone:
                del self._progress[name]
        self._checkpoints.forget(gone)

    # -- what has landed

    def _synchronise(self, listing: QueueListing) -> QueueListing:
        """Ask the warehouse how far each file has landed, and bring archived files back that it no
        longer holds.
        """
        self._archive.take_over()
        names = [file.name for file in listing.files] + [
            file.name for file in self._archive.files()
        ]
        positions: dict[str, int] = {}
        if names:
            self._last_landed_at = self._warehouse.last_landing()
        for start in range(0, len(names), _POSITIONS_AT_ONCE):
            positions |= self._warehouse.positions(names[start : start + _POSITIONS_AT_ONCE])
        if returned := self._archive.put_back(positions):
            log.warning(
                "%d files landed once and are gone from the warehouse: they land again",
                len(returned),
            )
            listing = list_queue(self._queue)
        cached = self._checkpoints.load() or {}
        progress = {
            file.name: resume(file, positions.get(file.name, -1), cached.get(file.name))
            for file in listing.files
        }
        with self._progress_lock:
            self._progress = progress
            self._synced = True
            self._checkpoints.forget(cached.keys() - progress.keys())
            self._checkpoints.save(progress.items(), now=format_ts(self._now_ns()))
        return listing


def born_at(batch: LineBatch) -> float | None:
    """When the batch's first record was born, in seconds since the epoch; None where it is no
    record, or one of an imported history.
    """
    try:
        record = orjson.loads(batch.payloads[0])
        if record.get("source_system", LIVE_SOURCE) != LIVE_SOURCE:
            return None
        return parse_ts(record["ts"]).timestamp()
    except (IndexError, ValueError, KeyError, TypeError, AttributeError):
        return None
