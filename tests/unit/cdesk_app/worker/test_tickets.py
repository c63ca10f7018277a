"""The ticket runner on a real warehouse."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from cdesk.core.clock import format_ts
from cdesk.core.wake import WakeListener, WakeSender
from cdesk.query.pages import PageWriter
from cdesk.query.request import QueryRequest
from cdesk.state.kill_switch import turn_on
from cdesk.state.tickets import ENDED, cancel_ticket, claim_ticket, count_open
from cdesk_app.worker import tickets
from cdesk_app.worker.presentation import PlainPresenter, Presented
from cdesk_app.worker.tickets import TicketRunner
from cdesk_app.worker.waking import Waking
from tests.in_background import ONLY_WHERE_THREADS_DIFFER, in_background

if TYPE_CHECKING:
    from sqlite3 import Connection

    from query_desk import Desk

PATIENCE = 240.0
SLOW = {"rows": 3_000_000}
"""Of the template `slow`: minutes on any machine."""


def run_all(desk: Desk, **options: object) -> None:
    runner = desk.runner(**options)
    try:
        runner.recover()
        runner.poll()
        assert runner.wait_idle(PATIENCE)
    finally:
        runner.close()


def wait_until_running(desk: Desk, ticket_id: str, *, customer: str = "ada@example.com") -> None:
    deadline = time.monotonic() + PATIENCE
    while desk.ticket(ticket_id, customer=customer).status != "running":
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def running(desk: Desk) -> tuple[TicketRunner, str]:
    """A runner in the middle of a query that would take minutes, and its ticket."""
    runner = desk.runner()
    ticket_id = desk.submit("slow", SLOW)
    runner.poll()
    wait_until_running(desk, ticket_id)
    time.sleep(0.1)
    return runner, ticket_id


def test_a_queued_ticket_ends_with_its_result(desk: Desk) -> None:
    ticket_id = desk.submit("numbers", {"rows": 25})
    run_all(desk)
    ticket = desk.ticket(ticket_id)
    assert ticket.status == "succeeded", ticket
    assert ticket.result is not None
    assert ticket.result["row_count"] == 25
    assert ticket.result["rows"][0] == [0, "row 0", "ada@example.com"]
    assert len(ticket.result["rows"]) == 10
    assert ticket.result["truncated"] is True
    assert ticket.result["query_hash"] == ticket.query_hash
    assert ticket.result["query_tag"] == ticket.query_tag
    assert ticket.progress is None


class Looking(PlainPresenter):
    """Notes what `look` tells in the thread that answers."""

    def __init__(self, look: Callable[[], int]) -> None:
        self.found: list[int] = []
        self._look = look

    def present(self, request: QueryRequest, answer: Mapping[str, Any]) -> Presented:
        self.found.append(self._look())
        return super().present(request, answer)


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="the system knows no such priority")
@pytest.mark.parametrize("gives_way", [False, True])
def test_its_threads_leave_the_processor_where_they_are_to(desk: Desk, gives_way: bool) -> None:
    looking = Looking(lambda: os.sched_getscheduler(0))
    desk.submit("numbers", {"rows": 1})
    runner = desk.runner(presenter=looking)
    runner.gives_way = gives_way
    runner.poll()
    assert runner.wait_idle(PATIENCE)
    runner.close()
    assert looking.found == [os.SCHED_IDLE if gives_way else os.SCHED_OTHER]


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="the system knows no such priority")
def test_a_thread_that_finds_one_query_after_another_gives_way_from_the_next_one_on(
    desk: Desk,
) -> None:
    def look() -> int:
        runner.gives_way = True
        return os.sched_getscheduler(0)

    looking = Looking(look)
    for rows in (1, 2):
        desk.submit("numbers", {"rows": rows})
    runner = desk.runner(presenter=looking, max_running=1)
    runner.poll()
    assert runner.wait_idle(PATIENCE)
    runner.close()
    assert looking.found == [os.SCHED_OTHER, os.SCHED_IDLE]


def test_a_ticket_that_the_engine_refuses_fails_with_its_words(desk: Desk) -> None:
    ticket_id = desk.submit("broken")
    run_all(desk)
    ticket = desk.ticket(ticket_id)
    assert (ticket.status, ticket.error_code) == ("failed", "warehouse_error")
    assert "convert" in str(ticket.error_message)
    (run,) = desk.records("query_run")
    assert (run["status"], run["error_code"]) == ("failed", "warehouse_error")


def test_a_query_past_its_time_fails_with_query_timeout(desk: Desk) -> None:
    ticket_id = desk.submit("slow", SLOW)
    run_all(desk, timeout_seconds=0.3)
    assert desk.ticket(ticket_id).error_code == "query_timeout"


def test_customers_take_turns_whoever_queued_first(desk: Desk) -> None:
    for _ in range(6):
        desk.submit("echo", {"text": "x"}, customer="greedy", fresh=True)
    desk.submit("echo", {"text": "y"}, customer="late")
    desk.submit("echo", {"text": "z"}, customer="later")
    order = []
    while (ticket := claim_ticket(desk.state, runner="r", now=format_ts(desk.clock()))) is not None:
        order.append(ticket.customer)
    assert order == ["greedy", "late", "later", *["greedy"] * 5]


def test_a_customer_who_was_just_served_waits_for_the_others(desk: Desk) -> None:
    desk.submit("echo", {"text": "1"}, customer="a")
    assert claim_ticket(desk.state, runner="r", now="2026") is not None
    desk.submit("echo", {"text": "2"}, customer="a")
    desk.submit("echo", {"text": "3"}, customer="b")
    second = claim_ticket(desk.state, runner="r", now="2026")
    assert second is not None
    assert second.customer == "b"


def test_no_more_than_n_run_at_once(desk: Desk) -> None:
    tickets = [desk.submit("slow", SLOW, customer=f"c{number}") for number in range(4)]
    runner = desk.runner(max_running=2)
    runner.poll()
    wait_until_running(desk, tickets[1], customer="c1")
    runner.poll()
    time.sleep(0.2)
    assert count_open(desk.state) == {"queued": 2, "running": 2}
    runner.close()


def test_pages_are_written_ahead_once_nobody_waits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tickets = [desk.submit("numbers", {"rows": 20 + number}) for number in range(3)]
    waiting: list[int] = []

    def write_ahead(self: PageWriter, state: Connection, *args: str, **options: str) -> None:
        waiting.append(count_open(desk.state)["queued"])
        as_before(self, state, *args, **options)

    as_before = PageWriter.write_ahead
    monkeypatch.setattr(PageWriter, "write_ahead", write_ahead)
    run_all(desk, max_running=1)
    assert waiting == [0, 0, 0]
    for ticket_id in tickets:
        result = desk.ticket(ticket_id).result
        assert result is not None
        pages = desk.state.execute(
            "select count(*) from result_pages where artifact_id = ?",
            (result["artifact"]["artifact_id"],),
        )
        assert pages.fetchone()[0] == result["pages"]


class Painting:
    """A presenter that notes what it presents and paints, by the number of rows asked for."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def present(self, request: QueryRequest, answer: Mapping[str, Any]) -> Presented:
        rows = request.params["rows"]
        self.done.append(f"answer {rows}")
        return Presented(dict(answer), lambda: self.done.append(f"picture {rows}"))

    def clean_up(self) -> int:
        return 0

    def close(self) -> None:
        return


