"""Forgetting histories where the warehouse is the team's: what waits of them never leaves, the rest
lands before the warehouse's administrator takes out what rests on them.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from faulty_warehouse import MemoryWarehouse, unavailable
from landing_table import event

from cdesk.core.config import Settings
from cdesk.core.errors import WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk_app.worker import forgetting
from cdesk_app.worker.erasure import ErasureReport
from cdesk_app.worker.forgetting import forget_histories
from uploader.backlog import BacklogWriter
from uploader.uploader import DrainReport


def forget(home: StateDirectory, warehouse: MemoryWarehouse) -> ErasureReport:
    settings = Settings(
        home=home.root, customer="ada@example.com", worker="off", target="snowflake"
    )
    return forget_histories(settings, home, open_=lambda *_: warehouse)


def test_what_waits_of_histories_never_lands_and_the_rest_does(state_home: StateDirectory) -> None:
    own, followed = (event()[1] for _ in range(2))
    followed = orjson.dumps(orjson.loads(followed) | {"source_system": "claude_code"}) + b"\n"
    writer = QueueWriter(state_home.queue)
    for line in (own, followed):
        writer.append(line)
    writer.close()
    warehouse = MemoryWarehouse()
    warehouse.before = unavailable
    with pytest.raises(WarehouseUnavailable, match="cannot land"):
        forget(state_home, warehouse)
    warehouse = MemoryWarehouse()
    report = forget(state_home, warehouse)
    assert [row.payload for row in warehouse.rows] == [own.decode().strip()]
    assert report.left == [
        "the warehouse: after its next build, dbt run-operation forget_histories takes it out there"
    ]


ADA = "ada@example.com"
BEGAN = "2026-01-31T12:00:00.000000Z"
NOON = 1_769_860_800_000_000_000


class Here:
    """The embedded default's own warehouse, and what is asked of it: in place of dbt, of landing
    and of the store.
    """

    def __init__(
        self, home: StateDirectory, monkeypatch: pytest.MonkeyPatch, *, target: Any = "duckdb"
    ) -> None:
        self.home = home
        self.settings = Settings(home=home.root, customer=ADA, worker="off", target=target)
        self.steps: list[Any] = []
        self.drained = DrainReport()
        self.warehouse = SimpleNamespace(close=lambda: self.steps.append("closed"))
        self.store = SimpleNamespace(purge=lambda uri: uri != "gone")
        self.builder: Any = SimpleNamespace(name="builder")
        monkeypatch.setattr(
            forgetting, "Uploader", lambda *_: SimpleNamespace(drain=lambda: self.drained)
        )
        monkeypatch.setattr(forgetting, "erase_in_warehouse", self._erase)
        monkeypatch.setattr(forgetting, "erase_answers", self._answers)
        monkeypatch.setattr(forgetting, "open_artifacts", lambda *_: self.store)

    def _erase(
        self, _: object, __: object, report: ErasureReport, *given: Any, **named: Any
    ) -> Any:
        self.steps.append((*given, named))
        report.count("landing", 2)
        return SimpleNamespace(told=("another line", 'rested: ["0123456789abcdef"]'))

    def _answers(self, path: Path, customer: str, **named: Any) -> list[str]:
        self.steps.append((path, customer, named))
        return ["a result", "gone", "another"]

    def forget(self) -> ErasureReport:
        return forget_histories(
            self.settings,
            self.home,
            builder=self.builder,
            open_=lambda *_: self.warehouse,  # type: ignore[arg-type, return-value]
            now_ns=lambda: NOON,
            tell=self.steps.append,
        )


def line(customer: str = ADA, **more: Any) -> bytes:
    _, record = event(customer=customer)
    return orjson.dumps(orjson.loads(record) | more) + b"\n"


def test_what_came_from_histories_goes_with_what_rests_on_it(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Here(state_home, monkeypatch)
    state_home.warehouse.touch()
    of_ada, of_bob = line(), line("bob", source_system="claude_code")
    drawn = {"kind": "insight", "provenance_query_hash": "0123456789abcdef"}
    resting = orjson.dumps({**drawn, "customer": ADA}) + b"\n"
    writer = QueueWriter(state_home.queue)
    for one in (of_ada, line(source_system="cowork"), resting, of_bob):
        writer.append(one)
    writer.close()
    (file,) = state_home.queue.glob("*.ndjson")
    waiting = BacklogWriter(state_home)
    waiting.write([line(source_system="claude_code"), of_ada])
    waiting.close()
    for name in ("capture.db", "capture.db-wal", "dashboard.json"):
        (state_home.root / name).touch()
    (state_home.copies / "a").mkdir(parents=True)
    report = here.forget()
    assert here.steps == [
        *("landing", "closed"),
        "warehouse",
        (
            "forget_histories",
            {"customer": ADA},
            {"build_first": ("config.materialized:incremental",), "builder": here.builder},
        ),
        *("queue", "results"),
        (
            state_home.state_db,
            ADA,
            {"changed_files": [file.name], "rested": ["0123456789abcdef"]},
        ),
    ]
    assert file.read_bytes().split() == [of_ada.strip(), of_bob.strip()]
    (left,) = state_home.backlog.glob("*.ndjson")
    assert left.read_bytes().split() == [of_ada.strip()]
    assert report.counts == {
        "landing": 2,
        "queue lines": 2,
        "lines of histories that wait": 1,
        "reading positions": 1,
        "stored results": 2,
        "pages and charts": 0,
    }
    assert (report.customer, report.erased_at, report.left) == (ADA, BEGAN, [])
    assert [one[:14] for one in report.beyond] == ["Claude's own h", "backups, and b"]
    assert [*state_home.root.glob("capture.db*")] == []
    assert not state_home.dashboard.exists()
    assert not state_home.copies.exists()


@pytest.mark.parametrize(
    ("target", "exists", "steps"),
    [
        ("duckdb", False, ["warehouse", "queue", "results"]),
        ("snowflake", False, ["queue", "landing", "warehouse", "results"]),
        ("snowflake", True, ["queue", "landing", "warehouse", "results"]),
    ],
)
def test_a_warehouse_that_others_empty_gets_no_more_of_them(
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    exists: bool,
    steps: list[str],
) -> None:
    here = Here(state_home, monkeypatch, target=target)
    if exists:
        state_home.warehouse.touch()
    report = here.forget()
    assert [one for one in here.steps if isinstance(one, str) and one != "closed"] == steps
    assert "landing" not in report.counts
    assert bool(report.left) is (target == "snowflake")
    assert any("Time Travel" in one for one in report.beyond) is (target == "snowflake")


@pytest.mark.parametrize(
    ("target", "blocked", "fails"),
    [
        ("duckdb", None, False),
        ("duckdb", "warehouse_not_built", False),
        ("duckdb", "busy", True),
        ("snowflake", None, False),
        ("snowflake", "warehouse_not_built", True),
        ("snowflake", "busy", True),
    ],
)
def test_what_waits_lands_before_since_only_the_warehouse_knows_what_rests_on_histories(
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    blocked: str | None,
    fails: bool,
) -> None:
    here = Here(state_home, monkeypatch, target=target)
    state_home.warehouse.touch()
    here.drained = DrainReport(blocked=blocked)
    if fails:
        with pytest.raises(WarehouseUnavailable, match=rf"cannot land \({blocked}\)"):
            here.forget()
        assert here.steps[-1] == "closed"
        assert "results" not in here.steps
    else:
        here.forget()
        assert "results" in here.steps


def test_the_context_goes_until_a_build_makes_it_anew(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Here(state_home, monkeypatch)
    erased: list[Any] = []
    monkeypatch.setattr(forgetting, "erase_snapshot", lambda *of: erased.append(of))
    monkeypatch.setattr(forgetting, "erase_folder", lambda *of: erased.append(of) or 3)
    report = here.forget()
    assert erased == [
        (state_home.charts, ADA),
        (state_home.artifacts_cache, ADA),
        (state_home.context_db, ADA),
    ]
    assert report.counts["pages and charts"] == 6
