"""Execution: stored, proven, refused or given up."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from query_desk import answer

from cdesk.artifacts.local import LocalArtifacts
from cdesk.core.errors import (
    KillSwitchActive,
    QueryCancelled,
    QueueWriteError,
    WarehouseError,
    WarehouseUnavailable,
)
from cdesk.query import executor as module
from cdesk.state.kill_switch import turn_off, turn_on

if TYPE_CHECKING:
    from query_desk import Desk


def test_an_answer_whose_proof_cannot_be_stored_is_not_given(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, request = desk.executor(), desk.request("numbers", {"rows": 3})
    whole = desk.writer.append

    def full(line: bytes) -> None:
        if b'"query_run"' in line:
            raise QueueWriteError("no space left")
        whole(line)

    monkeypatch.setattr(desk.writer, "append", full)
    with pytest.raises(QueueWriteError):
        executor.answer(request, desk.state)
    assert desk.state.execute("select count(*) from query_runs").fetchone() == (0,)


def test_the_result_is_kept_for_ninety_days(desk: Desk) -> None:
    result = answer(desk, "numbers", {"rows": 1})
    row = desk.state.execute(
        "select julianday(expires_at) - julianday(created_at) from artifacts"
    ).fetchone()
    assert round(row[0], 6) == 90
    assert result["artifact"]["expires_at"].endswith("Z")


def test_the_kill_switch_refuses_until_it_is_off(desk: Desk) -> None:
    turn_on(desk.state, desk.home, reason="too dear", now="2026-01-01T00:00:00.000000Z")
    with pytest.raises(KillSwitchActive, match=r"too dear.*cdesk kill-switch off"):
        answer(desk, "clock")
    turn_off(desk.state, desk.home, now="2026-01-01T00:00:01.000000Z")
    assert answer(desk, "clock")["row_count"] == 1


def test_a_cancelled_question_says_so_and_is_on_record(desk: Desk) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(QueryCancelled):
        desk.executor().answer(desk.request("slow", {"rows": 1_000_000}), desk.state, cancel=cancel)
    assert [run["status"] for run in desk.records("query_run")] == ["cancelled"]


def test_an_engine_error_leaves_no_file_behind(desk: Desk) -> None:
    with pytest.raises(WarehouseError):
        answer(desk, "broken")
    assert [path for path in desk.home.artifacts.rglob("*") if path.is_file()] == []


def test_an_answer_says_all_that_get_result_shows(desk: Desk) -> None:
    request = desk.request("numbers", {"rows": 23})
    found = desk.executor().answer(request, desk.state)
    artifact = found["artifact"]
    row = desk.state.execute("select artifact_id, uri, expires_at, rows from artifacts").fetchone()
    assert found | {"elapsed_ms": 0, "byte_count": 0, "summary": 0, "as_of": 0} == {
        "template": "numbers",
        "query_hash": request.query_hash,
        "query_tag": request.query_tag,
        "as_of": 0,
        "params": {"rows": 23},
        "columns": [
            {"name": "n", "type": "integer", "basis": "system"},
            {"name": "label", "type": "string"},
            {"name": "who", "type": "string"},
        ],
        "rows": [[n, f"row {n}", "ada@example.com"] for n in range(10)],
        "row_count": 23,
        "byte_count": 0,
        "page": 1,
        "pages": 3,
        "summary": 0,
        "truncated": True,
        "sampled": False,
        "sampling_note": None,
        "artifact": {
            "artifact_id": row[0],
            "uri": row[1],
            "format": "parquet",
            "expires_at": row[2],
            "open_with": f"cdesk artifact {row[0]} --out result.csv",
        },
        "reused": False,
        "elapsed_ms": 0,
    }
    assert row[3] == 23
    assert found["summary"]["rows"] == 23
    assert found["elapsed_ms"] > 0
    assert LocalArtifacts(desk.home.artifacts).is_whole(artifact["uri"])


@pytest.mark.parametrize(("rows", "truncated"), [(10, False), (11, True), (0, False)])
def test_an_answer_is_truncated_that_shows_less_than_there_is(
    desk: Desk, rows: int, truncated: bool
) -> None:
    assert answer(desk, "numbers", {"rows": rows})["truncated"] is truncated
    echo = {**desk.templates["echo"], "sql": "select repeat(?, 3) as said"}
    desk.write_catalog({**desk.templates, "echo": echo})
    long = answer(desk, "echo", {"text": "x" * 667})
    assert (long["truncated"], long["row_count"]) == (True, 1), "in its length"


def test_before_anything_has_landed_an_answer_is_as_of_nothing(desk: Desk) -> None:
    assert answer(desk, "clock")["as_of"] is not None
    with duckdb.connect(desk.home.warehouse) as connection:
        connection.execute("delete from activities.landing").fetchall()
    assert answer(desk, "clock", fresh=True)["as_of"] is None


@pytest.mark.parametrize(
    ("limit", "is_short"),
    [(1, True), (1_000, True), (1_001, False), (None, False), ("9", False)],
)
def test_an_answer_with_a_small_limit_is_read_at_once(
    desk: Desk, limit: object, is_short: bool
) -> None:
    request = SimpleNamespace(params={"limit": limit})
    assert module._is_short(request) is is_short  # type: ignore[arg-type]
    assert module._is_short(desk.request("numbers", {"rows": 1})) is False


class Unavailable:
    """A warehouse that is away for some tries, by a clock that its waits move."""

    def __init__(self, desk: Desk, times: int) -> None:
        self.left = times
        self.reading = self._reading
        self._desk = desk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk.warehouse, name)

    @contextmanager
    def _reading(self, *given: Any, **options: Any) -> Any:
        if self.left:
            self.left -= 1
            raise WarehouseUnavailable("away")
        with self._desk.warehouse.reading(*given, **options):
            yield


class News:
    """A warehouse where something lands as each question begins to read."""

    def __init__(self, desk: Desk) -> None:
        self.state = 0
        self.reading = self._reading
        self._desk = desk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk.warehouse, name)

    def data_state(self, *_: Any, **__: Any) -> str:
        return str(self.state)

    @contextmanager
    def _reading(self, *given: Any, **options: Any) -> Any:
        with self._desk.warehouse.reading(*given, **options):
            self.state += 1
            yield


def test_a_fingerprint_is_kept_with_what_was_known_before_its_transaction(desk: Desk) -> None:
    executor = desk.executor()
    news = executor._warehouse = executor._fingerprints._warehouse = News(desk)  # type: ignore[assignment]
    executor.answer(desk.request("clock"), desk.state)
    assert [mark for mark, _ in executor._fingerprints._kept.values()] == ["0"]
    assert news.state == 1
    assert executor.answer(desk.request("clock"), desk.state)["reused"]
    assert news.state == 2, "what has landed since is looked at"


class Waits(threading.Event):
    """Nobody waits in earnest."""

    def __init__(self, now: list[float], *, cancelled_after: int = 10**9) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self._now = now
        self._cancelled_after = cancelled_after

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses.append(timeout)
        self._now[0] += timeout
        if len(self.pauses) >= self._cancelled_after:
            self.set()
        return self.is_set()


def test_a_warehouse_that_comes_back_is_waited_for_and_the_run_is_on_record_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, said = [100.0], list[str]()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    executor = desk.executor()
    executor._warehouse = Unavailable(desk, 3)  # type: ignore[assignment]
    cancel = Waits(now)
    found = executor.answer(
        desk.request("numbers", {"rows": 3}), desk.state, cancel=cancel, progress=said.append
    )
    assert found["row_count"] == 3
    assert said == [f"waiting for the warehouse, try {n}" for n in (2, 3, 4)]
    assert len(cancel.pauses) == 3
    assert found["elapsed_ms"] == 0.0, "what others had of the time is not the query's"
    assert len(desk.records("event", "cdesk.sql_executed")) == 1


@pytest.mark.parametrize("patience", [0.0, 7.0])
def test_a_warehouse_that_stays_away_is_waited_for_as_long_as_there_is_patience(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    now = [100.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    executor = desk.executor(patience_seconds=patience)
    executor._warehouse = Unavailable(desk, 10**9)  # type: ignore[assignment]
    cancel = Waits(now)
    with pytest.raises(WarehouseUnavailable):
        executor.answer(desk.request("clock"), desk.state, cancel=cancel)
    assert sum(cancel.pauses) == pytest.approx(patience)
    (run,) = desk.records("query_run")
    assert (run["status"], run["error_code"]) == ("failed", "warehouse_unavailable")


def test_who_waits_for_a_warehouse_can_cancel(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    executor = desk.executor()
    executor._warehouse = Unavailable(desk, 10**9)  # type: ignore[assignment]
    with pytest.raises(QueryCancelled, match="while it waited for the warehouse"):
        executor.answer(desk.request("clock"), desk.state, cancel=Waits(now, cancelled_after=2))
    (run,) = desk.records("query_run")
    assert (run["status"], run["error_code"]) == ("cancelled", QueryCancelled("").code)


def test_progress_is_told_twice_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [100.0], list[str]()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    attempt = module._Attempt(threading.Event(), said.append)
    for at, rows in ((100.4, 1_000), (100.5, 2_000), (100.9, 3_000), (101.0, 4_000)):
        now[0] = at
        attempt.tell_rows(rows)
    assert said == ["fetched 2,000 rows", "fetched 4,000 rows"]
    now[0] = 101.2345678
    assert attempt.elapsed_ms == 1234.568


def test_a_large_answer_says_how_far_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROGRESS_SECONDS", 0.0)
    said: list[str] = []
    desk.executor().answer(
        desk.request("numbers", {"rows": 10_000}), desk.state, progress=said.append
    )
    assert said[-1] == "fetched 10,000 rows"
    assert said == sorted(said, key=lambda text: int(text.split()[1].replace(",", "")))


def test_an_answer_that_is_given_again_says_so_and_asks_nothing(desk: Desk) -> None:
    executor = desk.executor()
    request = desk.request("numbers", {"rows": 3})
    first = executor.answer(request, desk.state)
    for fresh, reused in ((False, True), (True, False)):
        again = desk.request("numbers", {"rows": 3}, fresh=fresh)
        found = executor.answer(again, desk.state)
        assert found["reused"] is reused
        assert (found["query_tag"] == first["query_tag"]) is reused
    assert len(desk.records("event", "cdesk.sql_executed")) == 2


def test_a_catalog_without_a_fingerprint_answers_each_question_anew(desk: Desk) -> None:
    templates = {name: one for name, one in desk.templates.items() if name != "data_fingerprint"}
    desk.write_catalog(templates)
    for _ in range(2):
        assert answer(desk, "numbers", {"rows": 3})["reused"] is False
