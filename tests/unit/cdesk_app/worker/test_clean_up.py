"""What goes once a day, and what stays."""

from __future__ import annotations

import contextlib
import os
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from query_desk import answer

from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.records import Artifact
from cdesk.core.clock import format_ts
from cdesk.core.errors import CatalogError, NotFound
from cdesk.core.identity import ANALYST, Caller
from cdesk.query.retention import hold_artifact
from cdesk.state.database import open_state
from cdesk.state.facts import read_status
from cdesk.state.status import LastCleanUp
from cdesk.state.tickets import KEEP_DAYS
from cdesk_app.worker import clean_up as module
from cdesk_app.worker.clean_up import CLEAN_UP_SECONDS, CleanUp
from cdesk_app.worker.presentation import PlainPresenter
from cdesk_app.worker.status_board import StatusBoard

if TYPE_CHECKING:
    from query_desk import Desk


def clean_up(desk: Desk) -> int:
    with closing(open_state(desk.home.state_db)) as state:
        status = StatusBoard(state, desk.clock)
        worker = CleanUp(
            desk.settings,
            desk.home,
            desk.warehouse,
            LocalArtifacts(desk.home.artifacts),
            PlainPresenter(),
            state,
            status,
            desk.clock,
            retain=lambda: 0,
        )
        return worker.run()


def is_there(desk: Desk, result: dict[str, Any]) -> bool:
    return LocalArtifacts(desk.home.artifacts).exists(result["artifact"]["uri"])


def count(desk: Desk, table: str) -> int:
    return int(desk.state.execute(f"select count(*) from {table}").fetchone()[0])


def test_tickets_go_after_a_week(desk: Desk) -> None:
    desk.submit("echo", {"text": "x"})
    desk.state.execute("update tickets set status = 'succeeded', finished_at = submitted_at")
    desk.clock.forward(hours=24 * KEEP_DAYS - 1)
    assert clean_up(desk) == 0
    desk.clock.forward(hours=2)
    assert clean_up(desk) == 1
    assert count(desk, "tickets") == 0
    assert read_status(desk.state, LastCleanUp).removed == 1


def test_a_result_goes_when_the_warehouse_says_that_it_has_expired(desk: Desk) -> None:
    stays, goes = (answer(desk, "numbers", {"rows": rows}) for rows in (1, 2))
    desk.expire(goes)
    assert clean_up(desk) == 2, "the file, and the answer that it was for"
    assert (is_there(desk, stays), is_there(desk, goes)) == (True, False)
    assert count(desk, "query_runs") == 1


def test_more_results_than_are_asked_about_at_once_go_all_the_same(desk: Desk) -> None:
    """A question has room for two addresses."""
    template = desk.templates["expired_artifacts"]
    (parameter,) = template["parameters"]
    few = {**template, "parameters": [{**parameter, "max_length": 300}]}
    desk.write_catalog({**desk.templates, "expired_artifacts": few})
    results = [answer(desk, "numbers", {"rows": rows}) for rows in range(5)]
    desk.expire(*results[1:])
    clean_up(desk)
    assert [is_there(desk, result) for result in results] == [True, *[False] * 4]


def hold(desk: Desk, id: str, **options: Any) -> Artifact:
    executor = desk.executor()
    return hold_artifact(desk.state, executor.artifacts, executor.provenance, id, **options)


def test_a_result_on_hold_stays_and_the_hold_is_on_record(desk: Desk) -> None:
    result = answer(desk, "numbers", {"rows": 1})
    id, customer = result["artifact"]["artifact_id"], desk.settings.customer
    desk.expire(result)
    held = hold(desk, id, customer=customer, on=True)
    clean_up(desk)
    assert is_there(desk, result)
    stored, placed = desk.records("artifact")
    assert placed["id"] != stored["id"] == held.artifact_id
    assert {**placed, "id": 0, "ts": 0, "query_tag": 0, "session_id": 0} == {
        **stored, "id": 0, "ts": 0, "query_tag": 0, "session_id": 0, "legal_hold": True,
    }  # fmt: skip
    hold(desk, id, customer=customer, on=False)
    assert [record["legal_hold"] for record in desk.records("artifact")] == [False, True, False]
    clean_up(desk)
    assert not is_there(desk, result)


