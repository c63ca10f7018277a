"""What histories say comes in once, exact to the token, whatever copies there are of it and in
whatever order they come.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdesk.contract.records import Record, parse_line
from tests.declared import assert_declared
from uploader.capture import Capture, Look
from uploader.capture_pool import Batch, BatchRead, OneReader, Readers, ReadingPool, read_batch
from uploader.capture_reading import excluder
from uploader.capture_store import CaptureStore, told_content, told_content_of
from uploader.earlier_imports import as_readers_see
from uploader.histories import Histories, histories_in
from uploader.sources.facts import AFTERTHOUGHT, milliseconds
from uploader.sources.folders import LINK
from uploader.sources.places import platform_places
from uploader.sources.protocol import Findings, HistoryFile
from uploader.sources.sample import Truth, write_history

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SESSION = "0b6f0f6e-0000-4000-8000-000000000001"


class Stream:
    """What `events` would hold after the lines that captures wrote, in the order given."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, lines: Sequence[bytes]) -> None:
        self.lines += lines

    def rows(self) -> dict[str, dict[str, Any]]:
        """id → the record, as its latest revision has it."""
        events: dict[str, dict[str, Any]] = {}
        revisions: dict[str, dict[str, Any]] = {}
        for line in self.lines:
            record = parse_line(line)
            if record["kind"] == "event":
                assert events.setdefault(record["id"], record) == record, "no conflict of ids"
            else:
                known = revisions.get(record["replaces"])
                if known is None or record["revision"] > known["revision"]:
                    revisions[record["replaces"]] = record
        for id_, revision in revisions.items():
            known = events[id_]
            for name in ("customer", "activity", "ts", "source_system"):
                assert revision[name] == known[name]
            for name in ("feature_json", "session_id"):
                known[name] = revision[name]
        for record in events.values():
            assert_declared(record["activity"], record["feature_json"])
        return events

    def of(self, activity: str) -> list[dict[str, Any]]:
        found = [row for row in self.rows().values() if row["activity"] == f"cdesk.{activity}"]
        return sorted(found, key=lambda row: (row["ts"], row["id"]))


def look_at(
    folder: Path, *sources: Any, now: datetime = NOW, **options: Any
) -> tuple[Stream, Look]:
    """One look with a store of its own at all that the sources hold."""
    stream = Stream()
    with closing(CaptureStore(folder / "capture.db")) as store:
        capture = Capture(store, sources, customer="ada", now=lambda: now, **options)
        look = capture.look(capture.discover(), write=stream.write)
    return stream, look


class Lines:
    """Lines as one file, by themselves."""

    name = "lines"

    def __init__(self, path: Path, *lines: dict[str, Any] | bytes) -> None:
        self.path = path
        self.append(*lines)

    def append(self, *lines: dict[str, Any] | bytes) -> None:
        with self.path.open("ab") as file:
            for line in lines:
                file.write(line if isinstance(line, bytes) else orjson.dumps(line) + b"\n")

    def discover(self, findings: Findings) -> list[HistoryFile]:
        del findings
        return [HistoryFile(self.path, "claude_code", "claude_code")]


def user(text: str, second: float = 0, **more: Any) -> dict[str, Any]:
    message = {"role": "user", "content": text}
    return envelope("user", second, message=message, **more)


def envelope(kind: str, second: float, **more: Any) -> dict[str, Any]:
    at = NOW - timedelta(hours=3) + timedelta(seconds=second)
    return {
        "type": kind,
        "uuid": f"u{second}",
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "sessionId": SESSION,
        "cwd": "/home/ada/work/atlas",
        **more,
    }


def answer(
    second: float, *, output: int, id: str | None = "msg_1", text: str = "Hello", **more: Any
) -> dict[str, Any]:
    usage = {"input_tokens": 5, "output_tokens": output, "cache_read_input_tokens": 100}
    message: dict[str, Any] = {"role": "assistant", "model": "claude-sonnet-4-5", "usage": usage}
    message["content"] = [{"type": "text", "text": text}]
    if id:
        message["id"] = id
    return envelope("assistant", second, message=message, **{"requestId": "req_1", **more})


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """A month in all forms."""
    root = tmp_path_factory.mktemp("sample")
    return root, write_history(root, responses=300, end=NOW - timedelta(hours=6), seed=5)


