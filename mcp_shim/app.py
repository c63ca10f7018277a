"""What a process has, whoever calls: the way into the queue, the shared files it reads, the worker
it looks after. `session` holds what one caller has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any, Final, Protocol

from cdesk.contract.vocabulary import SHED_PRIORITY, UNKNOWN_PRIORITY
from cdesk.core.clock import IdSource, NowNs, format_ts
from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError, StateDirectoryError
from cdesk.core.features import APPS
from cdesk.core.home import StateDirectory
from cdesk.core.metrics import DEGRADED, ERRORS, RECORDS_SHED, RETRIES
from cdesk.core.wake import WakeSender
from cdesk.queue.shedding import Shedder
from cdesk.queue.writer import QueueWriter
from cdesk.state.counts import Counts, counting
from cdesk.state.facts import read_status
from mcp_shim.readers import Readers
from mcp_shim.worker_start import WorkerStarter

logger = logging.getLogger(__name__)

WAKE_SECONDS: Final = 0.2
"""The worker gets at most one datagram in this time."""
AT_ONCE_SECONDS: Final = 0.001
"""The delay of an urgent datagram: the answer leaves first."""
LOOK_SECONDS: Final = 0.05
"""After a call, so long until the process looks whether a worker runs."""


class Author(Protocol):
    """Whose records they are: a caller's recorder (`session.Recorder`)."""

    customer: str
    session_id: str

    def own_line(
        self, activity: str, feature_json: dict[str, Any], *, id: str, ts: str | None = None
    ) -> bytes:
        """The line of an activity of the shim itself, born at `ts`; None: now."""


class RecordQueue:
    """A process's way into the queue, for the recorders of all its callers.

    `append` returns once the line is in the file system; waking the worker, notes and the reports
    of what was shed follow after the answer. Used on the event loop only.
    """

    def __init__(
        self,
        queue: QueueWriter,
        wake: WakeSender,
        shedder: Shedder | None = None,
        *,
        ids: IdSource,
        now_ns: NowNs = time.time_ns,
        counts: Counts | None = None,
    ) -> None:
        self.ids = ids
        self.counts = counts or Counts()
        self.now_ns = now_ns
        self._queue = queue
        self._wake = wake
        self._shedder = shedder
        self._notes: list[tuple[Author, str, dict[str, Any], str]] = []
        self._gathers = False
        self._wake_timer: asyncio.TimerHandle | None = None
        self._wakes_at_once = False
        self._woken = float("-inf")
        self._shed: dict[str, tuple[Author, str]] = {}
        """Customer → who will report what was shed of theirs, and the id of that report."""
        self._unreported: set[str] = set()
        """Customers whose latest counts could not be written down."""

    def append(self, line: bytes) -> None:
        """Put a line, or several, into the queue. Raises QueueWriteError."""
        self._queue.append(line)
        if self._wake_timer is None:
            self.wake_worker()

    def keeps(self, recorder: Author, activity: str) -> bool:
        """Whether policy lets this activity be written. What is shed is counted in the file system
        before the caller is answered: the counts survive this process.
        """
        if self._shedder is None:
            return True
        decision = self._shedder.decide(
            activity, customer=recorder.customer, session_id=recorder.session_id
        )
        if not decision.keep:
            priority = SHED_PRIORITY.get(activity, UNKNOWN_PRIORITY)
            self.counts.add(RECORDS_SHED, str(priority))
            self.counts.add(DEGRADED, "sampling")
        if decision.weight > 1:
            self._shed.setdefault(recorder.customer, (recorder, self.ids.uuid7()))
            # On a full disk the next report that can be written tells the counts.
            with contextlib.suppress(OSError):
                self._put_report(self._shedder, recorder.customer)
        return decision.keep

    # -- what nobody waits for

    def gather(self) -> None:
        """Say that `flush` is called when the answers under way have left: notes wait for it."""
        self._gathers = True

    def note(self, recorder: Author, activity: str, feature_json: dict[str, Any]) -> None:
        """Write an activity of the shim itself, born now, once the answer under way has left."""
        if not self._notes and not self._gathers:
            asyncio.get_running_loop().call_soon(self.flush)
        self._notes.append((recorder, activity, feature_json, format_ts(self.now_ns())))

    def flush(self) -> None:
        """Write the notes that wait, all at once. A failure is logged: the records that somebody
        asked for had their own answer.
        """
        self._gathers = False
        if not self._notes:
            return
        notes, self._notes = self._notes, []
        lines: list[bytes] = []
        for recorder, activity, feature_json, ts in notes:
            if not self.keeps(recorder, activity):
                continue
            try:
                lines.append(recorder.own_line(activity, feature_json, id=self.ids.uuid7(), ts=ts))
            except CdeskError as error:
                self._lost(error, 1)
        if lines:
            try:
                self.append(lines[0] if len(lines) == 1 else b"".join(lines))
            except CdeskError as error:
                self._lost(error, len(lines))

    def _lost(self, error: CdeskError, notes: int) -> None:
        logger.warning("notes lost", extra={"facts": {"notes": notes, "code": error.code}})
        self.counts.add(ERRORS, "queue", error.code, by=notes)

    def wake_worker(self, *, at_once: bool = False) -> None:
        """Tell the worker that there is something to do: in a while and seldom, or at once where
        somebody waits for it.
        """
        if self._wake_timer is not None:
            if self._wakes_at_once or not at_once:
                return
            self._wake_timer.cancel()
        loop = asyncio.get_running_loop()
        delay = AT_ONCE_SECONDS if at_once else max(self._woken + WAKE_SECONDS - loop.time(), 0.0)
        self._wake_timer = loop.call_later(delay, self._send_wake)
        self._wakes_at_once = at_once

    def _send_wake(self) -> None:
        self._wake_timer = None
        self._woken = asyncio.get_running_loop().time()
        self._wake.send()

    def tick(self) -> None:
        """Seal the queue file when it is due, so that an idle process holds nothing back, and
        measure how long the queue is.
        """
        if self._shedder is not None:
            self._shedder.tick()
            self._report_shed()
        if self._queue.due:
            try:
                self._queue.seal()
            except OSError as error:
                logger.warning("seal failed", extra={"facts": {"reason": error.strerror}})
        self.counts.flush()

    def _report_shed(self, *, last: bool = False) -> None:
        """Put the counts of what was shed into the stream, once a minute. A report itself is never
        shed.
        """
        if self._shedder is None or not self._shedder.is_due(last=last):
            return
        try:
            for customer in tuple(self._unreported):
                self._put_report(self._shedder, customer)
            self._queue.join_pending()
        except OSError as error:
            logger.warning("report put off", extra={"facts": {"reason": error.strerror}})
        else:
            self._shed.clear()
            self._shedder.told()
            self.wake_worker()

    def _put_report(self, shedder: Shedder, customer: str) -> None:
        """The one line of a customer of whom something was shed: no other is touched, since a
        service sheds of thousands at once.
        """
        self._unreported.add(customer)
        recorder, id = self._shed[customer]
        features = shedder.counted(customer)
        line = recorder.own_line("cdesk.fallback_triggered", features, id=id)
        self._queue.put_pending(customer, line)
        self._unreported.discard(customer)

    def close(self) -> None:
        """Write what waits, seal the file, tell the worker."""
        with contextlib.ExitStack() as end:  # each step runs, whatever another does
            end.callback(self.counts.close)
            end.callback(self._wake.close)
            end.callback(self._wake.send)
            end.callback(self._queue.close)
            if self._wake_timer is not None:
                self._wake_timer.cancel()
            end.callback(lambda: self._report_shed(last=True))
            self.flush()


