"""The worker follows histories while capture is on, and only then."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from cdesk.core.config import CaptureSettings, Settings, load_settings
from cdesk.core.errors import QueueWriteError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock, is_held
from cdesk.queue.writer import QueueWriter
from cdesk_app.worker import following
from cdesk_app.worker.following import (
    COLD_SECONDS,
    DISCOVER_SECONDS,
    DUE_SECONDS,
    FULL_QUEUE,
    HOT_SECONDS,
    LOOK_SECONDS,
    OFF_POLL_SECONDS,
    POLL_SECONDS,
    Follower,
    capture_once,
)
from uploader.backlog import FILE_RECORDS, SHORT_QUEUE, BacklogWriter, HistoryBacklog
from uploader.capture import Look
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


# -- what it does with what it finds

NOW_NS = 1_769_860_800_000_000_000


class Looks:
    """Stands for Capture: what it was asked to look at, and what comes of it."""

    def __init__(self) -> None:
        self.files: list[Any] = []
        self.looked: list[tuple[list[str], float]] = []
        self.discovered = 0
        self.look_ = Look()
        self.error: OSError | None = None

    def discover(self) -> list[Any]:
        self.discovered += 1
        return self.files

    def look(self, files: list[Any], *, write: Callable[..., None], seconds: float) -> Look:
        self.looked.append(([file.path.name for file in files], seconds))
        if self.error is not None:
            raise self.error
        write(self.look_.lines)
        return self.look_


class Fake:
    """A follower of such a capture, on a clock of its own."""

    def __init__(self, home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.folder = home.root.parent / "histories"
        self.folder.mkdir()
        self.elsewhere = home.root.parent / "elsewhere"
        self.capture = Looks()
        self.wanted = CaptureSettings(enabled=True)
        self.taken_up: list[CaptureSettings] = []
        self.asked: list[Any] = []
        self.depth, self.seconds = 0, 5_000.0
        queue: Any = SimpleNamespace(append=self.asked.append)
        self.follower = Follower(
            Settings(home=home.root, customer="ada"),
            home,
            queue,
            depth=lambda: self.depth,
            notify=lambda: self.asked.append("notified"),
            monotonic=lambda: self.seconds,
        )
        clock = SimpleNamespace(time_ns=lambda: NOW_NS, monotonic=time.monotonic)
        monkeypatch.setattr(following, "time", clock)
        monkeypatch.setattr(self.follower, "_wanted", lambda: self.wanted)
        monkeypatch.setattr(self.follower, "_take_up", self._take_up)
        places = SimpleNamespace(code=[self.elsewhere], desktop=[])
        monkeypatch.setattr("uploader.histories.local_histories", lambda _: places)

    def _take_up(self, wanted: CaptureSettings) -> None:
        self.taken_up.append(wanted)
        self.follower._capture = self.capture  # type: ignore[assignment]
        self.follower._following = wanted

    def put(self, name: str, *, age: float, text: str = "") -> Path:
        """A file of a history that was last written to so long ago."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        when = NOW_NS - int(age * 1e9)
        os.utime(path, ns=(when, when))
        if path not in [file.path for file in self.capture.files]:
            self.capture.files.append(SimpleNamespace(path=path))
        return path

    def looked(self) -> list[str] | None:
        """The names of the files that were looked at since the last time; None: nothing was."""
        found = self.capture.looked[-1][0] if self.capture.looked else None
        self.capture.looked.clear()
        return found


