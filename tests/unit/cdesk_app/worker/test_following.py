"""The worker follows histories while capture is on, and only then."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from cdesk.core.config import load_settings
from cdesk.core.errors import QueueWriteError
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk_app.worker.following import (
    DUE_SECONDS,
    OFF_POLL_SECONDS,
    POLL_SECONDS,
    Follower,
)
from uploader.backlog import FILE_RECORDS, SHORT_QUEUE, BacklogWriter, HistoryBacklog
from uploader.capture_status import capture_status
from uploader.histories import histories_in, import_histories
from uploader.sources.sample import write_history


class Desk:
    """A home with a history, and what follows it, driven by hand."""

    def __init__(self, tmp_path: Path) -> None:
        self.user = tmp_path / "user"
        self.truth = write_history(
            self.user, responses=12, days=3, end=datetime.now(UTC) - timedelta(days=1)
        )
        self.home = StateDirectory(tmp_path / "state").ensure()
        environ = {"CDESK_HOME": str(self.home.root), "HOME": str(self.user), "USER": "ada"}
        self.settings = load_settings(environ)
        self.queue = QueueWriter(self.home.queue)
        self.depth = 0
        self.told = 0
        self.now = 0.0
        self.follower = Follower(
            self.settings,
            self.home,
            self.queue,
            depth=lambda: self.depth,
            notify=self._tell,
            monotonic=lambda: self.now,
        )

    def _tell(self) -> None:
        self.told += 1

    def switch(self, text: str) -> None:
        (self.home.root / "config.toml").write_text(f"[capture]\n{text}\n", encoding="utf-8")

    def turns(self, count: int = 1) -> list[float]:
        pauses = []
        for _ in range(count):
            self.now += 2.0
            pauses.append(self.follower.turn())
        return pauses

    def activities(self) -> list[str]:
        lines = [
            line for path in sorted(self.home.queue.glob("*.ndjson"))
            for line in path.read_bytes().splitlines()
        ]  # fmt: skip
        return [orjson.loads(line)["activity"] for line in lines]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.follower.close()
    made.queue.close()


def test_nothing_is_read_before_somebody_turns_it_on(desk: Desk) -> None:
    assert desk.turns(3) == [OFF_POLL_SECONDS] * 3
    assert not (desk.home.root / "capture.db").exists()
    desk.switch("enabled = true")
    desk.turns(3)
    assert desk.activities().count("cdesk.claude_responded") == desk.truth.responses
    desk.switch("enabled = false")
    assert desk.turns() == [OFF_POLL_SECONDS]


def test_a_line_more_is_seen_and_the_loop_is_woken(desk: Desk) -> None:
    desk.switch("enabled = true")
    desk.turns(3)
    told, before = desk.told, len(desk.activities())
    assert desk.turns(4) == [POLL_SECONDS] * 4
    assert (desk.told, len(desk.activities())) == (told, before)
    file = next((desk.user / ".claude").rglob("*.jsonl"))
    line = {"type": "user", "timestamp": "2026-02-01T00:00:00Z", "sessionId": "s", "cwd": "/w/x"}
    line["message"] = {"role": "user", "content": "again"}  # type: ignore[assignment]
    with file.open("ab") as stream:
        stream.write(orjson.dumps(line) + b"\n")
    new = file.parent.parent / "-w-new" / "s2.jsonl"
    new.parent.mkdir()
    new.write_bytes(orjson.dumps({**line, "sessionId": "s2", "timestamp": "2026-02-02T00:00:00Z"}))
    with new.open("ab") as stream:
        stream.write(b"\n")
    desk.turns(3)
    assert desk.told > told
    assert desk.activities()[before:].count("cdesk.user_asked") == 2


def test_a_long_queue_is_not_added_to(desk: Desk) -> None:
    desk.switch("enabled = true")
    desk.depth = 10_000
    desk.turns(2)
    assert desk.activities() == []
    desk.depth = 0
    desk.turns(2)
    assert desk.activities()


def test_what_was_imported_waits_until_the_queue_is_short(desk: Desk) -> None:
    source = histories_in(desk.user)
    assert source is not None
    report = import_histories(source, home=desk.home, customer="ada")
    assert report.records["claude_responded"] == desk.truth.responses
    backlog = HistoryBacklog(desk.home)
    assert (len(backlog.waiting()), desk.activities()) == (1, [])
    assert backlog.admit(SHORT_QUEUE) == 0
    assert backlog.admit(0) == 1
    assert len(desk.activities()) == report.added
    assert import_histories(source, home=desk.home, customer="ada").added == 0


def test_a_backlog_comes_in_a_part_at_a_time(desk: Desk) -> None:
    line = b'{"activity":"x"}\n'
    with closing(BacklogWriter(desk.home)) as writer:
        writer.write([line] * (FILE_RECORDS * 5))
    backlog = HistoryBacklog(desk.home)
    assert backlog.admit(0) == SHORT_QUEUE // FILE_RECORDS
    assert len(backlog.waiting()) == 5 - SHORT_QUEUE // FILE_RECORDS
    if os.name == "posix":
        assert {path.stat().st_mode & 0o77 for path in backlog.waiting()} == {0}


def test_a_file_that_was_out_of_reach_is_tried_again_without_a_change(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network drive that was away for a moment."""
    away = max((desk.user / ".claude").rglob("*.jsonl"))
    real = Path.open

    def open_(self: Path, *args: Any, **options: Any) -> Any:
        if self == away:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(self, *args, **options)

    desk.switch("enabled = true")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", open_)
        desk.turns(3)
    before = len(desk.activities())
    desk.turns(3)
    assert len(desk.activities()) == before, "not at each turn"
    desk.now += DUE_SECONDS
    desk.turns(1)
    assert len(desk.activities()) > before


def test_why_looking_fails_is_kept_for_the_status(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        desk.follower._stop.set()
        raise QueueWriteError("No space left on device")

    desk.switch("enabled = true")
    monkeypatch.setattr(desk.queue, "append", full)
    desk.follower._follow()
    error = capture_status(desk.settings, desk.home).error
    assert str(error).endswith("No space left on device")


def said(second: int) -> bytes:
    line: dict[str, Any] = {"type": "user", "sessionId": "s", "cwd": "/w/x"}
    line["timestamp"] = f"2026-02-01T00:00:{second:02}Z"
    line["message"] = {"role": "user", "content": "again"}
    return orjson.dumps(line) + b"\n"


def test_a_file_that_is_written_to_now_is_looked_at_each_turn(desk: Desk) -> None:
    file = min((desk.user / ".claude").rglob("*.jsonl"))
    file.touch()
    desk.switch("enabled = true")
    desk.turns(3)
    for second in range(3):
        before = len(desk.activities())
        with file.open("ab") as stream:
            stream.write(said(second))
        desk.turns(1)
        assert len(desk.activities()) > before, second


def test_a_file_that_was_quiet_for_weeks_is_looked_at_within_twelve_turns(desk: Desk) -> None:
    files = sorted((desk.user / ".claude").rglob("*.jsonl"))
    month_ago = time.time() - 30 * 86_400
    for file in files:
        os.utime(file, (month_ago, month_ago))
    desk.switch("enabled = true")
    desk.turns(3)
    before = len(desk.activities())
    with files[-1].open("ab") as stream:
        stream.write(said(0))
    os.utime(files[-1], (month_ago + 60, month_ago + 60))
    desk.turns(12)
    assert len(desk.activities()) > before
