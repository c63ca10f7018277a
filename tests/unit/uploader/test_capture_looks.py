"""One look: how much it reads, what it counts, and what it remembers when."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from cdesk.contract.records import parse_line
from cdesk.core.errors import QueueWriteError
from uploader.capture import Capture, Look
from uploader.capture_pool import Batch, BatchRead, OneReader, read_batch
from uploader.capture_records import Told
from uploader.capture_store import CaptureStore, LastRead
from uploader.sources.protocol import Findings, HistoryFile

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(second: float) -> str:
    return f"2026-03-01T09:00:{second:06.3f}Z"


def stamp(moment: datetime = NOW) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def asked(text: str, second: float = 1, session: str = "s1", **more: Any) -> bytes:
    line = {
        **{"type": "user", "timestamp": at(second), "sessionId": session, "cwd": "/srv/atlas"},
        **{"message": {"content": text}, **more},
    }
    return orjson.dumps({key: one for key, one in line.items() if one is not None}) + b"\n"


def answered(second: float, *, id: str | None, request: str, output: int, **more: Any) -> bytes:
    message: dict[str, Any] = {"content": [], "usage": {"output_tokens": output}, "model": "opus"}
    if id:
        message["id"] = id
    line = orjson.loads(asked("", second, **more))
    return (
        orjson.dumps({**line, "type": "assistant", "message": message, "requestId": request})
        + b"\n"
    )


class Follower:
    """Capture of the files of a folder, and what it wrote."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.lines: list[bytes] = []
        self.now = NOW
        self.clock = 100.0
        self.store = CaptureStore(folder / "capture.db")
        self.options = options
        self.capture = self.again()

    def again(self) -> Capture:
        """As a later process has it."""
        self.capture = Capture(
            self.store,
            [],
            customer="ada",
            now=lambda: self.now,
            monotonic=lambda: self.clock,
            **self.options,
        )
        return self.capture

    def file(self, name: str, *lines: bytes, audit: bool = False) -> HistoryFile:
        path = self.folder / f"{name}.jsonl"
        with path.open("ab") as file:
            file.write(b"".join(lines))
        return HistoryFile(path, "claude_code", "claude_code", audit=audit)

    def write(self, lines: Sequence[bytes]) -> None:
        self.lines += lines

    def look(self, *files: HistoryFile, **options: Any) -> Look:
        return self.capture.look(files, write=self.write, **options)

    def looks(self, *files: HistoryFile, **options: Any) -> list[Look]:
        given: dict[str, Any] = {"readers": OneReader(), **options}
        readers = given.pop("readers")
        return list(self.capture.look_with(readers, files, write=self.write, **given))

    @property
    def told(self) -> list[str]:
        records = [parse_line(line) for line in self.lines]
        return sorted(record["activity"].removeprefix("cdesk.") for record in records)


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[Follower]:
    own = Follower(tmp_path)
    yield own
    own.store.close()


# -- what a look says


def test_a_look_counts_what_is_told_and_from_when_to_when() -> None:
    look = Look()
    assert (look.first_ts, look.last_ts, look.more) == (None, None, False)
    assert (look.files, look.read_bytes, look.behind_bytes) == (0, 0, 0)
    look.add(
        [
            Told([("user_asked", "b", b"1"), ("tool_called", "c", b"2")], ["x: bad"]),
            Told([("user_asked", "a", b"3")], ["x: bad", "y: bad"]),
        ]
    )
    look.add([Told([("user_asked", "b", b"4")])])
    look.add([Told([], []), Told()])
    assert look.lines == [b"1", b"2", b"3", b"4"]
    assert look.records == {"user_asked": 3, "tool_called": 1}
    assert look.left_out == {"x: bad": 2, "y: bad": 1}
    assert (look.first_ts, look.last_ts) == ("a", "c")