@pytest.fixture
def fake(state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> Fake:
    return Fake(state_home, monkeypatch)


def test_files_are_looked_at_the_more_seldom_the_longer_nobody_wrote_to_them(fake: Fake) -> None:
    ages = {
        "hot": 10.0,
        "just hot": HOT_SECONDS,
        "quiet": HOT_SECONDS + 1,
        "gone": 10.0,
        "just quiet": COLD_SECONDS,
        "cold": COLD_SECONDS + 1,
        "last": 20.0,
    }
    for name, age in ages.items():
        fake.put(name, age=age)
    fake.follower.turn()
    fake.looked()
    (fake.folder / "gone").unlink()
    seen: dict[str, list[int]] = {name: [] for name in ages}
    for turn in range(2, 26):
        for name, age in ages.items():
            if name != "gone":
                fake.put(name, age=age, text="x" * turn)
        fake.seconds += 1.5
        fake.follower.turn()
        found = fake.looked() or []
        for name in found:
            seen[name].append(turn)
    every = [*range(2, 26)]
    assert seen == {
        "hot": every,
        "just hot": every,
        "quiet": [turn for turn in every if turn % 3 == 2],
        "gone": [],
        "just quiet": [turn for turn in every if turn % 3 == 4 % 3],
        "cold": [turn for turn in every if turn % 12 == 5],
        "last": every,
    }


def test_the_newest_files_come_first(fake: Fake) -> None:
    for name, age in (("a", 30.0), ("b", 10.0), ("c", 20.0)):
        fake.put(name, age=age)
    fake.follower.turn()
    assert fake.looked() == ["b", "c", "a"]


def test_files_are_discovered_once_a_minute_and_where_a_folder_has_changed(fake: Fake) -> None:
    fake.put("a", age=10.0)
    fake.follower.turn()
    assert fake.capture.discovered == 1
    assert fake.follower._folders.keys() == {
        fake.folder,
        fake.folder.parent,
        fake.folder.parent.parent,
        fake.elsewhere,
    }
    fake.seconds += DISCOVER_SECONDS - 1
    fake.follower.turn()
    assert fake.capture.discovered == 1
    fake.seconds += 1
    fake.follower.turn()
    assert fake.capture.discovered == 2
    fake.elsewhere.mkdir()
    fake.follower.turn()
    assert fake.capture.discovered == 3, "where nothing was before"
    fake.follower.turn()
    assert fake.capture.discovered == 3


def test_looking_goes_by_what_is_wanted_now(fake: Fake) -> None:
    fake.put("a", age=10.0)
    fake.follower.turn()
    fake.follower.turn()
    assert fake.taken_up == [fake.wanted]
    fake.wanted = replace(fake.wanted, include_text=True)
    fake.follower.turn()
    assert fake.taken_up[1:] == [fake.wanted]
    fake.wanted = replace(fake.wanted, enabled=False)
    assert fake.follower.turn() == OFF_POLL_SECONDS
    assert (fake.follower._capture, fake.follower._following) == (None, None)
    fake.wanted = replace(fake.wanted, enabled=True)
    fake.follower.turn()
    assert len(fake.taken_up) == 3


def test_a_full_queue_and_somebody_else_who_looks_are_waited_for(fake: Fake) -> None:
    fake.put("a", age=10.0)
    fake.depth = FULL_QUEUE + 1
    assert fake.follower.turn() == POLL_SECONDS
    assert fake.looked() is None
    fake.depth = FULL_QUEUE
    with FileLock(fake.home.root / "capture.lock"):
        assert fake.follower.turn() == POLL_SECONDS
    assert fake.looked() is None
    assert fake.follower.turn() == POLL_SECONDS
    assert fake.capture.discovered == 1
    assert fake.looked() == ["a"]
    assert not is_held(fake.home.root / "capture.lock")


def test_what_was_held_back_is_looked_at_twice_a_minute(fake: Fake) -> None:
    path = fake.put("a", age=10.0)
    fake.capture.look_ = Look(failed=[path])
    fake.follower.turn()
    assert fake.capture.looked == [(["a"], LOOK_SECONDS)]
    fake.looked()
    fake.seconds += DUE_SECONDS - 1
    assert fake.follower.turn() == POLL_SECONDS
    assert fake.looked() is None
    fake.seconds += 1
    fake.capture.look_ = Look()
    fake.follower.turn()
    assert fake.looked() == ["a"], "which could not be read"
    fake.seconds += DUE_SECONDS
    fake.follower.turn()
    assert fake.looked() == [], "for what was held back alone"
    fake.put("a", age=10.0, text="more")
    fake.follower.turn()
    assert fake.looked() == ["a"]
    fake.seconds += DUE_SECONDS - 1
    fake.follower.turn()
    assert fake.looked() is None, "half a minute after the last look"


def test_what_is_new_is_written_told_and_gone_on_with(
    fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fake.put("a", age=10.0)
    fake.capture.look_ = Look(lines=[b"one", b"two"], files=1, behind_bytes=7, more=True)
    assert fake.follower.turn() == 0.05
    assert fake.asked == [b"one", b"two", "notified"]
    (told,) = [one for one in caplog.records if one.message == "captured"]
    assert told.facts == {"records": 2, "files": 1, "behind": 7}  # type: ignore[attr-defined]
    fake.capture.look_ = Look()
    fake.looked()
    assert fake.follower.turn() == POLL_SECONDS
    assert fake.looked() == ["a"], "which was not read to its end"
    assert fake.asked[3:] == [], "nothing was new"
    fake.capture.error = OSError("gone")
    fake.put("a", age=10.0, text="more")
    with pytest.raises(OSError, match="gone"):
        fake.follower.turn()
    assert not is_held(fake.home.root / "capture.lock")


def test_a_look_that_fails_is_put_off_the_longer_the_more_of_them(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower, steps = fake.follower, list[Any]()
    outcomes: list[Any] = [
        QueueWriteError("full"),
        ZeroDivisionError("no"),
        OSError("away"),
        1.5,
        OSError("away"),
        ZeroDivisionError("no"),
    ]

    def turn() -> float:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return float(outcome)

    def wait(pause: float) -> bool:
        steps.append(pause)
        if not outcomes:
            follower._stop.set()
        return False

    monkeypatch.setattr(follower, "turn", turn)
    monkeypatch.setattr(follower, "_let_go", lambda: steps.append("let go"))
    monkeypatch.setattr(follower, "_keep_error", steps.append)
    monkeypatch.setattr(follower._stop, "wait", wait)
    follower._run()
    log = "see the worker's log"
    assert steps == [
        *("let go", "full", 5.0, "let go", log, 10.0, "let go", "away", 20.0),
        *(1.5, "let go", "away", 5.0, "let go", log, 10.0),
        "let go",
    ]


def test_what_follows_ends_when_it_is_told_to(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = threading.Event()
    gave_way: list[str] = []

    def turn() -> float:
        looked.set()
        return 3_600.0

    monkeypatch.setattr(fake.follower, "turn", turn)
    monkeypatch.setattr(
        following, "give_way_here", lambda: gave_way.append(threading.current_thread().name)
    )
    assert fake.follower._thread.daemon
    fake.follower.start()
    assert looked.wait(60)
    assert gave_way == ["capture"], "not every system lets a thread inherit that"
    fake.follower.close()
    assert not fake.follower._thread.is_alive()
    other = Follower(
        Settings(home=fake.home.root, customer="ada"),
        fake.home,
        fake.follower._queue,
        depth=lambda: 0,
        notify=lambda: None,
    )
    other.close()
    assert not other._thread.is_alive(), "it was never started"


class Store:
    """Stands for CaptureStore."""

    closed = 0

    def __init__(self, path: Path) -> None:
        self.path = path

    def close(self) -> None:
        Store.closed += 1


def test_what_is_taken_up_begins_anew_and_what_was_there_is_let_go(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr("uploader.capture_store.CaptureStore", Store)
    monkeypatch.setattr(Store, "closed", 0)
    monkeypatch.setattr(following, "_capture_into", lambda *of: made.append(of) or len(made))
    settings = Settings(home=state_home.root, customer="ada")

    def earlier() -> tuple[()]:
        return ()

    queue: Any = None
    follower = Follower(
        settings, state_home, queue, depth=int, notify=lambda: None, earlier=earlier
    )
    follower._files, follower._failed = {Path("a"): made}, [Path("a")]  # type: ignore[dict-item]
    wanted = CaptureSettings(enabled=True)
    follower._take_up(wanted)
    ((store, *given),) = made
    assert store.path == state_home.capture
    assert given == [settings, earlier]
    assert (follower._capture, follower._following, follower._store) == (1, wanted, store)
    assert (follower._files, follower._failed) == ({}, [])
    follower._take_up(wanted)
    assert (Store.closed, follower._capture) == (1, 2)
    follower._let_go()
    assert (Store.closed, follower._capture, follower._store) == (2, None, None)


def test_a_capture_is_of_the_person_and_leaves_out_what_they_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Any] = []
    monkeypatch.setattr("uploader.capture.Capture", lambda *of, **how: made.append((of, how)))
    monkeypatch.setattr("uploader.histories.local_histories", lambda environ: (environ,))
    settings = Settings(
        home=tmp_path,
        customer="ada",
        environ={"HOME": "h"},
        capture=CaptureSettings(enabled=True, include_text=True, exclude=("secret",)),
    )
    store: Any = "store"
    following._capture_into(store, settings, tuple)
    how = {"customer": "ada", "include_text": True, "exclude": ("secret",), "earlier": tuple}
    assert made == [(("store", [({"HOME": "h"},)]), how)]


def test_one_look_writes_what_it_finds_where_nobody_else_looks(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    asked: list[Any] = []

    class All:
        def discover(self) -> list[str]:
            return ["a file"]

        def look(self, files: Any, *, write: Callable[..., None], most_records: int) -> Look:
            asked.append((files, most_records))
            write([b"one", b"two"])
            return Look(lines=[b"one", b"two"])

    monkeypatch.setattr("uploader.capture_store.CaptureStore", Store)
    monkeypatch.setattr(Store, "closed", 0)
    monkeypatch.setattr(following, "_capture_into", lambda *of: asked.append(of[1:]) or All())
    settings = Settings(home=state_home.root, customer="ada")
    queue: Any = SimpleNamespace(append=written.append)
    lock = FileLock(state_home.root / "capture.lock")
    with lock:
        assert capture_once(settings, state_home, queue) == 0
    assert (written, asked) == ([], [])
    assert capture_once(settings, state_home, queue, earlier=list, most_records=7) == 2
    assert written == [b"one", b"two"]
    assert asked == [(settings, list), (["a file"], 7)]
    assert Store.closed == 1
    assert not is_held(lock.path)


def test_a_folder_that_is_missing_has_no_time(tmp_path: Path) -> None:
    assert following._changed_at(tmp_path / "nowhere") == 0
