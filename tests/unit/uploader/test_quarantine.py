"""What becomes of refused lines: put back into the queue first, marked then."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from landing_table import event

from cdesk.contract.records import parse_line
from cdesk.core.clock import IdSource
from cdesk.core.errors import InvalidField, NotFound, QueueWriteError
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import open_state
from uploader import quarantine as module
from uploader.quarantine import Quarantine, QuarantinedLine, Replay

NOW = "2026-01-31T12:00:00.000000Z"


def line(number: int, **changes: Any) -> QuarantinedLine:
    own: dict[str, Any] = {
        "quarantine_id": f"q{number}",
        "kind": "event",
        "reason": "unknown_version",
        "detail": "",
        "raw": event()[1].decode().rstrip("\n"),
        "source_file": f"{'a' * 32}-000001.ndjson",
        "source_offset": number,
        "landed_at": NOW,
        "action": None,
    }
    return QuarantinedLine(**{**own, **changes})


@pytest.fixture
def state(state_home: StateDirectory) -> Iterator[sqlite3.Connection]:
    with closing(open_state(state_home.state_db)) as connection:
        yield connection


@pytest.fixture
def quarantine(state: sqlite3.Connection) -> Quarantine:
    nobody: Any = None  # neither the warehouse nor its template is asked
    return Quarantine(nobody, nobody, state, customer="ada@example.com")


def marks(state: sqlite3.Connection) -> dict[str, str]:
    return dict(state.execute("select quarantine_id, action from quarantine_marks").fetchall())


def test_a_line_that_could_not_be_queued_is_not_marked(
    quarantine: Quarantine, state: sqlite3.Connection, tmp_path: Path
) -> None:
    """A mark says that the line is on its way: nobody would replay it again."""
    away = QueueWriter(tmp_path / "gone")
    with pytest.raises(QueueWriteError):
        quarantine.replay([line(1)], away, now=NOW)
    assert marks(state) == {}


def test_what_came_before_a_line_that_could_not_be_queued_is_back_and_marked(
    quarantine: Quarantine, state: sqlite3.Connection, tmp_path: Path
) -> None:
    lines = [line(1), line(2), line(3)]

    class FullAfterOne(QueueWriter):
        def append(self, line: bytes) -> None:
            if self.records:
                raise QueueWriteError("the record could not be stored")
            super().append(line)

    queue = FullAfterOne(tmp_path)
    with pytest.raises(QueueWriteError):
        quarantine.replay(lines, queue, now=NOW)
    queue.close()
    assert marks(state) == {"q1": "replayed"}
    (file,) = tmp_path.glob("*.ndjson")
    assert file.read_text(encoding="utf-8") == lines[0].raw + "\n"


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "replayed"),
        ({"action": "discarded"}, "replayed"),
        ({"action": "replayed"}, "already"),
        ({"reason": "too_long"}, "not_whole"),
        ({"reason": "not_utf8"}, "not_whole"),
        ({"reason": "id_conflict"}, "still_refused"),
        ({"raw": '{"v":9}'}, "still_refused"),
    ],
)
def test_a_replay_says_what_became_of_a_line_and_marks_what_is_queued(
    quarantine: Quarantine,
    state: sqlite3.Connection,
    tmp_path: Path,
    changes: dict[str, Any],
    outcome: str,
) -> None:
    queue = QueueWriter(tmp_path)
    (replay,) = quarantine.replay([line(1, **changes)], queue, now=NOW)
    assert (replay.quarantine_id, replay.verdict) == ("q1", outcome)
    assert queue.records == (outcome == "replayed")
    assert marks(state) == ({"q1": "replayed"} if outcome == "replayed" else {})
    queue.close()


def test_only_what_was_not_marked_is_discarded(
    quarantine: Quarantine, state: sqlite3.Connection
) -> None:
    assert quarantine.discard([line(1), line(2, action="replayed")], now=NOW) == 1
    assert marks(state) == {"q1": "discarded"}


ROW: dict[str, Any] = {
    "quarantine_id": "q1",
    "kind": None,
    "reason": "not_json",
    "detail": "at 1",
    "raw": None,
    "source_file": f"{'a' * 32}-000001.ndjson",
    "source_offset": "17",
    "landed_at": datetime(2026, 1, 31, 12),  # noqa: DTZ001  (the warehouse holds UTC without zone)
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the warehouse is asked, which has four lines, q1 to q4."""
    seen: list[dict[str, Any]] = []

    def read_rows(
        _warehouse: Any, _template: Any, params: dict[str, Any], *_: Any, **__: Any
    ) -> Any:
        seen.append(params)
        rows = [{**ROW, "quarantine_id": f"q{number}"} for number in range(1, 5)]
        if (wanted := params.get("quarantine_id")) is not None:
            rows = [row for row in rows if row["quarantine_id"] == wanted]
        return SimpleNamespace(rows=rows[: params["limit"]])

    monkeypatch.setattr("uploader.quarantine.read_rows", read_rows)
    return seen


def test_a_line_is_told_with_its_place_and_what_was_made_of_it(
    quarantine: Quarantine, asked: list[dict[str, Any]]
) -> None:
    quarantine.discard([line(1)], now=NOW)
    assert quarantine.line("q1") == QuarantinedLine(
        quarantine_id="q1",
        kind=None,
        reason="not_json",
        detail="at 1",
        raw="",
        source_file=ROW["source_file"],
        source_offset=17,
        landed_at=NOW,
        action="discarded",
    )
    assert asked == [{"quarantine_id": "q1", "limit": 1}]
    with pytest.raises(NotFound, match="q9"):
        quarantine.line("q9")