def test_a_hold_is_its_customers_own(desk: Desk) -> None:
    result = answer(desk, "numbers", {"rows": 1})
    id = result["artifact"]["artifact_id"]
    with pytest.raises(NotFound):
        hold(desk, id, customer="bob", on=True)


@pytest.mark.parametrize("lost", ["random bytes", "no rows", "expired there"])
def test_what_state_db_has_lost_or_says_makes_no_result_go(
    desk: Desk, lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    result = answer(desk, "numbers", {"rows": 1})
    for path in desk.home.artifacts.rglob("*.parquet"):
        os.utime(path, (0, 0))
    desk.clock.forward(hours=24 * 400)
    if lost == "random bytes":
        desk.state.execute("pragma wal_checkpoint(truncate)")
        desk.state.close()
        desk.home.state_db.write_bytes(os.urandom(desk.home.state_db.stat().st_size))
        desk.state = open_state(desk.home.state_db)
        desk.write_catalog(desk.templates)  # its seal is lost as well; the worker exports it anew
    elif lost == "no rows":
        desk.state.execute("delete from artifacts")
    clean_up(desk)
    assert is_there(desk, result)
    assert "put off" not in caplog.text, "the warehouse was asked"


@pytest.mark.parametrize("why", ["held", "gone", "not built", "no catalog"])
def test_a_warehouse_that_cannot_be_asked_makes_no_result_go(desk: Desk, why: str) -> None:
    result = answer(desk, "numbers", {"rows": 1})
    desk.expire(result)
    with contextlib.ExitStack() as meanwhile:
        if why == "held":
            meanwhile.enter_context(desk.held_by_another_process())
        elif why == "gone":
            desk.home.warehouse.unlink()
        elif why == "not built":
            with duckdb.connect(str(desk.home.warehouse)) as connection:
                connection.execute("drop table activities.expired")
        else:
            desk.home.catalog.unlink()
        clean_up(desk)
    assert is_there(desk, result)


def test_answers_go_after_ninety_days(desk: Desk) -> None:
    answer(desk, "numbers", {"rows": 1})
    desk.clock.forward(hours=24 * 90 - 1)
    clean_up(desk)
    assert count(desk, "query_runs") == 1
    desk.clock.forward(hours=2)
    clean_up(desk)
    assert count(desk, "query_runs") == 0


def test_an_answer_without_its_result_is_forgotten_and_others_are_not(desk: Desk) -> None:
    answer(desk, "numbers", {"rows": 1})
    lost = answer(desk, "numbers", {"rows": 2})
    desk.state.execute(
        "delete from artifacts where artifact_id = ?", (lost["artifact"]["artifact_id"],)
    )
    assert clean_up(desk) == 1
    assert count(desk, "query_runs") == 1
    assert answer(desk, "numbers", {"rows": 1})["reused"] is True


def test_landed_queue_files_go_after_their_days_whoever_drains(desk: Desk) -> None:
    """A worker that is started for one cycle at a time never lives long enough to do it between
    two drains.
    """
    archive = desk.home.queue / "archive"
    archive.mkdir(parents=True)
    for name, days in (("a", 15), ("b", 13)):
        file = archive / f"{name * 32}-000001.0.ndjson"
        file.write_bytes(b"{}\n")
        os.utime(file, (time.time() - days * 86_400,) * 2)
    assert clean_up(desk) == 2, "one removed, one packed"
    assert [path.name[:3] for path in archive.iterdir()] == ["bbb"]


# -- when, and in which order

NOON = 1_769_860_800_000_000_000


class Asked:
    """A clean-up on a clock of its own, and what it asks of the others."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, *, target: Any) -> None:
        self.asked: list[Any] = []
        self.now = NOON
        self.status = StatusBoard(desk.state, lambda: self.now)
        self.error: Exception | None = None
        for number, name in enumerate(
            ("forget_tickets", "sweep_artifacts", "forget_answers", "forget_pages", "forget_hidden")
        ):
            monkeypatch.setattr(module, name, self._says(name, 10**number))
        archive = SimpleNamespace(clean_up=self._says("archive", 100_000))
        monkeypatch.setattr(module, "Archive", lambda folder: folder == desk.home.queue and archive)
        monkeypatch.setattr(module, "IdSource", lambda: SimpleNamespace(query_tag=lambda: "tag"))
        catalog = SimpleNamespace(get=lambda: {"expired_artifacts": "template"})
        monkeypatch.setattr(module, "open_catalog", lambda _: catalog)
        presenter: Any = SimpleNamespace(clean_up=self._says("pictures", 10_000_000))
        args: Any = ("warehouse", "store", presenter, "state")
        self.clean_up = CleanUp(
            replace(desk.settings, target=target),
            desk.home,
            args[0],
            args[1],
            args[2],
            args[3],
            self.status,
            lambda: self.now,
            retain=self._says("retain", 1_000_000),
        )

    def _says(self, name: str, answer: int) -> Any:
        def say(*given: object, **named: object) -> int:
            self.asked.append((name, *given, named))
            if name == "forget_answers" and self.error is not None:
                raise self.error
            return answer

        return say


@pytest.mark.parametrize("target", ["duckdb", "snowflake"])
def test_each_thing_goes_by_its_own_days_and_one_that_fails_keeps_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, target: str
) -> None:
    asked = Asked(desk, monkeypatch, target=target)
    roles = frozenset((ANALYST,)) if target == "duckdb" else frozenset[str]()
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert asked.clean_up.run() == 11_111_111
    assert asked.asked == [
        ("forget_tickets", "state", {"now": now}),
        (
            *("sweep_artifacts", "state", "store", "warehouse", "template"),
            *(Caller(desk.settings.customer, roles), {"query_tag": "tag"}),
        ),
        ("forget_answers", "state", {"now_ns": NOON, "keep_days": 90}),
        ("forget_pages", "state", {"before": "2026-01-24T12:00:00.000000Z"}),
        ("forget_hidden", "state", {"now": now}),
        ("archive", {"max_seconds": 30.0}),
        ("retain", {}),
        ("pictures", {}),
    ]
    told = read_status(desk.state, LastCleanUp)
    assert told == LastCleanUp(at=format_ts(NOON), removed=11_111_111)
    asked.error = CatalogError("no catalog")
    assert asked.clean_up.run() == 11_111_011
    assert len(asked.asked) == 16
    assert [record.facts for record in caplog.records] == [{"reason": "no catalog"}]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("since", "due_in"),
    [
        (None, 0.0),
        (0, CLEAN_UP_SECONDS),
        (1, CLEAN_UP_SECONDS - 1),
        (86_399, 1.0),
        (86_400, 0.0),
        (90_000, 0.0),
        (-1, 0.0),
    ],
)
def test_it_is_due_a_day_after_the_last_one_whichever_worker_that_was(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, since: int | None, due_in: float
) -> None:
    asked = Asked(desk, monkeypatch, target="duckdb")
    if since is not None:
        asked.status.keep(LastCleanUp(at=format_ts(NOON - since * 10**9)))
    assert asked.clean_up.due_in() == due_in
    asked.status.keep(LastCleanUp())
    assert asked.clean_up.due_in() == due_in, "what was read once is known"
    asked.clean_up.run()
    assert asked.clean_up.due_in() == CLEAN_UP_SECONDS