@pytest.mark.parametrize("by_batches", [False, True])
def test_a_look_says_what_it_read_and_what_it_could_not(
    follower: Follower, by_batches: bool
) -> None:
    bad = (b"{torn\n", b'{"type":"novelty"}\n')
    files = [
        follower.file("a", asked("Hi", 2), *bad),
        follower.file("b", asked("Ho", 1, "s2"), *bad),
        HistoryFile(follower.folder / "gone.jsonl", "claude_code", "claude_code"),
    ]
    sizes = sum(file.path.stat().st_size for file in files[:2])
    (look,) = follower.looks(*files) if by_batches else [follower.look(*files)]
    assert (look.files, look.read_bytes, look.behind_bytes, look.more) == (2, sizes, 0, False)
    assert look.records == {"user_asked": 2, "session_started": 2, "session_ended": 2}
    assert look.unknown == {"line type novelty": 2}
    assert look.bad_lines == {"a line that is no JSON": 2}
    assert (look.first_ts, look.last_ts) == (
        "2026-03-01T09:00:01.000000Z",
        "2026-03-01T09:00:02.000000Z",
    )
    assert look.failed == []
    assert follower.store.counts("unknown") == {"line type novelty": 2}
    assert follower.store.counts("bad_lines") == {"a line that is no JSON": 2}
    assert follower.store.counts("records") == dict(look.records)
    assert follower.store.last_read() == LastRead(stamp())
    again = follower.looks(*files) if by_batches else [follower.look(*files)]
    assert [(one.files, one.read_bytes, one.lines) for one in again] == [(0, 0, [])]
    assert follower.store.counts("unknown") == {"line type novelty": 2}


@pytest.mark.parametrize("by_batches", [False, True])
def test_what_cannot_be_read_is_named_with_when_it_was_looked_at(
    follower: Follower, monkeypatch: pytest.MonkeyPatch, by_batches: bool
) -> None:
    file = follower.file("a", asked("Hi"))
    opened = Path.open

    def refuse(path: Path, *args: Any, **options: Any) -> Any:
        if path == file.path:
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **options)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "open", refuse)
        (look,) = follower.looks(file) if by_batches else [follower.look(file)]
    assert look.failed == [file.path]
    assert follower.store.last_read() == LastRead(stamp(), {str(file.path): "Permission denied"})
    assert follower.capture.discover() == []
    assert follower.capture.findings.unreadable == {}
    assert follower.look(file).records["user_asked"] == 1


def test_where_nothing_is_new_the_time_of_the_last_reading_stays(follower: Follower) -> None:
    file = follower.file("a", asked("Hi"))
    follower.look(file)
    follower.now += timedelta(hours=1)
    follower.look(file)
    assert follower.store.last_read().at == stamp()
    call = orjson.loads(asked(""))
    call |= {"type": "assistant", "timestamp": stamp(follower.now)}
    call["message"] = {"id": "m1", "content": [{"type": "tool_use", "id": "t1", "name": "Bash"}]}
    waiting = follower.file("b", orjson.dumps(call) + b"\n")
    follower.look(waiting)
    follower.now += timedelta(hours=2)
    follower.look()
    assert "tool_called" in follower.told
    assert follower.store.last_read().at == stamp(follower.now), "what was due was told"


def test_discovering_begins_anew(tmp_path: Path) -> None:
    class Source:
        name = "source"

        def discover(self, findings: Findings) -> Iterable[HistoryFile]:
            findings.passed_by[str(len(findings.passed_by))] = "a link"
            findings.unreadable[str(len(findings.unreadable))] = "denied"
            return [HistoryFile(tmp_path / "a.jsonl", "claude_code", "claude_code")]

    with closing(CaptureStore(tmp_path / "capture.db")) as store:
        capture = Capture(store, [Source(), Source()], customer="ada")
        for _ in range(2):
            assert len(capture.discover()) == 2
            assert capture.findings.passed_by == {"0": "a link", "1": "a link"}
            assert capture.findings.unreadable == {"0": "denied", "1": "denied"}


# -- how much