def test_lines_that_were_dealt_with_are_asked_for_and_left_out(
    quarantine: Quarantine, asked: list[dict[str, Any]]
) -> None:
    quarantine.discard([line(1), line(2)], now=NOW)
    assert [one.quarantine_id for one in quarantine.lines(limit=2)] == ["q3", "q4"]
    assert [one.quarantine_id for one in quarantine.lines(limit=1)] == ["q3"]
    told = quarantine.lines(limit=3, done_too=True, reason="not_json")
    assert [(one.quarantine_id, one.action) for one in told] == [
        ("q1", "discarded"),
        ("q2", "discarded"),
        ("q3", None),
    ]
    assert asked == [{"limit": 4}, {"limit": 3}, {"reason": "not_json", "limit": 3}]


def test_without_a_word_the_fifty_newest_of_which_nothing_was_made_are_told(
    quarantine: Quarantine, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    quarantine.discard([line(1), line(2)], now=NOW)
    assert [one.quarantine_id for one in quarantine.lines()] == ["q3", "q4"]
    monkeypatch.setattr(module, "MOST_ROWS", 51)
    quarantine.lines()
    assert asked == [{"limit": 52}, {"limit": 51}]


def test_the_warehouse_is_asked_as_an_analyst_under_a_tag_of_its_own(
    state: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def read_rows(*given: Any, **options: Any) -> Any:
        seen.append((*given, options))
        return SimpleNamespace(rows=[])

    monkeypatch.setattr(module, "read_rows", read_rows)
    warehouse: Any = "warehouse"
    template: Any = "template"

    class Ids(IdSource):
        def query_tag(self) -> str:
            return "cdesk_0a1b2c3d"

    for ids, is_own in ((Ids(), True), (None, False)):
        Quarantine(warehouse, template, state, customer="ada", ids=ids).lines(reason="torn")
        *given, caller, options = seen.pop()
        assert given == ["warehouse", "template", {"reason": "torn", "limit": 50}]
        assert (caller.customer, caller.roles) == ("ada", frozenset({"analyst"}))
        assert options["timeout_seconds"] == 30.0
        assert (options["query_tag"] == "cdesk_0a1b2c3d") is is_own


@pytest.mark.parametrize(
    ("landed_at", "told"),
    [
        (datetime(2026, 1, 31, 12), NOW),  # noqa: DTZ001
        (datetime(2026, 1, 31, 12, tzinfo=UTC), NOW),
        (datetime(2026, 1, 31, 13, tzinfo=timezone(timedelta(hours=1))), NOW),
    ],
)
def test_when_a_line_landed_is_told_in_utc(landed_at: datetime, told: str) -> None:
    row = {**ROW, "raw": "{}", "landed_at": landed_at}
    found = module._line(row, {"q1": "replayed", "q2": "discarded"})
    assert (found.landed_at, found.raw, found.action) == (told, "{}", "replayed")


def test_a_replay_says_why_a_line_stays(quarantine: Quarantine, tmp_path: Path) -> None:
    lines = [
        line(1, action="replayed"),
        line(2, reason="too_long"),
        line(3, reason="id_conflict", detail="of a.ndjson"),
        line(4, raw="torn"),
    ]
    told = quarantine.replay(lines, QueueWriter(tmp_path), now=NOW)
    assert told[:3] == [
        Replay("q1", "already", None),
        Replay("q2", "not_whole", "its bytes stand in the archived queue file only"),
        Replay("q3", "still_refused", "its id is taken: of a.ndjson"),
    ]
    assert (told[3].verdict, (told[3].detail or "")[:8]) == ("still_refused", "not_json")


def test_a_credential_in_a_line_goes_back_as_what_it_is(
    quarantine: Quarantine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "ghp_" + "a1B2" * 9
    raw = event(feature_json={"question": f"of {secret}"})[1].decode().rstrip("\n")
    if secret not in raw:
        raw = event(feature_json={"question": "of THIS"})[1].decode().replace("THIS", secret)
    with closing(QueueWriter(tmp_path)) as queue:
        (replay,) = quarantine.replay([line(1, raw=raw.rstrip("\n"))], queue, now=NOW)
    assert replay.verdict == "replayed"
    (file,) = tmp_path.glob("*.ndjson")
    record = parse_line(file.read_bytes())
    assert record["feature_json"]["question"].startswith("of [secret:")

    def refuse(*_: Any) -> Any:
        raise InvalidField("feature_json", "too large", "64 KiB")

    monkeypatch.setattr(module, "without_credentials", refuse)
    with closing(QueueWriter(tmp_path)) as queue:
        (replay,) = quarantine.replay([line(2)], queue, now=NOW)
    assert (replay.verdict, (replay.detail or "")[:12]) == ("still_refused", "feature_json")


def test_all_that_were_not_marked_are_discarded(
    quarantine: Quarantine, state: sqlite3.Connection
) -> None:
    lines = [line(1), line(2, action="discarded"), line(3)]
    assert quarantine.discard(lines, now=NOW) == 2
    rows = state.execute("select quarantine_id, action, at from quarantine_marks").fetchall()
    assert sorted(rows) == [("q1", "discarded", NOW), ("q3", "discarded", NOW)]
    assert quarantine.discard([], now=NOW) == 0
