"""The ticket runner: takes queued tickets in fair order between customers and answers them, up to N
at once.

`poll` calls as many threads as tickets wait; each takes one ticket after another until none is
left, then rests, and ends where nobody calls it for a while: to start a thread and open state.db
anew takes as long as a short query. While any runs, one more thread looks for requests to cancel
and at the kill switch.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import orjson

from cdesk.artifacts.factory import open_artifacts
from cdesk.artifacts.store import ArtifactStore
from cdesk.core.clock import NowNs, format_ts, parse_ts
from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError, KillSwitchActive
from cdesk.core.home import StateDirectory
from cdesk.core.identity import ANALYST, Caller
from cdesk.core.metrics import QUERIES, QUERY_SECONDS, RETRIES
from cdesk.core.processes import give_way_to_all, start_ordinary
from cdesk.query.executor import PATIENCE_SECONDS, TIMEOUT_SECONDS, Executor
from cdesk.query.pages import PageWriter
from cdesk.query.request import QueryRequest, make_request
from cdesk.queue.writer import QueueWriter
from cdesk.state.counts import Counts
from cdesk.state.database import open_state
from cdesk.state.facts import KillSwitch
from cdesk.state.kill_switch import read_switch
from cdesk.state.pages import count_waited_for
from cdesk.state.tickets import (
    Status,
    Ticket,
    cancel_all,
    cancel_requests,
    claim_ticket,
    count_open,
    expire_tickets,
    finish_ticket,
    recover_tickets,
    release_tickets,
    running_tickets,
    set_progress,
)
from cdesk.warehouse.protocol import Warehouse
from cdesk_app.worker.presentation import PlainPresenter, Presented, Presenter
from cdesk_app.worker.pressure import PREVIEWS, SUMMARIES, Degradation, Step

MAX_RUNNING: Final = 4
_LOOK_SECONDS: Final = 0.1
REST_SECONDS: Final = 30.0
"""How long a thread that has found nothing to run waits to be called again."""
_UNPAGED: Final = 32
_UNPAINTED: Final = 200
PICTURE_PAUSE_SECONDS: Final = 0.1
LATE_PICTURE_SECONDS: Final = 2.0
"""An answer's picture is painted once nobody has asked for so long, or where it is late: drawing
takes the processor for a tenth of a second.
"""
_PICTURE_LOOK_SECONDS: Final = 0.01

log = logging.getLogger(__name__)


class CatalogChanged(CdeskError):
    """The template was compiled anew between submission and run: the ticket's query_hash would name
    another query.
    """

    code = "catalog_changed"


class TicketRunner:
    """Runs the tickets of a state directory; one a directory, in its worker.

    `poll`, `recover` and `close` are for one thread, the worker's, `look` for any. notify: called
    (from any thread) when tickets have ended, so that the worker can land their records. presenter:
    what is said and shown beside an answer.
    """

    def __init__(
        self,
        settings: Settings,
        home: StateDirectory,
        warehouse: Warehouse,
        queue_writer: QueueWriter,
        *,
        max_running: int = MAX_RUNNING,
        rest_seconds: float = REST_SECONDS,
        timeout_seconds: float = TIMEOUT_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        now_ns: NowNs = time.time_ns,
        notify: Callable[[], None] | None = None,
        artifacts: ArtifactStore | None = None,
        presenter: Presenter | None = None,
        counts: Counts | None = None,
    ) -> None:
        self._counts = counts or Counts()
        self.gives_way = False
        """Whether queries run only when nobody else wants the processor."""
        self.degradation: Degradation | None = None
        """What is given up under pressure."""
        self._settings = settings
        self._home = home
        self._max_running = max_running
        self._rest_seconds = rest_seconds
        self._now_ns = now_ns
        self._notify = notify or _nobody
        self._executor = Executor(
            home,
            warehouse,
            queue_writer,
            now_ns=now_ns,
            timeout_seconds=timeout_seconds,
            patience_seconds=patience_seconds,
            artifacts=artifacts or open_artifacts(settings, home),
            card_url=settings.card_url,
        )
        self._pages = PageWriter(self._executor.artifacts, now_ns)
        self._unpaged: deque[tuple[str, str]] = deque(maxlen=_UNPAGED)
        """Artifact and customer of answers whose pages are written once nobody waits."""
        self._presenter = presenter or PlainPresenter()
        self._unpainted: deque[tuple[float, Callable[[], None]]] = deque(maxlen=_UNPAINTED)
        """Pictures to paint, and since when (monotonic); the oldest are left out where questions
        come faster.
        """
        self._paints = False
        self._answered_at = 0.0
        self._name = self._executor.new_id()
        self._state = open_state(home.state_db, mends=False)
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._calls = threading.Condition(self._lock)
        self._claiming = threading.Lock()
        self._threads = 0
        """Those that run something, or have been called to."""
        self._resting = 0
        self._called = 0
        """How many of those that rest have been called, and have not gone on yet."""
        self._started_at = -math.inf
        self._polls = 0
        self._running: dict[str, threading.Event] = {}
        self._closing = threading.Event()
        self._polled = threading.Event()
        self._guard: threading.Thread | None = None
        self._looking = threading.Lock()
        self._look_state: sqlite3.Connection | None = None

    @property
    def busy(self) -> bool:
        """Whether anything runs."""
        with self._lock:
            return self._threads > 0

    def recover(self) -> int:
        """Free what a dead worker left running: run once more, or failed with `worker_lost`. How
        many ended so.
        """
        ended = recover_tickets(self._state, runner=self._name, now=self._now())
        self._record_ended(ended)
        return len(ended)

    def poll(self) -> int:
        """Start what waits, as far as there is room; end what has expired. How many threads went
        to work. Cheap when nothing waits.
        """
        if self._closing.is_set():
            return 0
        self._polled.set()
        self._record_ended(expire_tickets(self._state, now=self._now()))
        started = self._start(self._state)
        self._end_orphans()
        return started

    def look(self) -> None:
        """Start what waits, from any thread, once the worker has begun to: while its own is at
        something else.
        """
        with self._looking:
            if not self._polled.is_set() or self._closing.is_set():
                return
            if self._look_state is None:
                self._look_state = open_state(self._home.state_db, mends=False)
            try:
                self._start(self._look_state)
            except sqlite3.Error:
                self._look_state.close()
                self._look_state = None
                raise

    def _start(self, state: sqlite3.Connection) -> int:
        waiting = count_open(state)["queued"]
        if waiting and self._enforce_switch(state):
            waiting = 0
        waiting += min(count_waited_for(state), 1)  # one thread writes all pages
        with self._lock:
            self._polls += 1  # a thread that found nothing looks again before it ends
            wanted = max(min(self._max_running - self._threads, waiting), 0)
            if wanted and (self._guard is None or not self._guard.is_alive()):
                guard = threading.Thread(target=self._watch, name="cdesk-ticket-guard", daemon=True)
                start_ordinary(guard)
                self._guard = guard
            self._threads += wanted
            called = min(wanted, self._resting - self._called)
            self._called += called
            self._calls.notify(called)
            if wanted:
                self._started_at = time.monotonic()
        unstarted = wanted - called
        try:
            while unstarted:
                start_ordinary(
                    threading.Thread(target=self._work, name="cdesk-ticket", daemon=True)
                )
                unstarted -= 1
        finally:
            if unstarted:  # the system has no room for another thread: the next poll tries
                with self._idle:
                    self._threads -= unstarted
                    self._idle.notify_all()
        return wanted

    def wait_idle(self, seconds: float) -> bool:
        """Block until nothing runs, at most `seconds`; whether that came true."""
        with self._idle:
            return self._idle.wait_for(lambda: self._threads == 0 and not self._paints, seconds)

    def wait_begun(self, seconds: float) -> None:
        """Block until nothing runs, or the last thread has been at work for `seconds`."""
        left = self._started_at + seconds - time.monotonic()
        if left > 0:
            with self._idle:
                self._idle.wait_for(lambda: self._threads == 0, left)

    def close(self, *, seconds: float = 3.0) -> None:
        """Stop: running queries are interrupted and their tickets wait for the next worker, their
        attempt not counted.
        """
        with self._claiming:
            self._closing.set()
        with self._lock:
            for event in self._running.values():
                event.set()
            self._calls.notify_all()
        self.wait_idle(seconds)
        if self._guard is not None:
            self._guard.join(seconds)
        release_tickets(self._state, runner=self._name)
        self._state.close()
        with self._looking:
            if self._look_state is not None:
                self._look_state.close()
                self._look_state = None

    # -- in threads

    def _work(self) -> None:
        working = True
        try:
            with contextlib.closing(open_state(self._home.state_db, mends=False)) as state:
                while working:
                    seen = self._polls
                    while (claimed := self._claim(state)) is not None:
                        self._run(state, *claimed)
                        self._notify()
                    self._write_pages_ahead(state)
                    self._pages.write_waited_for(state)
                    working = not self._leave(seen) or self._is_called()
        except Exception:
            log.exception("a ticket thread ended early")
        finally:
            if working:
                self._leave(None)

    def _leave(self, seen: int | None) -> bool:
        """Count this thread out, unless there was a poll since `seen`: its ticket may have come
        after the last look.
        """
        with self._idle:
            if seen is not None and seen != self._polls and not self._closing.is_set():
                return False
            self._threads -= 1
            self._idle.notify_all()
            return True

    def _is_called(self) -> bool:
        """Whether this thread, at rest, was called before its time was over; it counts as working
        from then on.
        """
        with self._calls:
            self._resting += 1
            self._calls.wait_for(
                lambda: self._called > 0 or self._closing.is_set(), self._rest_seconds
            )
            self._resting -= 1
            if not self._called:
                return False
            self._called -= 1
            return True

    def _begin_to_paint(self) -> None:
        """One thread paints, and no question waits for it."""
        with self._lock:
            if self._paints or not self._unpainted or self._closing.is_set():
                return
            self._paints = True
        try:
            threading.Thread(target=self._paint_all, name="cdesk-painting", daemon=True).start()
        except RuntimeError as error:  # the system has no room for another: the next answer tries
            log.warning("no picture is painted", extra={"facts": {"reason": str(error)}})
            with self._idle:
                self._paints = False
                self._idle.notify_all()

    def _paint_all(self) -> None:
        """Paint what is to be painted, each picture in a pause or when it is late."""
        if self.gives_way:
            give_way_to_all()
        while True:
            now = time.monotonic()
            paint: Callable[[], None] | None = None
            with self._idle:
                if self._closing.is_set() or not self._unpainted:
                    self._paints = False
                    self._idle.notify_all()
                    return
                is_late = now - self._unpainted[0][0] >= LATE_PICTURE_SECONDS
                if is_late or now - self._answered_at >= PICTURE_PAUSE_SECONDS:
                    _, paint = self._unpainted.popleft()
            if paint is None:
                self._closing.wait(_PICTURE_LOOK_SECONDS)
                continue
            try:
                paint()
            except Exception:
                log.exception("a picture was not painted")

    def _claim(self, state: sqlite3.Connection) -> tuple[Ticket, threading.Event] | None:
        if self.gives_way:  # a thread that always finds another query never ends
            give_way_to_all()
        with self._claiming:
            if self._closing.is_set():
                return None
            ticket = claim_ticket(state, runner=self._name, now=self._now())
            if ticket is None:
                return None
            cancel = threading.Event()
            with self._lock:
                self._running[ticket.ticket_id] = cancel
            return ticket, cancel

    def _run(self, state: sqlite3.Connection, ticket: Ticket, cancel: threading.Event) -> None:
        presented: Presented | None = None
        try:
            presented = self._answer(state, ticket, cancel)
        except CdeskError as error:
            if not self._closing.is_set():  # on closing, close() gives the ticket back
                self._fail(state, ticket, error, cancelled=cancel.is_set())
        except Exception as error:
            log.exception("ticket %s of template %s failed", ticket.ticket_id, ticket.template)
            self._end(
                state,
                ticket,
                "failed",
                code="internal_error",
                message=f"{type(error).__name__}; the worker's log has the details",
            )
        else:
            self._end(state, ticket, "succeeded", result=presented.answer)
        finally:
            with self._lock:
                del self._running[ticket.ticket_id]
        if presented is not None:
            self._answered_at = time.monotonic()
            if not self._gives_up(PREVIEWS) and presented.paint is not None:
                self._unpainted.append((self._answered_at, presented.paint))
                self._begin_to_paint()
            if presented.answer.get("pages", 1) > 1:
                artifact_id = presented.answer["artifact"]["artifact_id"]
                self._unpaged.append((artifact_id, ticket.customer))

    def _write_pages_ahead(self, state: sqlite3.Connection) -> None:
        """Write the first pages of the latest answers, as nobody waits. Of an answer so far back
        that it fell out of the list a page is written when somebody turns to it.
        """
        while not self._closing.is_set() and not count_open(state)["queued"]:
            try:
                artifact_id, customer = self._unpaged.pop()
            except IndexError:
                return
            self._pages.write_ahead(state, artifact_id, customer=customer)

    def _answer(
        self, state: sqlite3.Connection, ticket: Ticket, cancel: threading.Event
    ) -> Presented:
        def progress(text: str) -> None:
            set_progress(state, ticket.ticket_id, runner=self._name, progress=text)

        request = self._request(ticket)
        if ticket.attempts > 1:
            self._counts.add(RETRIES, "ticket")
            self._executor.provenance.retried(request)
        if request.query_hash != ticket.query_hash:
            raise CatalogChanged(
                f"template {ticket.template} was changed after this ticket; submit the query again"
            )
        answer = self._executor.answer(request, state, cancel=cancel, progress=progress)
        if self._gives_up(SUMMARIES):
            return PlainPresenter().present(request, answer)
        return self._presenter.present(request, answer)

    def _gives_up(self, step: Step) -> bool:
        """Whether the step is given up under pressure; counted where it is."""
        if self.degradation is None or not self.degradation.gives_up(step):
            return False
        self.degradation.gave_up(step)
        return True

    def _request(self, ticket: Ticket) -> QueryRequest:
        return make_request(
            self._executor.catalog(),
            Caller(
                ticket.customer,
                frozenset((ANALYST,)) if ticket.is_analyst else frozenset(),
                ticket.least_customers,
            ),
            run_id=ticket.ticket_id,
            query_tag=ticket.query_tag,
            template=ticket.template,
            params=ticket.params,
            session_id=ticket.session_id,
            byte_cap=ticket.byte_cap,
            fresh=ticket.fresh,
            dry_run=ticket.dry_run,
            timezone=self._settings.timezone,
        )

    def _fail(
        self, state: sqlite3.Connection, ticket: Ticket, error: CdeskError, *, cancelled: bool
    ) -> None:
        if isinstance(error, KillSwitchActive) or (
            cancelled and (switch := self._switch(state)).on
        ):
            text = str(error) if isinstance(error, KillSwitchActive) else switch.message
            self._end(state, ticket, "cancelled", code=KillSwitchActive.code, message=text)
        elif cancelled:
            self._end(state, ticket, "cancelled", code="cancelled", message="cancelled on request")
        else:
            self._end(state, ticket, "failed", code=error.code, message=str(error))

    def _end(
        self,
        state: sqlite3.Connection,
        ticket: Ticket,
        status: Status,
        *,
        result: dict[str, Any] | None = None,
        code: str | None = None,
        message: str | None = None,
    ) -> None:
        self._counts.add(QUERIES, status)
        if ticket.started_at is not None:
            started = parse_ts(ticket.started_at).timestamp()
            self._counts.observe(QUERY_SECONDS, max(0.0, self._now_ns() / 1e9 - started))
        finish_ticket(
            state,
            ticket.ticket_id,
            runner=self._name,
            status=status,
            now=self._now(),
            result=None if result is None else orjson.dumps(result),
            error_code=code,
            error_message=message,
        )

    def _watch(self) -> None:
        """While anything runs: pass on requests to cancel, and the kill switch."""
        try:
            with contextlib.ExitStack() as opened:
                state: sqlite3.Connection | None = None
                while not self._closing.wait(_LOOK_SECONDS):
                    with self._lock:
                        if self._threads == 0:
                            self._guard = None
                            return
                    # Not before: most queries have ended by now.
                    state = state or opened.enter_context(
                        contextlib.closing(open_state(self._home.state_db, mends=False))
                    )
                    self._enforce_switch(state)
                    wanted = cancel_requests(state, runner=self._name)
                    with self._lock:
                        for ticket_id in wanted:
                            if (event := self._running.get(ticket_id)) is not None:
                                event.set()
        except Exception:
            log.exception("the guard over running tickets ended early")

    # -- small things

    def _switch(self, state: sqlite3.Connection) -> KillSwitch:
        return read_switch(state, self._home.kill_switch)

    def _enforce_switch(self, state: sqlite3.Connection) -> bool:
        """Whether the kill switch is on; if so nothing waits or runs on."""
        switch = self._switch(state)
        if switch.on:
            cancel_all(state, code=KillSwitchActive.code, message=switch.message, now=self._now())
        return switch.on

    def _end_orphans(self) -> None:
        """End tickets that stand as running here but are not: their thread could not write the end
        (state.db was busy or full).
        """
        with self._claiming, self._lock:
            orphans = running_tickets(self._state, runner=self._name) - self._running.keys()
        for ticket_id in orphans:
            finish_ticket(
                self._state,
                ticket_id,
                runner=self._name,
                status="failed",
                now=self._now(),
                error_code="internal_error",
                error_message="the answer could not be written to state.db; submit the query again",
            )

    def _record_ended(self, tickets: list[Ticket]) -> None:
        """Records for tickets that ended without a run of ours."""
        for ticket in tickets:
            with contextlib.suppress(CdeskError):
                self._executor.provenance.ended(
                    self._request(ticket), status=ticket.status, error_code=ticket.error_code
                )

    def _now(self) -> str:
        return format_ts(self._now_ns())


def _nobody() -> None:
    return