@pytest.mark.parametrize(("late", "pause"), [(3600.0, 0.0), (0.0, 3600.0)])
def test_pictures_are_painted_once_nobody_asks_or_they_are_late(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, late: float, pause: float
) -> None:
    monkeypatch.setattr(tickets, "LATE_PICTURE_SECONDS", late)
    monkeypatch.setattr(tickets, "PICTURE_PAUSE_SECONDS", pause)
    painting = Painting()
    for rows in (1, 2):
        desk.submit("numbers", {"rows": rows})
    run_all(desk, max_running=1, presenter=painting)
    assert sorted(painting.done) == ["answer 1", "answer 2", "picture 1", "picture 2"]


def test_no_question_waits_for_a_picture_that_takes_long(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "LATE_PICTURE_SECONDS", 0.0)
    painting, begun, may_end = Painting(), threading.Event(), threading.Event()

    def paint() -> None:
        begun.set()
        may_end.wait(60)

    def present(_: QueryRequest, answer: Mapping[str, Any]) -> Presented:
        return Presented(dict(answer), paint)

    monkeypatch.setattr(painting, "present", present)
    runner = desk.runner(presenter=painting, max_running=1)
    try:
        for rows in (1, 2):
            ticket_id = desk.submit("numbers", {"rows": rows})
            runner.poll()
            assert wait_until_ended(desk, ticket_id) == "succeeded"
            assert begun.wait(60)
        assert not runner.wait_idle(0.0), "the first is still being painted"
    finally:
        may_end.set()
        runner.close(seconds=60)


