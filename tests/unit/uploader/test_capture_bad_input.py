"""Whatever stands in the way of reading a history is named in the status, and the rest comes in."""

from __future__ import annotations

import errno
import os
import shutil
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from cdesk.core.config import load_settings
from cdesk.core.errors import QueueWriteError, StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk_app.cli.capture import _lines
from cdesk_app.cli.status import capture_told
from tests.unit.uploader.test_capture import (
    NOW,
    SESSION,
    Lines,
    Stream,
    answer,
    envelope,
    look_at,
    user,
)
from uploader.capture import Capture
from uploader.capture_status import CaptureStatus, capture_status
from uploader.capture_store import CaptureStore
from uploader.histories import local_histories


class Computer:
    """Somebody's folders of histories and the state directory that follows them."""

    def __init__(self, root: Path) -> None:
        self.projects = root / "user" / ".claude" / "projects"
        self.home = StateDirectory(root / "state").ensure()
        self.environ = {
            "CDESK_HOME": str(self.home.root),
            "HOME": str(root / "user"),
            "USER": "ada",
            "CDESK_CAPTURE": "on",
        }
        self.stream = Stream()

    def history(self, name: str, *lines: Any) -> Path:
        path = self.projects / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return Lines(path, *lines).path

    def look(self, write: Callable[[Sequence[bytes]], None] | None = None) -> list[int]:
        """Look once; the lengths of all questions that came in so far."""
        with closing(CaptureStore(self.home.capture)) as store:
            source = local_histories(self.environ)
            capture = Capture(store, [source], customer="ada", now=lambda: NOW)
            capture.look(capture.discover(), write=write or self.stream.write)
        rows = self.stream.of("user_asked")
        return sorted(row["feature_json"]["length"] for row in rows)

    def status(self) -> CaptureStatus:
        return capture_status(load_settings(self.environ), self.home)


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def refuse(
    monkeypatch: pytest.MonkeyPatch, what: str, wanted: Path, error: int
) -> Callable[[], None]:
    """Let opening or listing `wanted` fail as a system does; what is returned mends it."""
    broken = {wanted}
    real_open, real_scan = Path.open, os.scandir

    def open_(self: Path, *args: Any, **options: Any) -> Any:
        if what == "open" and self in broken:
            raise OSError(error, os.strerror(error), str(self))
        return real_open(self, *args, **options)

    def scandir(path: Any) -> Any:
        if what == "list" and Path(path) in broken:
            raise OSError(error, os.strerror(error), str(path))
        return real_scan(path)

    monkeypatch.setattr(Path, "open", open_)
    monkeypatch.setattr("uploader.sources.folders.os.scandir", scandir)
    return broken.clear


@pytest.mark.parametrize("what", ["open", "list"])
@pytest.mark.parametrize("code", [errno.EACCES, errno.ESTALE, errno.ETIMEDOUT, errno.EIO])
def test_what_cannot_be_read_now_is_named_and_comes_in_as_soon_as_it_can(
    computer: Computer, monkeypatch: pytest.MonkeyPatch, what: str, code: int
) -> None:
    bad = computer.history("bad/a.jsonl", user("unreachable", 1))
    computer.history("good/b.jsonl", user("fine", 2))
    refused = bad if what == "open" else bad.parent
    mend = refuse(monkeypatch, what, refused, code)
    assert computer.look() == [4]
    status = computer.status()
    assert status.unreadable == {str(refused): os.strerror(code)}
    assert ("cannot be read", f"{refused} ({os.strerror(code)})") in _lines(status)
    assert "1 places that cannot be read" in capture_told(status)
    mend()
    assert computer.look() == [4, 11]
    assert not computer.status().unreadable


def test_a_line_of_a_quarter_of_a_gigabyte_is_read_within_little_memory(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.capture_reading.MOST_LINE_BYTES", 1024 * 1024)
    path = computer.history("big/a.jsonl", user("before", 1))
    with path.open("r+b") as file:
        file.truncate(1 << 28)  # sparse: one line of NULs
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + orjson.dumps(user("behind it", 2)) + b"\n")
    tracemalloc.start()
    assert computer.look() == [6, 9]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 1024 * 1024
    status = computer.status()
    assert dict(status.bad_lines) == {"a line of more than 1 MiB": 1}
    assert (status.behind_bytes, status.sessions) == (0, 1)


def test_an_endless_line_that_grows_is_not_read_again_from_its_start(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.capture_reading.MOST_LINE_BYTES", 1_000)
    path = computer.history("big/a.jsonl", user("before", 1), b"x" * 5_000)
    computer.look()
    assert computer.status().behind_bytes == 0
    with path.open("ab") as file:
        file.write(b"x\n" + orjson.dumps(user("behind it", 2)) + b"\n")
    assert computer.look() == [6, 9]


def test_a_line_with_an_image_of_fifty_megabytes_comes_in(computer: Computer) -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "A" * (50 * 1024 * 1024)}}
    said = user("look", 1)
    said["message"]["content"] = [{"type": "text", "text": "look"}, image]
    computer.history("image/a.jsonl", said)
    assert computer.look() == [4]
    assert computer.stream.of("user_asked")[0]["feature_json"]["attachments"] == 1
    assert not computer.status().bad_lines