class App:
    """One serving process: `records` to write with, `readers` to answer from. Sessions are made on
    it (`session.Session(app, caller)`), as many as there are callers.
    """

    def __init__(
        self,
        records: RecordQueue,
        readers: Readers,
        starter: WorkerStarter,
        *,
        transport: str = "stdio",
        cards: bool = True,
        private_folder: str = "",
    ) -> None:
        """cards: whether answers come with a card where the client shows one. private_folder: a
        folder that no answer names, for callers on other computers.
        """
        self.cards = cards
        self.private_folder = private_folder
        self.records = records
        self.counts = records.counts
        self.transport = transport
        self.readers = readers
        self._starter = starter

    @classmethod
    def open(cls, settings: Settings, home: StateDirectory, *, transport: str = "stdio") -> App:
        """The process's parts over a state directory that exists (`StateDirectory.ensure`)."""
        ids = IdSource()
        counts = Counts(home, ids.uuid7().replace("-", ""))
        starter = WorkerStarter(settings, home)
        records = RecordQueue(
            QueueWriter(
                home.queue,
                durability=settings.durability,
                ids=ids,
                appended=counting(counts, transport),
            ),
            WakeSender(home),
            Shedder(home),
            ids=ids,
            counts=counts,
        )
        return cls(
            records,
            Readers.of(home, lambda: starter.missing, timezone=settings.timezone),
            starter,
            transport=transport,
            cards=settings.features.has(APPS),
            private_folder=str(home.root) if transport == "http" else "",
        )

    def arriving(self) -> str | None:
        """What to tell a caller for whom a worker has yet to do something; None where no worker
        does, or its last build failed.
        """
        from cdesk.state.status import BUILT, LastBuild

        with contextlib.suppress(StateDirectoryError):
            last = self.readers.state.read(lambda state: read_status(state, LastBuild))
            if last.status not in (None, *BUILT):
                return None
        return self._starter.arriving()

    def after_call(self, *, needs_worker: bool) -> None:
        """Start a worker where none runs, once the answer has left; `needs_worker` where the caller
        waits for one.
        """
        if self._starter.is_due(waited_for=needs_worker):
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._starter.look)

    def tick(self) -> None:
        """What has time: called every few seconds."""
        if retries := self.readers.state.take_retries():
            self.counts.add(RETRIES, "state", by=retries)
        self.records.tick()
        self.readers.state.tick()

    def close(self) -> None:
        """Flush and seal the queue, let the worker live on, give the files back."""
        with contextlib.ExitStack() as end:
            end.callback(self._starter.release)
            end.callback(self.readers.close)
            end.callback(self.records.close)