def test_a_question_right_after_an_answer_waits_for_no_picture(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "PICTURE_PAUSE_SECONDS", 3600.0)
    painting = Painting()
    runner = desk.runner(presenter=painting)
    try:
        for rows in (1, 2):
            ticket_id = desk.submit("numbers", {"rows": rows})
            runner.poll()
            assert wait_until_ended(desk, ticket_id) == "succeeded"
        assert painting.done == ["answer 1", "answer 2"]
    finally:
        runner.close(seconds=60)
    assert painting.done == ["answer 1", "answer 2"], "who ends paints nothing more"
    assert not runner.busy


def wait_until_ended(desk: Desk, ticket_id: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while (status := desk.ticket(ticket_id).status) not in ENDED:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return status


def test_a_question_that_wakes_the_worker_waits_for_nothing_else(desk: Desk) -> None:
    runner, listener = desk.runner(), WakeListener(desk.home)
    waking = Waking(listener, runner.look)
    try:
        runner.poll()
        ticket_id = desk.submit("numbers", {"rows": 3})
        with closing(WakeSender(desk.home)) as sender:
            assert sender.send()
        # The worker's own thread is at something else: nobody polls.
        assert wait_until_ended(desk, ticket_id) == "succeeded"
    finally:
        waking.close()
        runner.close()
        listener.close()


def test_nothing_is_started_before_the_worker_begins_or_after_it_has_ended(desk: Desk) -> None:
    runner = desk.runner()
    ticket_id = desk.submit("numbers", {"rows": 3})
    runner.look()
    assert not runner.busy, "what was recorded before comes first"
    runner.close()
    runner.look()
    assert desk.ticket(ticket_id).status == "queued"


def test_the_kill_switch_holds_for_what_a_wake_up_would_start(desk: Desk) -> None:
    runner = desk.runner()
    try:
        runner.poll()
        turn_on(desk.state, desk.home, reason=None, now=format_ts(desk.clock()))
        ticket_id = desk.submit("numbers", {"rows": 3})
        runner.look()
        assert desk.ticket(ticket_id).status == "cancelled"
        assert not runner.busy
    finally:
        runner.close()


def test_a_ticket_submitted_while_threads_end_is_not_forgotten(desk: Desk) -> None:
    runner = desk.runner(max_running=1)
    for number in range(40):
        ticket_id = desk.submit("echo", {"text": str(number)})
        runner.poll()
        deadline = time.monotonic() + PATIENCE
        while desk.ticket(ticket_id).status != "succeeded":
            assert time.monotonic() < deadline, "one poll a ticket has to be enough"
            time.sleep(0.001)
    runner.close()


def test_cancelling_a_waiting_ticket_ends_it_at_once(desk: Desk) -> None:
    ticket_id = desk.submit("echo", {"text": "x"})
    status = cancel_ticket(
        desk.state, ticket_id, customer="ada@example.com", now=format_ts(desk.clock())
    )
    assert status == "cancelled"
    run_all(desk)
    assert desk.ticket(ticket_id).status == "cancelled"
    assert desk.records() == []


def test_cancelling_a_running_ticket_interrupts_its_query(
    desk: Desk, running: tuple[TicketRunner, str]
) -> None:
    runner, ticket_id = running
    cancel_ticket(desk.state, ticket_id, customer="ada@example.com", now=format_ts(desk.clock()))
    assert runner.wait_idle(PATIENCE)
    assert desk.ticket(ticket_id).status == "cancelled"
    assert [run["status"] for run in desk.records("query_run")] == ["cancelled"]
    runner.close()


def test_the_kill_switch_cancels_what_runs_and_what_waits(
    desk: Desk, running: tuple[TicketRunner, str]
) -> None:
    runner, ticket_id = running
    waiting = [desk.submit("slow", SLOW, customer=f"c{number}") for number in range(6)]
    runner.poll()
    turn_on(desk.state, desk.home, reason="credits are used up", now=format_ts(desk.clock()))
    assert runner.wait_idle(PATIENCE)
    runner.close()
    ended = [desk.ticket(ticket_id)] + [
        desk.ticket(other, customer=f"c{number}") for number, other in enumerate(waiting)
    ]
    assert {ticket.status for ticket in ended} == {"cancelled"}
    assert {ticket.error_code for ticket in ended} == {"kill_switch_active"}
    assert "credits are used up" in str(ended[0].error_message)
    assert "cdesk kill-switch off" in str(ended[0].error_message)


def test_a_ticket_under_the_kill_switch_never_reaches_the_engine(desk: Desk) -> None:
    turn_on(desk.state, desk.home, reason=None, now=format_ts(desk.clock()))
    ticket_id = desk.submit("echo", {"text": "x"})
    run_all(desk)
    assert desk.ticket(ticket_id).error_code == "kill_switch_active"
    assert desk.records("event", "cdesk.sql_executed") == []


def test_what_waits_past_its_time_expires_and_is_on_record(desk: Desk) -> None:
    ticket_id = desk.submit("echo", {"text": "x"})
    desk.clock.forward(seconds=16 * 60)
    run_all(desk)
    assert desk.ticket(ticket_id).status == "expired"
    assert [run["status"] for run in desk.records("query_run")] == ["expired"]


def test_a_ticket_of_a_dead_worker_runs_once_more(desk: Desk) -> None:
    ticket_id = desk.submit("echo", {"text": "x"})
    claim_ticket(desk.state, runner="dead", now=format_ts(desk.clock()))
    run_all(desk)
    ticket = desk.ticket(ticket_id)
    assert (ticket.status, ticket.attempts) == ("succeeded", 2)
    (retried,) = desk.records("event", "cdesk.retry_attempted")
    assert retried["feature_json"] == {
        "where": "ticket",
        "error_code": "worker_lost",
        "message": "echo",
    }


def test_a_ticket_that_killed_two_workers_fails_with_worker_lost(desk: Desk) -> None:
    ticket_id = desk.submit("echo", {"text": "x"})
    for runner in ("dead", "dead too"):
        claim_ticket(desk.state, runner=runner, now=format_ts(desk.clock()))
        if runner == "dead":
            desk.state.execute(
                "update tickets set status = 'queued' where ticket_id = ?", (ticket_id,)
            )
    run_all(desk)
    ticket = desk.ticket(ticket_id)
    assert (ticket.status, ticket.error_code) == ("failed", "worker_lost")
    assert [run["error_code"] for run in desk.records("query_run")] == ["worker_lost"]


def test_a_cancelled_ticket_of_a_dead_worker_is_not_run_again(desk: Desk) -> None:
    ticket_id = desk.submit("echo", {"text": "x"})
    claim_ticket(desk.state, runner="dead", now=format_ts(desk.clock()))
    cancel_ticket(desk.state, ticket_id, customer="ada@example.com", now=format_ts(desk.clock()))
    run_all(desk)
    assert desk.ticket(ticket_id).status == "cancelled"


def test_closing_gives_running_tickets_back_without_counting_the_attempt(
    desk: Desk, running: tuple[TicketRunner, str]
) -> None:
    runner, ticket_id = running
    runner.close()
    ticket = desk.ticket(ticket_id)
    assert (ticket.status, ticket.attempts) == ("queued", 0)


def test_an_end_that_could_not_be_written_leaves_no_ticket_in_limbo(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = desk.runner()
    ticket_id = desk.submit("echo", {"text": "x"})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(runner, "_end", full)
        runner.poll()
        assert runner.wait_idle(PATIENCE)
    assert desk.ticket(ticket_id).status == "running"
    runner.poll()
    assert desk.ticket(ticket_id).error_code == "internal_error"
    runner.close()


def test_a_template_compiled_anew_since_submission_is_not_run(desk: Desk) -> None:
    ticket_id = desk.submit("numbers", {"rows": 3})
    templates = {name: dict(item) for name, item in desk.templates.items()}
    templates["numbers"]["sql"] = templates["numbers"]["sql"].replace("'row '", "'line '")
    desk.write_catalog(templates)
    run_all(desk)
    assert desk.ticket(ticket_id).error_code == "catalog_changed"


def test_progress_is_told_while_the_warehouse_is_away(desk: Desk) -> None:
    ticket_id = desk.submit("echo", {"text": "x"})
    with desk.held_by_another_process():
        runner = desk.runner(patience_seconds=PATIENCE)
        runner.poll()
        deadline = time.monotonic() + PATIENCE
        while "waiting for the warehouse" not in str(desk.ticket(ticket_id).progress):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert runner.wait_idle(PATIENCE)
    assert desk.ticket(ticket_id).status == "succeeded"
    runner.close()


def test_a_warehouse_that_stays_away_fails_the_ticket(desk: Desk) -> None:
    ticket_id = desk.submit("echo", {"text": "x"})
    with desk.held_by_another_process():
        run_all(desk, patience_seconds=0.5)
    assert desk.ticket(ticket_id).error_code == "warehouse_unavailable"


def test_a_missing_build_fails_the_ticket_and_says_so(desk: Desk) -> None:
    ticket_id = desk.submit("echo", {"text": "x"})
    desk.home.warehouse.unlink()
    run_all(desk)
    assert desk.ticket(ticket_id).error_code == "warehouse_not_built"


@ONLY_WHERE_THREADS_DIFFER
def test_an_answer_is_no_background_work(desk: Desk) -> None:
    """Whoever else is busy on the computer: a person waits for it, though the worker is nice."""
    looking = Looking(lambda: os.nice(0))
    desk.submit("numbers", {"rows": 1})
    with in_background() as run:
        run(lambda: run_all(desk, presenter=looking))
    assert looking.found == [os.nice(0)]


@ONLY_WHERE_THREADS_DIFFER
def test_who_looks_for_requests_to_cancel_is_no_background_work(desk: Desk) -> None:
    looked: list[int] = []

    def poll() -> None:
        runner.poll()
        looked.append(niceness_of("cdesk-ticket-guard"))

    desk.submit("slow", SLOW)
    runner = desk.runner()
    with in_background() as run:
        try:
            run(poll)
        finally:
            runner.close()
    assert looked == [os.nice(0)]


def niceness_of(name: str) -> int:
    (thread,) = (one for one in threading.enumerate() if one.name == name)
    assert thread.native_id is not None
    return os.getpriority(os.PRIO_PROCESS, thread.native_id)


def have_no_room_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first thread of this name not be started."""
    real, refused = threading.Thread.start, [name]

    def start(thread: threading.Thread) -> None:
        if thread.name in refused:
            refused.remove(thread.name)
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)


@pytest.mark.parametrize("first", ["cdesk-ticket", "cdesk-ticket-guard"])
def test_a_thread_that_cannot_be_started_takes_no_place(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Where the system has no room for another."""
    have_no_room_for(first, monkeypatch)
    ticket_id = desk.submit("numbers", {"rows": 1})
    runner = desk.runner(max_running=1)
    try:
        with pytest.raises(RuntimeError):
            runner.poll()
        assert not runner.busy
        assert runner.poll() == 1
        assert runner.wait_idle(PATIENCE)
        assert desk.ticket(ticket_id).status == "succeeded"
    finally:
        runner.close()


def test_a_picture_for_which_there_is_no_thread_is_painted_after_the_next_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "PICTURE_PAUSE_SECONDS", 0.0)
    have_no_room_for("cdesk-painting", monkeypatch)
    painting = Painting()
    runner = desk.runner(presenter=painting)
    try:
        for rows in (1, 2):
            ticket_id = desk.submit("numbers", {"rows": rows})
            runner.poll()
            assert wait_until_ended(desk, ticket_id) == "succeeded"
            assert runner.wait_idle(PATIENCE)
    finally:
        runner.close(seconds=60)
    assert painting.done == ["answer 1", "answer 2", "picture 1", "picture 2"]