def test_a_clock_that_jumps_makes_no_negative_times(tmp_path: Path) -> None:
    call = answer(-500, output=3, id="msg_2")
    call["message"]["content"] = [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}]
    done = [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]
    stream, look = look_at(
        tmp_path,
        Lines(
            tmp_path / f"{SESSION}.jsonl",
            user("now", 0),
            answer(-1_000, output=2),
            call,
            envelope("user", -900, message={"role": "user", "content": done}),
            {**user("the beginning", 5), "timestamp": "1970-01-01T00:00:00Z"},
        ),
    )
    assert len(stream.of("claude_responded")) == 2
    for row in stream.rows().values():
        for name in ("latency_ms", "duration_ms"):
            assert row["feature_json"].get(name, 0) >= 0
    assert not look.bad_lines


def test_two_accounts_on_one_computer_both_come_in(computer: Computer) -> None:
    desktop = computer.projects.parents[1] / ".config" / "Claude"
    for number, account in enumerate(("ada", "bob")):
        session = f"0b6f0f6e-0000-4000-8000-00000000000{number}"
        folder = desktop / "local-agent-mode-sessions" / "org" / account
        inside = folder / f"local_{number}" / ".claude" / "projects" / "slug"
        inside.mkdir(parents=True)
        lines = (user(f"of {account}", 1 + number, sessionId=session),)
        Lines(inside / f"{session}.jsonl", *lines)
        described = {"cliSessionId": session, "title": f"{account}'s"}
        (folder / f"local_{number}.json").write_bytes(orjson.dumps(described))
    assert len(computer.look()) == 2
    titles = {row["feature_json"]["title"] for row in computer.stream.of("session_started")}
    assert titles == {"ada's", "bob's"}
    assert computer.status().sources == {"cowork": 2}


def test_a_disk_that_is_full_loses_nothing_and_counts_nothing_twice(computer: Computer) -> None:
    computer.history("a/a.jsonl", user("kept", 1), {"type": "no-such-type"}, b"{torn\n")

    def full(_lines: Sequence[bytes]) -> None:
        raise QueueWriteError(os.strerror(errno.ENOSPC))

    with closing(CaptureStore(computer.home.capture)) as store:
        source = local_histories(computer.environ)
        capture = Capture(store, [source], customer="ada", now=lambda: NOW)
        with pytest.raises(QueueWriteError):
            capture.look(capture.discover(), write=full)
        capture.look(capture.discover(), write=computer.stream.write)
    status = computer.status()
    assert (dict(status.unknown), dict(status.bad_lines)) == (
        {"line type no-such-type": 1},
        {"a line that is no JSON": 1},
    )
    assert computer.look() == [4]


def test_what_capture_remembers_can_be_removed(computer: Computer) -> None:
    computer.history("a/a.jsonl", user("once", 1))
    computer.look()
    ids = set(computer.stream.rows())
    computer.home.capture.write_bytes(b"no database" * 100)
    for suffix in ("-wal", "-shm"):
        computer.home.capture.with_name(f"capture.db{suffix}").unlink(missing_ok=True)
    with pytest.raises(StateDirectoryError, match="removed, it is made anew"):
        computer.look()
    computer.home.capture.unlink()
    computer.look()
    assert set(computer.stream.rows()) == ids


def test_the_status_says_how_capture_stands(computer: Computer) -> None:
    path = computer.history("a/a.jsonl", user("one", 1), {"type": "no-such-type"})
    assert capture_told(computer.status()).startswith("on: 1 files (1 of claude_code), 0 B read")
    computer.look()
    said = capture_told(computer.status())
    assert "1 sessions, last read" in said
    assert "1 lines or fields of kinds that this version does not know" in said
    with path.open("ab") as file:
        file.write(orjson.dumps(user("two", 2)) + b"\n")
    assert "still to come" in capture_told(computer.status())
    with closing(CaptureStore(computer.home.capture)) as store:
        store.put_setting("error", "2026-03-01T12:00:00Z: No space left on device")
    said = capture_told(computer.status())
    assert said.endswith("12:00:00Z: No space left on device; see 'cdesk capture'")
    computer.look()
    assert computer.status().error is None
    computer.environ["CDESK_CAPTURE"] = "off"
    assert capture_told(computer.status()).startswith("off: ")
    shutil.rmtree(computer.projects)
    assert computer.status().sources == {}