def test_a_look_ends_where_it_has_enough_and_says_what_is_left(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records are what is known, a conversation among them."""
    monkeypatch.setattr("uploader.capture_reading._CHUNK", 64)
    lines = [asked("x" * 60, number) for number in range(3)]
    files = [follower.file("a", *lines), follower.file("b", asked("other", 9, "s2"))]
    sizes = [file.path.stat().st_size for file in files]
    steps: list[int] = []
    look = follower.look(*files, most_records=3, told=steps.append)
    assert look.more
    assert (look.files, look.read_bytes) == (1, 2 * len(lines[0]))
    assert look.behind_bytes == sizes[0] - look.read_bytes + sizes[1]
    assert sum(steps) == look.read_bytes
    assert follower.capture.behind(files) == look.behind_bytes
    rest = follower.look(*files, most_records=10)
    assert (rest.more, rest.behind_bytes, rest.files) == (False, 0, 2)
    assert follower.capture.behind(files) == 0
    gone = HistoryFile(follower.folder / "gone.jsonl", "claude_code", "claude_code")
    assert follower.capture.behind([gone]) == 0
    files[1].path.write_bytes(b"")
    assert follower.capture.behind(files) == 0, "a file that was cut owes nothing"


def test_a_look_ends_when_its_time_is_up(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.capture_reading._CHUNK", 64)
    lines = [asked("x" * 60, number) for number in range(4)]
    file = follower.file("a", *lines)

    def told(_: int) -> None:
        follower.clock += 1.0

    look = follower.look(file, seconds=2.0, told=told)
    assert (look.more, look.read_bytes) == (True, 3 * len(lines[0]))
    rest = follower.look(file, told=told)
    assert (rest.more, rest.read_bytes) == (False, len(lines[0]))


def test_batches_are_told_as_soon_as_there_is_enough(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.capture_pool._BATCH_BYTES", 1)
    files = [follower.file(f"f{number}", asked("Hi", number, f"s{number}")) for number in range(5)]
    for number, file in enumerate(files):
        os.utime(file.path, ns=(number, number))
    steps: list[int] = []
    looks = follower.looks(*files, most_records=4, told=steps.append)
    assert [look.files for look in looks] == [2, 2, 1]
    assert steps == [file.path.stat().st_size for file in files]
    assert [look.records["user_asked"] for look in looks] == [2, 2, 1]
    assert follower.look(*files).files == 0


def test_nothing_is_waited_for_in_batches(follower: Follower) -> None:
    call = orjson.loads(asked(""))
    call |= {"type": "assistant", "timestamp": stamp()}
    call["message"] = {"id": "m1", "content": [{"type": "tool_use", "id": "t1", "name": "Bash"}]}
    line = orjson.dumps(call) + b"\n"
    follower.look(follower.file("a", line))
    assert "tool_called" not in follower.told, "a look waits for its result"
    (look,) = follower.looks(follower.file("b", line.replace(b'"t1"', b'"t2"')))
    assert look.records["tool_called"] == 1
    follower.look(follower.file("c", line.replace(b'"t1"', b'"t3"')), patient=False)
    assert follower.told.count("tool_called") == 2


# -- what is remembered


def test_a_write_that_fails_leaves_nothing_remembered(follower: Follower) -> None:
    file = follower.file("a", asked("Hi"), b"{torn\n", b'{"type":"novelty"}\n')

    def full(_: Sequence[bytes]) -> None:
        raise QueueWriteError("no space")

    with pytest.raises(QueueWriteError):
        follower.capture.look([file], write=full)
    assert follower.store.places() == {}
    assert follower.store.counts("records") == follower.store.counts("bad_lines") == {}
    look = follower.look(file)
    assert (look.records["user_asked"], look.bad_lines.total(), look.unknown.total()) == (1, 1, 1)


def test_nothing_is_written_where_nothing_is_told(follower: Follower) -> None:
    def write(_: Sequence[bytes]) -> None:
        raise AssertionError

    file = follower.file("a", b'{"type":"attachment"}\n')
    look = follower.capture.look([file], write=write)
    assert (look.files, look.lines) == (1, [])
    assert follower.store.places().keys() == {str(file.path)}


@pytest.mark.parametrize("is_later", [False, True])
def test_a_file_that_was_moved_is_read_on_under_its_new_name(
    follower: Follower, is_later: bool
) -> None:
    file = follower.file("a", asked("Hi"))
    other = follower.file("b", asked("Ho", 1, "s2"))
    follower.look(file, other)
    moved = file.path.with_name("moved.jsonl")
    file.path.rename(moved)
    if is_later:
        follower.again()
    more = asked("more", 2)
    look = follower.look(follower.file("moved", more), other)
    assert look.read_bytes == (len(more) if os.name != "nt" else moved.stat().st_size)
    fresh = follower.look(follower.file("fresh", asked("new", 3, "s3")))
    assert fresh.read_bytes == len(asked("new", 3, "s3"))


def test_conversations_that_a_file_excludes_stay_excluded_for_the_next_process(
    tmp_path: Path,
) -> None:
    follower = Follower(tmp_path, exclude=("diary",))
    follower.look(follower.file("a", asked("Hi", cwd="/srv/diary")))
    follower.again()
    stream = follower.file("audit", asked("Hi", cwd=None), audit=True)
    follower.look(stream)
    (look,) = follower.looks(follower.file("b", asked("Hi", 5, cwd=None)))
    assert (look.files, look.lines, follower.lines) == (1, [], [])
    follower.store.close()


def test_batches_know_of_each_other_what_is_excluded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.capture_pool._BATCH_BYTES", 1)
    follower = Follower(tmp_path, exclude=("diary",))
    first = follower.file("a", asked("Hi", cwd="/srv/diary"))
    second = follower.file("b", asked("Ho", 5, cwd=None))
    os.utime(first.path, ns=(1, 1))
    looks = follower.looks(first, second)
    assert ([look.files for look in looks], follower.lines) == ([2], [])
    follower.store.close()


# -- what several files say of one thing


class Twice:
    """Reads what it is given, each batch by itself."""

    def read(self, batches: Iterable[Batch]) -> Iterator[BatchRead]:
        for batch in batches:
            for one in batch.files:
                yield read_batch(
                    Batch([one], batch.customer, batch.wanted, batch.now, set())
                ).pack()


def answers(follower: Follower) -> list[tuple[Any, Any]]:
    """(output tokens, whether it is a repetition) of each answer, as its last line has it."""
    found: dict[str, Any] = {}
    for line in follower.lines:
        record = parse_line(line)
        if record["activity"] == "cdesk.claude_responded":
            found[record.get("replaces") or record["id"]] = record["feature_json"]
    told = [(one.get("output_tokens"), one.get("is_repeated")) for one in found.values()]
    return sorted(told, key=str)


@pytest.mark.parametrize("knows_told", [False, True])
def test_one_answer_in_several_batches_is_told_once_with_its_most_tokens(
    tmp_path: Path, knows_told: bool
) -> None:
    earlier = [parse_line(line) for line in _told_elsewhere(tmp_path)] if knows_told else []
    follower = Follower(tmp_path, earlier=lambda: earlier)
    assert follower.store.knows_told is knows_told
    files = [
        follower.file(f"f{output}", answered(output, id="m1", request="q1", output=output))
        for output in (3, 9, 5)
    ]
    (look,) = follower.looks(*files, readers=Twice())
    assert look.records["claude_responded"] == 1
    assert answers(follower) == [(9, None)]
    follower.looks(follower.file("late", answered(1, id="m1", request="q1", output=20)))
    assert answers(follower) == [(20, None)]
    follower.store.close()


def _told_elsewhere(folder: Path) -> list[bytes]:
    """What another file told, of which nothing else is remembered."""
    other = Follower(folder)
    other.look(other.file("elsewhere", asked("Hi", 1, "s9")))
    other.store.close()
    (folder / "capture.db").unlink()
    return [line for line in other.lines if parse_line(line)["kind"] == "event"]


@pytest.mark.parametrize("by_batches", [False, True])
@pytest.mark.parametrize("order", ["together", "nameless first", "named first"])
def test_an_answer_without_an_id_repeats_the_one_of_its_request(
    follower: Follower, by_batches: bool, order: str
) -> None:
    named = follower.file("a", answered(1, id="m1", request="q1", output=7))
    nameless = follower.file("b", answered(2, id=None, request="q1", output=7))
    other = follower.file("c", answered(3, id=None, request="q2", output=8))

    def look(*files: HistoryFile) -> None:
        if by_batches:
            follower.looks(*files, readers=Twice())
        else:
            follower.look(*files)

    if order == "together":
        look(named, nameless, other)
    elif order == "named first":
        look(named, other)
        look(nameless)
    else:
        look(nameless, other)
        look(named)
    assert answers(follower) == [(7, None), (8, None), (None, True)]