def sources_of(root: Path) -> Histories:
    places = platform_places({"HOME": str(root)}, platform="linux")
    return Histories(places.code, places.desktop)


def counted(stream: Stream) -> dict[tuple[str, str], dict[str, int]]:
    names = {
        "input_tokens": "input_tokens",
        "output_tokens": "output_tokens",
        "cache_read_tokens": "cache_read_input_tokens",
        "cache_creation_tokens": "cache_creation_input_tokens",
    }
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(Counter)
    for row in stream.of("claude_responded"):
        features = row["feature_json"]
        day = found[row["ts"][:10], features["model"]]
        day["responses"] += 1
        for ours, theirs in names.items():
            day[theirs] += features[ours]
    return {key: dict(value) for key, value in found.items()}


def test_a_response_counts_once_with_its_final_usage_wherever_its_copies_lie(
    sample: tuple[Path, Truth], tmp_path: Path
) -> None:
    root, truth = sample
    stream, look = look_at(tmp_path, sources_of(root))
    assert counted(stream) == truth.by_day
    assert len(stream.of("user_asked")) == truth.questions
    assert not look.unknown
    assert not look.bad_lines
    assert {row["source_system"] for row in stream.of("claude_responded")} == {
        "claude_code",
        "cowork",
    }
    assert all(parse_line(line)["kind"] == "event" for line in stream.lines), (
        "one look, no revision"
    )


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_it_comes_to_the_same_in_any_order_of_arrival(
    sample: tuple[Path, Truth], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """File by file in any order, some of them in two parts, some twice."""
    root, truth = sample
    folder = tmp_path_factory.mktemp("order")
    findings = Findings()
    files = data.draw(st.permutations(list(sources_of(root).discover(findings))))
    stream = Stream()
    with closing(CaptureStore(folder / "capture.db")) as store:
        if data.draw(st.booleans()):
            store.note_keys()
        capture = Capture(store, [], customer="ada", now=lambda: NOW)
        for start in range(0, len(files), 40):
            part = files[start : start + 40]
            capture.look(part, write=stream.write, most_records=data.draw(st.integers(30, 400)))
        if data.draw(st.booleans()):
            store.forget_places()
            capture = Capture(store, [], customer="ada", now=lambda: NOW)
        look = capture.look(files, write=stream.write, most_records=10**9)
        assert not look.more
        again = capture.look(files, write=stream.write)
        assert again.lines == []
    assert counted(stream) == truth.by_day
    assert len(stream.of("user_asked")) == truth.questions
    stream.rows()


class Pickled(ReadingPool):
    """The other processes' work done here, with all that passes between them pickled."""

    def read(self, batches: Iterable[Batch]) -> Iterator[BatchRead]:
        for batch in batches:
            given: Batch = pickle.loads(pickle.dumps(batch))
            read: BatchRead = pickle.loads(pickle.dumps(read_batch(given).pack()))
            yield read


def rows_by(
    folder: Path, root: Path, readers: Readers | None, *, most_records: int, exclude: Sequence[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """The stream by id, file by file or with readers of batches, and the problems counted."""
    stream = Stream()
    source = sources_of(root)
    with closing(CaptureStore(folder / f"{type(readers).__name__}.db")) as store:
        capture = Capture(store, [source], customer="ada", now=lambda: NOW, exclude=exclude)
        files = capture.discover()
        if readers is not None:
            store.note_keys()
            looks = capture.look_with(readers, files, write=stream.write, most_records=most_records)
            assert sum(look.read_bytes for look in looks) == truth_bytes(files)
        look = capture.look(files, write=stream.write, most_records=10**9, patient=False)
        assert readers is None or look.lines == []
        counts = store.counts("bad_lines") | store.counts("unknown")
    return stream.rows(), counts


def truth_bytes(files: Sequence[HistoryFile]) -> int:
    return sum(file.path.stat().st_size for file in files)


@pytest.mark.parametrize(
    ("exclude", "most_records"), [([], 300), (["atlas", "notes"], 10**9)], ids=["all", "some"]
)
def test_several_readers_come_to_what_one_comes_to(
    sample: tuple[Path, Truth],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exclude: Sequence[str],
    most_records: int,
) -> None:
    root, _ = sample
    monkeypatch.setattr("uploader.capture_pool._BATCH_BYTES", 20_000)
    options: dict[str, Any] = {"most_records": most_records, "exclude": exclude}
    one = rows_by(tmp_path, root, None, **options)
    assert rows_by(tmp_path, root, Pickled(), **options) == one
    assert rows_by(tmp_path, root, OneReader(), **options) == one


def test_readers_are_processes_and_their_death_leaves_the_work_to_this_one(
    sample: tuple[Path, Truth], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, truth = sample
    stream = Stream()
    with closing(CaptureStore(tmp_path / "capture.db")) as store:
        capture = Capture(store, [sources_of(root)], customer="ada", now=lambda: NOW)
        files = capture.discover()
        half, pool = files[: len(files) // 2], ReadingPool(1)
        [look] = capture.look_with(pool, half, write=stream.write, most_records=10**9)
        assert look.files == len(half)
        monkeypatch.setattr("uploader.capture_pool._begin", os.abort)
        [look] = capture.look_with(pool, files, write=stream.write, most_records=10**9)
        assert look.files == 0
        capture.look(files, write=stream.write, most_records=10**9)
    assert counted(stream) == truth.by_day


@given(
    first=st.integers(0, 2**37),
    apart=st.integers(0, 2**27),
    late=st.sampled_from(["", AFTERTHOUGHT]),
)
def test_milliseconds_between_times_are_exact(first: int, apart: int, late: str) -> None:
    start, end = (
        (NOW + timedelta(microseconds=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for number in (first, first + apart)
    )
    assert milliseconds(start, late + end) == apart / 1000


@given(
    session=st.text(max_size=5),
    features=st.dictionaries(
        st.text(max_size=5), st.integers(-(2**53), 2**53) | st.text(max_size=5)
    ),
)
def test_what_was_told_is_known_by_its_content_however_it_is_hashed(
    session: str, features: dict[str, Any]
) -> None:
    as_json = orjson.dumps(features, option=orjson.OPT_SORT_KEYS)
    assert told_content_of(orjson.dumps(session), as_json) == told_content(session, features)


def test_streamed_growth_is_one_answer_that_is_revised(tmp_path: Path) -> None:
    source = Lines(tmp_path / f"{SESSION}.jsonl", user("Hi"), answer(1, output=2))
    stream = Stream()
    with closing(CaptureStore(tmp_path / "capture.db")) as store:
        capture = Capture(store, [source], customer="ada", now=lambda: NOW)
        for output in (2, 40):
            source.append(answer(2, output=output, text=f"and {output}"))
            capture.look(capture.discover(), write=stream.write)
    (row,) = stream.of("claude_responded")
    features = row["feature_json"]
    assert (features["output_tokens"], features["input_tokens"]) == (40, 5)
    assert features["length"] == len("Hello") + len("and 2") + len("and 40")
    assert features["latency_ms"] == 1000
    assert [parse_line(line)["kind"] for line in stream.lines].count("revision") == 1


def test_answers_that_used_the_same_count_each(tmp_path: Path) -> None:
    """One behind the other, in lines that follow each other or that another answer parts."""
    ids = ("msg_1", "msg_1", "msg_2", "msg_1", "msg_3", None)
    lines = [
        answer(place, output=7, id=id, requestId=f"req_{id}", text=f"{place}")
        for place, id in enumerate(ids)
    ]
    stream, _ = look_at(tmp_path, Lines(tmp_path / f"{SESSION}.jsonl", *lines))
    told = [row["feature_json"] for row in stream.of("claude_responded")]
    assert [(one["input_tokens"], one["cache_read_tokens"]) for one in told] == [(5, 100)] * 4
    assert [one["output_tokens"] for one in told] == [7] * 4


@pytest.mark.parametrize("shown", [lambda record: record, as_readers_see])
def test_what_was_told_is_noted_anew_where_capture_db_is_lost(
    tmp_path: Path, shown: Callable[[Record], Record]
) -> None:
    """Else an answer that grew would be told once more, under an id that has another content. On
    Snowflake what was told comes back redacted.
    """
    path = tmp_path / f"{SESSION}.jsonl"
    token = "ghp_" + "a1B2" * 9
    asked = user(f"mail bob@example.org of {token}", 1)
    source, stream = Lines(path, asked, answer(2, output=3)), Stream()

    def look() -> int:
        earlier = [shown(parse_line(line)) for line in stream.lines]
        earlier.sort(key=lambda record: record["kind"])
        with closing(CaptureStore(tmp_path / "capture.db")) as store:
            capture = Capture(
                store,
                [source],
                customer="ada",
                include_text=True,
                now=lambda: NOW,
                earlier=lambda: earlier,
            )
            return len(capture.look(capture.discover(), write=stream.write).lines)

    assert look() > 0
    assert token.encode() not in b"".join(stream.lines)
    source.append(answer(4, output=30, text="Hello and more"))
    assert look() > 0
    for _ in range(2):
        (tmp_path / "capture.db").unlink()
        before = len(stream.lines)
        assert look() == 0, [orjson.loads(line) for line in stream.lines[before:]]
        assert look() == 0
    source.append(answer(6, output=300, text="and the end"))
    assert look() > 0
    [row] = stream.of("claude_responded")  # rows() refuses another content under one id
    assert row["feature_json"]["output_tokens"] == 300
    assert max(parse_line(line).get("revision", 0) for line in stream.lines) == 2


def test_an_answer_without_an_id_is_one_of_its_own_only_where_its_request_is_not_known(
    tmp_path: Path,
) -> None:
    nameless = answer(5, output=9, id=None, requestId="req_9")
    source = Lines(
        tmp_path / f"{SESSION}.jsonl",
        answer(1, output=2),
        answer(2, output=2, id=None),
        nameless,
        answer(6, output=7, id=None, requestId=None),
    )
    stream = Stream()
    with closing(CaptureStore(tmp_path / "capture.db")) as store:
        capture = Capture(store, [source], customer="ada", now=lambda: NOW)
        capture.look(capture.discover(), write=stream.write)
        tokens = [row["feature_json"].get("output_tokens") for row in stream.of("claude_responded")]
        assert tokens == [2, None, 9, 7]
        source.append(answer(7, output=9, id="msg_9", requestId="req_9"))
        capture.look(capture.discover(), write=stream.write)
    rows = stream.of("claude_responded")
    assert [row["feature_json"].get("output_tokens") for row in rows] == [2, None, None, 7, 9]
    assert [row["feature_json"].get("is_repeated", False) for row in rows] == [
        False, True, True, False, False,
    ]  # fmt: skip


def test_what_is_no_question_is_none(tmp_path: Path) -> None:
    blocks = [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]
    stream, _ = look_at(
        tmp_path,
        Lines(
            tmp_path / f"{SESSION}.jsonl",
            user("A real one", 1),
            user("<command-name>/compact</command-name><command-args></command-args>", 2),
            user("<local-command-stdout>done</local-command-stdout>", 3),
            user("Base directory for this skill: /x", 4),
            user("injected", 5, isMeta=True),
            user("summed up", 6, isCompactSummary=True),
            user("[Request interrupted by user for tool use]", 7),
            envelope("user", 8, message={"role": "user", "content": blocks}),
            user("do this", 9, isSidechain=True, agentId="a1"),
        ),
    )
    asked = [row["feature_json"] for row in stream.of("user_asked")]
    assert [features.get("slash_command") for features in asked] == [None, "compact"]
    assert "question" not in asked[0]
    (error,) = stream.of("error_encountered")
    assert error["feature_json"]["error_code"] == "interrupted"
    assert [row["feature_json"]["agent"] for row in stream.of("agent_started")] == ["a1"]


def test_a_synthetic_message_is_an_error_and_costs_nothing(tmp_path: Path) -> None:
    line = answer(1, output=3, text="API Error: Rate limit reached", isApiErrorMessage=True)
    line["message"]["model"] = "<synthetic>"
    stream, _ = look_at(tmp_path, Lines(tmp_path / f"{SESSION}.jsonl", line))
    assert stream.of("claude_responded") == []
    (error,) = stream.of("error_encountered")
    assert error["feature_json"]["error_code"] == "rate_limit"
    assert "Rate limit reached" not in str(error)


def test_a_call_and_its_result_are_one_with_the_time_between(tmp_path: Path) -> None:
    use = {"type": "tool_use", "id": "t1", "name": "Edit"}
    use["input"] = {"file_path": "/home/ada/secret/a.PY", "old_string": "x\n", "new_string": "y\nz"}
    call = answer(1, output=3)
    call["message"]["content"] = [use]
    other = json.loads(json.dumps(call))
    other["message"]["content"] = [
        {"type": "tool_use", "id": "t2", "name": "mcp__cdesk__log_event", "input": {}}
    ]
    other["message"]["id"] = "msg_2"
    logged = "0190a5f0-0000-7000-8000-000000000000"
    results = [
        {"type": "tool_result", "tool_use_id": "t1", "content": "ok"},
        {"type": "tool_result", "tool_use_id": "t2", "is_error": False,
         "content": [{"type": "text", "text": json.dumps({"activity_id": logged})}]},
    ]  # fmt: skip
    done = envelope("user", 3.5, message={"role": "user", "content": results})
    stream, _ = look_at(tmp_path, Lines(tmp_path / f"{SESSION}.jsonl", call, other, done))
    first, second = (row["feature_json"] for row in stream.of("tool_called"))
    if first["tool"] != "Edit":
        first, second = second, first
    assert (first["latency_ms"], first["outcome"]) == (2500, "ok")
    assert (first["lines_added"], first["lines_removed"]) == (2, 1)
    assert (second["server"], second["logged_activity_id"]) == ("cdesk", logged)
    (written,) = stream.of("file_written")
    assert (written["feature_json"]["file"], written["feature_json"]["kind"]) == ("a.PY", "py")
    assert "secret" not in str(stream.rows())


def test_a_call_waits_for_its_result_and_a_quiet_conversation_has_ended(tmp_path: Path) -> None:
    call = answer(1, output=3)
    call["message"]["content"] = [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}]
    source = Lines(tmp_path / f"{SESSION}.jsonl", call)
    now = NOW - timedelta(hours=3)
    stream = Stream()
    with closing(CaptureStore(tmp_path / "capture.db")) as store:
        capture = Capture(store, [source], customer="ada", now=lambda: now)
        capture.look(capture.discover(), write=stream.write)
        assert stream.of("tool_called") == stream.of("session_ended") == []
        now += timedelta(seconds=90)
        capture.look([], write=stream.write)
        assert "outcome" not in stream.of("tool_called")[0]["feature_json"]
        now += timedelta(hours=2)
        capture.look([], write=stream.write)
    assert len(stream.of("session_ended")) == 1


# -- files that change


def test_a_file_is_read_on_and_read_anew_where_it_was_rewritten(tmp_path: Path) -> None:
    source = Lines(tmp_path / f"{SESSION}.jsonl", user("one", 1), user("two", 2))
    stream = Stream()
    with closing(CaptureStore(tmp_path / "capture.db")) as store:
        capture = Capture(store, [source], customer="ada", now=lambda: NOW)

        def look() -> int:
            return capture.look(capture.discover(), write=stream.write).read_bytes

        assert look() == source.path.stat().st_size
        assert look() == 0
        half = orjson.dumps(user("three", 3))
        source.append(half[:20])
        look()
        source.append(half[20:], b"\n")
        assert look() < source.path.stat().st_size
        assert len(stream.of("user_asked")) == 3
        source.path.write_bytes(orjson.dumps(user("four", 4)) + b"\n")  # truncated
        look()
        moved = source.path.with_name("moved.jsonl")
        source.path.rename(moved)
        source.path = moved
        source.append(user("five", 5))
        assert look() < moved.stat().st_size, "read on under its new name"
        moved.unlink()
        look()
    assert [row["feature_json"]["length"] for row in stream.of("user_asked")] == [3, 3, 5, 4, 4]


def test_bad_input_is_counted_and_the_rest_comes_in(tmp_path: Path) -> None:
    root = tmp_path / "projects"
    (root / "slug").mkdir(parents=True)
    outside = Lines(tmp_path / "outside.jsonl", user("outside", 50))
    (root / "slug" / "link.jsonl").symlink_to(outside.path)
    passed_by = {"link.jsonl": LINK}
    if hasattr(os, "mkfifo"):
        os.mkfifo(root / "slug" / "pipe.jsonl")
        passed_by["pipe.jsonl"] = "no regular file"
    (root / "slug" / "empty.jsonl").touch()
    (root / "slug" / "foreign.jsonl").write_bytes(b"\xff\xfe\x00binary\n\x00\x00\n[1]\n")
    cycle = [user("cycle", n, uuid=f"c{n}", parentUuid=f"c{1 - n}") for n in (0, 1)]
    Lines(
        root / "slug" / "a.jsonl",
        user("fine", 1),
        b"{torn\n",
        b"\0\0\0\n",
        {"type": "no-such-type", "timestamp": "2026-01-01T00:00:00Z"},
        user("another", 2, brandNew=1),
        {**user("timeless", 3), "timestamp": "yesterday"},
        {**user("bare", 4), "message": None},
        orjson.dumps(user("latin", 5)).replace(b"latin", b"lat\xefn") + b"\n",
        orjson.dumps(user("future", 6)).replace(b"2026-", b"9999-") + b"\n",
        user("image " + "x" * 3_000_000, 7),
        *cycle,
        *cycle,
        user("half", 99) | {"message": {"role": "user", "content": 5}},
        b'{"type":"user","timestamp":"2026',
    )
    stream, look = look_at(tmp_path, Histories((root,), ()))
    lengths = sorted(row["feature_json"]["length"] for row in stream.of("user_asked"))
    assert lengths == sorted([4, 7, 5, 6, 3_000_006, 5, 5]), "and nothing from outside the tree"
    assert look.unknown == {"line type no-such-type": 1, "field brandNew of user": 1}
    assert sum(look.bad_lines.values()) == 6
    assert unread(root) == passed_by


def unread(root: Path) -> dict[str, str]:
    """What lies there and is passed by, by name."""
    findings = Findings()
    assert list(Histories((root,), ()).discover(findings))
    return {Path(path).name: what for path, what in findings.passed_by.items()}


def test_a_link_to_a_folder_is_named_and_leads_nowhere(tmp_path: Path) -> None:
    root, outside = tmp_path / "projects", tmp_path / "outside"
    for folder in (root, outside):
        (folder / "slug").mkdir(parents=True)
    Lines(root / "slug" / "a.jsonl", user("inside", 1))
    Lines(outside / "slug" / "b.jsonl", user("outside", 2))
    (root / "linked").symlink_to(outside)
    (root / "tool-results").symlink_to(outside)
    (root / "slug" / "note.txt").symlink_to(outside / "slug" / "b.jsonl")
    stream, _ = look_at(tmp_path, Histories((root,), ()))
    assert [row["feature_json"]["length"] for row in stream.of("user_asked")] == [len("inside")]
    assert unread(root) == {"linked": LINK}


@pytest.mark.parametrize(
    "odd", [True, -1, 1.5, 2**62, "12", "", [], ["a"], {}, {"a": {"b": None}}, None], ids=repr
)
def test_whatever_stands_in_a_field_what_comes_in_is_of_the_declared_types(
    tmp_path: Path, odd: Any
) -> None:
    usage = dict.fromkeys(
        (
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "service_tier",
            "speed",
        ),
        odd,
    )
    usage["cache_creation"] = {"ephemeral_5m_input_tokens": odd, "ephemeral_1h_input_tokens": odd}
    usage["server_tool_use"] = {"web_search_requests": odd}
    said = answer(2, output=3)
    said["message"] |= {"model": odd, "stop_reason": odd, "usage": usage}
    call = {"type": "tool_use", "id": "t1", "name": odd, "input": {"file_path": odd, "edits": odd}}
    said["message"]["content"] += [call, odd]
    patch = {"structuredPatch": [{"lines": odd}, odd]}
    result = {"type": "tool_result", "tool_use_id": "t1", "is_error": odd, "content": odd}
    more = {"agentId": odd, "entrypoint": odd, "version": odd, "forkedFrom": odd, "cwd": odd}
    source = Lines(
        tmp_path / f"{SESSION}.jsonl",
        {**user("hello", 1), **more},
        said,
        {**user("", 3, toolUseResult=patch), "message": {"role": "user", "content": [result]}},
        envelope("system", 4, subtype="compact_boundary", compactMetadata={"preTokens": odd}),
        envelope("rate_limit_event", 5, rate_limit_info={"status": odd}),
        {"type": "custom-title", "customTitle": odd, "sessionId": SESSION},
    )
    stream, look = look_at(tmp_path, source)
    assert {row["activity"] for row in stream.rows().values()} >= {"cdesk.claude_responded"}
    assert not look.left_out


def test_what_no_encoder_writes_stops_no_line(tmp_path: Path) -> None:
    """Halves of a surrogate pair, as a text that was cut in JavaScript ends with; kinds that are no
    names; bytes that are no UTF-8 in a field that nobody reads.
    """
    half = orjson.dumps(user("cut offXY", 1)).replace(b"XY", b"\\ud83d") + b"\n"
    said = answer(2, output=3)
    said["message"]["content"] += [{"type": ["text"]}, {"type": {}}]
    deep = orjson.dumps(user("deep", 3)).replace(b'"deep"', b"[" * 5_000 + b"]" * 5_000)
    unread = orjson.dumps(user("fine", 4, gitBranch="abc")).replace(b"abc", b"a\xefc") + b"\n"
    source = Lines(tmp_path / f"{SESSION}.jsonl", half, said, deep, b"\n", unread)
    stream, look = look_at(tmp_path, source)
    assert [row["feature_json"]["length"] for row in stream.of("user_asked")] == [8, 4]
    assert len(stream.of("claude_responded")) == 1
    assert look.unknown == {"block type dict": 2}
    assert look.bad_lines == {
        "a line that is no UTF-8, read all the same": 1,
        "a line that is no JSON": 1,  # nothing reads what is nested so deep
    }


def test_a_file_whose_name_is_no_utf8_names_its_session_all_the_same(tmp_path: Path) -> None:
    lines = {name: value for name, value in user("hello", 1).items() if name != "sessionId"}
    try:
        source = Lines(tmp_path / "a\udcff.jsonl", lines)
    except OSError:
        pytest.skip("the file system takes no such name")
    stream, look = look_at(tmp_path, source)
    assert [row["session_id"] for row in stream.of("user_asked")] == ["a?"]
    assert not look.left_out


def test_a_look_that_stops_in_the_middle_of_a_file_ends_no_conversation(tmp_path: Path) -> None:
    lines = [user("x" * 30_000, second) for second in range(20)]
    source, stream = Lines(tmp_path / f"{SESSION}.jsonl", *lines), Stream()
    looks = 1
    with closing(CaptureStore(tmp_path / "capture.db")) as store:
        capture = Capture(store, [source], customer="ada", now=lambda: NOW)
        while capture.look(capture.discover(), write=stream.write, most_records=1).more:
            looks += 1
    assert looks > 1
    [ended] = stream.of("session_ended")
    assert ended["feature_json"]["duration_ms"] == 19_000
    assert len(stream.of("user_asked")) == 20


def test_an_unreadable_folder_is_named(tmp_path: Path) -> None:
    class Refused(OSError):
        pass

    findings = Findings()
    findings.unreadable_entry(tmp_path, Refused(13, "Permission denied"))
    assert findings.unreadable == {str(tmp_path): "Permission denied"}


def test_a_line_beyond_all_measure_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.capture_reading.MOST_LINE_BYTES", 1_000)
    source = Lines(tmp_path / f"{SESSION}.jsonl", user("a", 1), user("x" * 5_000, 2), user("b", 3))
    stream, look = look_at(tmp_path, source)
    assert [row["feature_json"]["length"] for row in stream.of("user_asked")] == [1, 1]
    assert sum(look.bad_lines.values()) == 1


# -- consent, places


def test_text_stays_out_unless_it_is_asked_for_and_excluded_projects_altogether(
    tmp_path: Path,
) -> None:
    lines = (user("my question", 1), answer(2, output=3, text="my answer"))
    elsewhere = [{**line, "cwd": "/home/ada/private/diary", "sessionId": "s2"} for line in lines]
    source = Lines(tmp_path / "a.jsonl", *lines, *elsewhere)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    without, _ = look_at(tmp_path / "one", source, exclude=["/home/ada/private"])
    assert "my question" not in str(without.lines)
    assert "my answer" not in str(without.lines)
    assert {row["feature_json"]["project"] for row in without.rows().values()} == {"atlas"}
    with_text, _ = look_at(tmp_path / "two", source, include_text=True)
    texts = {row["feature_json"].get("question") for row in with_text.of("user_asked")}
    assert texts == {"my question"}
    assert with_text.of("claude_responded")[0]["feature_json"]["response"] == "my answer"


def test_nothing_of_an_excluded_project_comes_in_by_another_file(
    sample: tuple[Path, Truth], tmp_path: Path
) -> None:
    """Cowork's second stream names no folder."""
    root, _ = sample
    (tmp_path / "all").mkdir()
    everything, _ = look_at(tmp_path / "all", sources_of(root))
    wanted = {
        id_
        for id_, row in everything.rows().items()
        if row["feature_json"].get("project") not in ("atlas", "notes")
    }
    stream, _ = look_at(tmp_path, sources_of(root), exclude=["atlas", "notes"])
    rows = stream.rows()
    assert {row["feature_json"].get("project") for row in rows.values()} & {
        "atlas",
        "notes",
    } == set()
    assert rows.keys() == wanted


@pytest.mark.parametrize(
    ("pattern", "cwd", "is_excluded"),
    [
        ("diary", "/home/ada/diary", True),
        ("diary", "/home/ada/diary2", False),
        ("/home/ada", "/home/ada/x", True),
        ("/home/ada", "/home/adamant", False),
        ("C:\\work", "C:\\work\\x", True),
        ("secret-*", "/srv/secret-plan", True),
        ("*/clients/*", "/srv/clients/acme", True),
    ],
)
def test_a_project_is_excluded_by_name_path_or_pattern(
    pattern: str, cwd: str, is_excluded: bool
) -> None:
    assert excluder([pattern])(cwd) is is_excluded


def test_each_platform_has_its_folders(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    mac = platform_places(home, platform="darwin")
    assert mac.desktop == (tmp_path / "Library" / "Application Support" / "Claude",)
    assert mac.code[0] == tmp_path / ".claude" / "projects"
    packaged = tmp_path / "AppData" / "Local" / "Packages" / "Claude_abc"
    packaged.mkdir(parents=True)
    windows = platform_places({"USERPROFILE": str(tmp_path)}, platform="win32")
    assert windows.desktop == (
        tmp_path / "AppData" / "Roaming" / "Claude",
        packaged / "LocalCache" / "Roaming" / "Claude",
    )
    given = platform_places({**home, "CLAUDE_CONFIG_DIR": "/a, /b/projects"}, platform="linux")
    assert given.code == (Path("/a/projects"), Path("/b/projects"))


def test_a_folder_of_any_kind_is_recognised(sample: tuple[Path, Truth], tmp_path: Path) -> None:
    root, truth = sample
    for number, folder in enumerate((root, root / ".config", root / ".claude" / "projects")):
        source = histories_in(folder)
        assert source is not None
        (tmp_path / str(number)).mkdir()
        stream, _ = look_at(tmp_path / str(number), source)
        assert stream.of("claude_responded")
        if folder == root:
            assert counted(stream) == truth.by_day
    assert histories_in(tmp_path / "0") is None
    one = next((root / ".claude" / "projects").rglob("*.jsonl"))
    shutil.copy(one, tmp_path / "copy.jsonl")
    assert histories_in(tmp_path / "copy.jsonl") is not None
