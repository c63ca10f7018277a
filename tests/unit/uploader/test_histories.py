"""What bringing histories in says of them."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cdesk.contract.records import Record, parse_line
from cdesk.core.errors import InvalidField, StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from tests.unit.uploader.test_capture import Lines, answer, user
from uploader import capture_records
from uploader import histories as module
from uploader.backlog import HistoryBacklog
from uploader.capture_pool import LEAST_BYTES, OneReader, ReadingPool
from uploader.histories import (
    Histories,
    OneFile,
    histories_in,
    import_histories,
    is_transcript,
    local_histories,
    reading_alone,
)
from uploader.sources import folders
from uploader.sources.folders import read_document
from uploader.sources.protocol import Findings, HistoryFile


def brought(root: Path, home: StateDirectory, **options: Any) -> Any:
    return import_histories(Histories((root,), ()), home=home, customer="ada", **options)


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    (root := tmp_path / "projects" / "slug").mkdir(parents=True)
    return root


def test_the_report_counts_what_came_in_and_what_did_not(
    projects: Path, state_home: StateDirectory
) -> None:
    blocks: list[Any] = [
        *({"type": "image"}, {"type": "hologram"}, "no block", {"type": "tool_use", "name": "X"}),
        {"type": "tool_use", "id": "t1", "name": "Bash", "input": {}},
        {"type": "text", "text": "Hi"},
    ]
    last = answer(2, output=3)
    last["message"]["content"] = blocks
    Lines(projects / "a.jsonl", user("fine", 1), b"{torn\n", user("b", 2, brandNew=1), last)
    Lines(projects / "b.jsonl", user("later", 4, sessionId="s2"))
    steps: list[tuple[int, int]] = []
    report = brought(projects.parent, state_home, progress=lambda *step: steps.append(step))
    assert report.records == {
        "user_asked": 3,
        "session_started": 2,
        "session_ended": 2,
        "claude_responded": 1,
        "tool_called": 1,
    }
    assert report.unknown == {
        "field brandNew of user": 1,
        "block type hologram": 1,
        "block type str": 1,
        "tool_use without id": 1,
    }
    assert report.bad_lines == {"a line that is no JSON": 1}
    assert (report.files, report.added, report.left_out) == (2, 9, {})
    assert (report.first_ts, report.last_ts) == (
        "2026-03-01T09:00:01.000000Z",
        "2026-03-01T09:00:04.000000Z",
    )
    total = sum(path.stat().st_size for path in projects.iterdir())
    assert steps[-1] == (total, total)
    again = brought(projects.parent, state_home)
    assert (again.added, again.first_ts, again.last_ts) == (0, None, None)


def test_what_the_contract_refuses_is_left_out_and_told_and_the_rest_comes_in(
    projects: Path, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    Lines(projects / "a.jsonl", user("fine", 1), answer(2, output=3))
    Lines(projects / "b.jsonl", user("fine", 3, sessionId="s2"))
    line = capture_records.Telling.line

    def refused(telling: Any, known: Any, made: Any) -> bytes | None:
        if made.activity == "user_asked":
            raise InvalidField("feature_json", "too deep", "32")
        return line(telling, known, made)

    monkeypatch.setattr(capture_records.Telling, "line", refused)
    report = brought(projects.parent, state_home)
    ((reason, count),) = report.left_out.items()
    assert reason.startswith("user_asked: feature_json: too deep")
    assert count == 2
    assert "user_asked" not in report.records
    assert report.records["claude_responded"] == 1


def test_who_reads_histories_reads_alone(state_home: StateDirectory) -> None:
    with (
        FileLock(state_home.root / "capture.lock"),
        pytest.raises(StateDirectoryError, match="being read just now"),
        reading_alone(state_home, patience=0.0),
    ):
        raise AssertionError
    with reading_alone(state_home, patience=0.0):
        assert not FileLock(state_home.root / "capture.lock").acquire()
    with reading_alone(state_home, patience=0.0):
        pass


def test_a_small_document_is_read_and_a_large_one_or_another_thing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, findings = tmp_path / "session.json", Findings()
    monkeypatch.setattr(folders, "_MOST_BYTES", 9)
    path.write_bytes(b'{"a": 12}')
    assert read_document(path, findings) == {"a": 12}
    path.write_bytes(b"[1, 2]")
    assert read_document(path, findings) == {}
    assert (findings.unknown, findings.bad_lines, findings.unreadable) == ({}, {}, {})
    path.write_bytes(b'{"a": 123}')
    assert read_document(path, findings) == {}
    assert findings.unknown == {"a session's description is too large": 1}
    path.write_bytes(b"{")
    assert read_document(path, findings) == {}
    assert findings.bad_lines == {"a session's description is no JSON": 1}
    path.unlink()
    assert read_document(path, findings) == {}
    assert list(findings.unreadable) == [str(path)]


# -- what a path holds


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"type":"user"}\n', True),
        (b'\n  \n{"type":"summary"}', True),
        (b"\n" * 4 + b'{"type":"user"}', True),
        (b"\n" * 5 + b'{"type":"user"}', False),
        (b'{"v":1,"type":"user"}\n', False),
        (b'{"kind":"event"}\n', False),
        (b'["type"]\n', False),
        (b'"type"\n', False),
        (b"torn\n", False),
        (b"", False),
        (b'{"type":"user","x":"' + b"x" * 5_000_000 + b'"}\n', False),
        (b'{"type":"user","x":"' + b"x" * 4_000_000 + b'"}\n', True),
    ],
    ids=range(12),
)
def test_a_transcript_is_told_by_its_first_line(
    tmp_path: Path, content: bytes, expected: bool
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    assert is_transcript(path) is expected
    assert not is_transcript(tmp_path / "gone")
    assert not is_transcript(tmp_path)


def test_a_file_by_itself_is_a_transcript_or_the_sdks_stream(tmp_path: Path) -> None:
    transcript, audit, other = (tmp_path / name for name in ("a.jsonl", "audit.jsonl", "x"))
    transcript.write_bytes(b'{"type":"user"}\n')
    audit.write_bytes(b'{"type":"user"}\n')
    other.write_bytes(b"notes")
    assert histories_in(transcript) == OneFile(transcript)
    assert list(OneFile(transcript).discover(Findings())) == [
        HistoryFile(transcript, "claude_code", "claude_code")
    ]
    assert list(OneFile(audit).discover(Findings())) == [
        HistoryFile(audit, "cowork", "cowork", audit=True)
    ]
    assert histories_in(other) is None


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_folder_holds_what_lies_in_it_at_whatever_depth(tmp_path: Path) -> None:
    assert histories_in(tmp_path) is None
    touch(tmp_path / "code" / "tool-results" / "x.jsonl")
    assert histories_in(tmp_path) is None, "no session"
    touch(tmp_path / "code" / "slug" / "a.jsonl")
    assert histories_in(tmp_path) == Histories((tmp_path,), ())
    desktop, deeper = tmp_path / "a" / "Claude", tmp_path / "a" / "b" / "c" / "Claude"
    touch(desktop / "claude-code-sessions" / "local_1.json")
    touch(desktop / "claude-code-sessions" / "deep" / "claude-code-sessions" / "x")
    touch(deeper / "local-agent-mode-sessions" / "x.jsonl")
    assert histories_in(tmp_path) == Histories((tmp_path,), (desktop, deeper))
    # Of Cowork's alone, whose lines are no transcripts of Claude Code.
    assert histories_in(deeper) == Histories((deeper,), (deeper,))
    sessions = deeper / "local-agent-mode-sessions"
    assert histories_in(sessions) == Histories((sessions,), (deeper,))


def test_a_folder_is_looked_through_six_levels_deep_and_through_no_link(tmp_path: Path) -> None:
    deep = tmp_path / "top" / "1" / "2" / "3" / "4" / "5"
    touch(deep / "claude-code-sessions" / "local_1.json")
    assert histories_in(tmp_path / "top") == Histories((tmp_path / "top",), (deep,))
    assert histories_in(tmp_path) is None
    (linked := tmp_path / "linked").mkdir()
    try:
        (linked / "away").symlink_to(deep)
    except OSError:
        pytest.skip("no links here")
    assert histories_in(linked) is None


def test_histories_are_all_sources_with_the_desktops_titles(tmp_path: Path) -> None:
    code, desktop = tmp_path / "projects", tmp_path / "Claude"
    transcript = touch(code / "slug" / "s1.jsonl")
    touch(desktop / "claude-code-sessions" / "local_1.json", '{"cliSessionId":"s1","title":"T"}')
    touch(desktop / "claude-code-sessions" / "local_2.json", "{torn")
    audit = touch(desktop / "local-agent-mode-sessions" / "local_3" / "audit.jsonl")
    findings = Findings()
    assert list(Histories((code,), (desktop,)).discover(findings)) == [
        HistoryFile(transcript, "claude_code", "claude_desktop", "T"),
        HistoryFile(audit, "cowork", "cowork", audit=True, alone=True),
    ]
    assert findings.bad_lines == {"a session's description is no JSON": 1}
    own = local_histories({"HOME": str(tmp_path), "CLAUDE_CONFIG_DIR": str(code)})
    assert own.code == (code,)
    assert all(tmp_path in folder.parents for folder in own.desktop)


# -- bringing them in


def brought_lines(home: StateDirectory) -> list[Record]:
    paths = HistoryBacklog(home).waiting()
    return [parse_line(line) for path in paths for line in path.read_bytes().splitlines()]


def test_an_import_is_of_its_customer_and_takes_what_is_wanted(
    projects: Path, state_home: StateDirectory
) -> None:
    Lines(projects / "a.jsonl", user("my question", 1))
    Lines(projects / "b.jsonl", user("a secret", 2, sessionId="s2", cwd="/srv/diary"))
    brought(projects.parent, state_home, exclude=["diary"])
    records = brought_lines(state_home)
    assert {record["customer"] for record in records} == {"ada"}
    assert {record["feature_json"]["project"] for record in records} == {"atlas"}
    assert "my question" not in json.dumps(records)
    assert not any(".open." in path.name for path in HistoryBacklog(state_home).waiting())
    state_home.capture.unlink()
    assert brought(projects.parent, state_home, include_text=True).added > 0
    assert "a secret" in json.dumps(brought_lines(state_home))


def test_what_was_brought_in_before_is_asked_where_nothing_is_known(
    projects: Path, state_home: StateDirectory
) -> None:
    Lines(projects / "a.jsonl", user("Hi", 1))
    brought(projects.parent, state_home)
    records = [record for record in brought_lines(state_home) if record["kind"] == "event"]
    state_home.capture.unlink()
    again = brought(projects.parent, state_home, earlier=lambda: records)
    assert again.added == 0


def test_an_import_says_what_it_passed_by_and_could_not_read(
    projects: Path, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Lines(projects / "a.jsonl", user("Hi", 1)).path
    Lines(projects / "b.jsonl", user("Ho", 2, sessionId="s2"))
    try:
        (projects / "link.jsonl").symlink_to(file)
    except OSError:
        pytest.skip("no links here")
    opened = Path.open

    def refuse(path: Path, *args: Any, **options: Any) -> Any:
        if path == file:
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    report = brought(projects.parent, state_home)
    assert report.unreadable == {str(file): "Permission denied"}
    assert report.passed_by == {str(projects / "link.jsonl"): folders.LINK}
    assert (report.files, report.records["user_asked"]) == (1, 1)


def test_progress_begins_with_nothing_and_never_passes_the_whole(
    projects: Path, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.capture_pool._LARGE_BYTES", 400)
    large = Lines(projects / "a.jsonl", *(user("x" * 50, second) for second in range(5))).path
    small = Lines(projects / "b.jsonl", user("Ho", 2, sessionId="s2")).path
    sizes = [path.stat().st_size for path in (small, large)]
    steps: list[tuple[int, int]] = []
    report = brought(projects.parent, state_home, progress=lambda *step: steps.append(step))
    assert steps == [(sizes[0], sum(sizes)), (sum(sizes), sum(sizes))]
    assert (report.files, report.records["user_asked"]) == (2, 6)
    assert (report.first_ts, report.last_ts) == (
        "2026-03-01T09:00:00.000000Z",
        "2026-03-01T09:00:04.000000Z",
    )
    assert module._size(projects / "gone") == 0


def test_a_large_file_is_read_in_looks_of_so_many_records(
    projects: Path, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.capture_pool._LARGE_BYTES", 0)
    monkeypatch.setattr("uploader.capture_reading._CHUNK", 64)
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    Lines(projects / "a.jsonl", *(user("x" * 60, second) for second in range(7)))
    sizes: list[int] = []
    write = module.BacklogWriter.write

    def counted(writer: Any, lines: Any) -> None:
        sizes.append(len(lines))
        write(writer, lines)

    monkeypatch.setattr(module.BacklogWriter, "write", counted)
    report = brought(projects.parent, state_home)
    assert report.records["user_asked"] == 7
    assert report.added == sum(sizes)
    assert len(sizes) > 2
    assert max(sizes) <= 4


@pytest.mark.parametrize(
    ("count", "behind", "kind"),
    [
        (1, LEAST_BYTES, OneReader),
        (2, LEAST_BYTES - 1, OneReader),
        (2, LEAST_BYTES, ReadingPool),
        (8, 10 * LEAST_BYTES, ReadingPool),
    ],
)
def test_much_is_read_by_several_processes_where_there_are_processors(
    monkeypatch: pytest.MonkeyPatch, count: int, behind: int, kind: type
) -> None:
    used: list[Any] = []

    def look_with(readers: Any, _files: Any, **given: Any) -> Iterator[str]:
        used.append((type(readers), given["most_records"]))
        yield "by batches"

    looks = iter([SimpleNamespace(more=True), SimpleNamespace(more=False)])
    options: list[dict[str, Any]] = []

    def look(_files: Any, **given: Any) -> Any:
        options.append(given)
        return next(looks)

    capture: Any = SimpleNamespace(behind=lambda _: behind, look_with=look_with, look=look)
    monkeypatch.setattr(module, "processors", lambda: count)
    found: list[Any] = list(module._looks(capture, [], "write", "told"))  # type: ignore[arg-type]
    assert found[0] == "by batches"
    assert [one.more for one in found[1:]] == [True, False]
    assert used == [(kind, 20_000)]
    assert (
        options
        == [{"write": "write", "most_records": 20_000, "told": "told", "patient": False}] * 2
    )


@pytest.mark.parametrize("was_enabled", [True, False])
def test_cycles_are_looked_for_afterwards_as_before(
    projects: Path, state_home: StateDirectory, was_enabled: bool
) -> None:
    Lines(projects / "a.jsonl", user("Hi", 1))
    seen: list[bool] = []
    before = gc.isenabled()
    try:
        gc.enable() if was_enabled else gc.disable()
        brought(
            projects.parent, state_home, progress=lambda _done, _of: seen.append(gc.isenabled())
        )
        assert gc.isenabled() is was_enabled
    finally:
        gc.enable() if before else gc.disable()
    assert set(seen) == {False}


def test_nobody_else_reads_histories_during_an_import_and_all_may_afterwards(
    projects: Path, state_home: StateDirectory
) -> None:
    Lines(projects / "a.jsonl", user("Hi", 1))
    taken: list[bool] = []

    def try_it(_done: int, _of: int) -> None:
        lock = FileLock(state_home.root / "capture.lock")
        taken.append(lock.acquire())
        lock.release()

    brought(projects.parent, state_home, progress=try_it)
    assert set(taken) == {False}
    assert FileLock(state_home.root / "capture.lock").acquire()


def test_who_is_patient_waits_for_the_one_before(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    lock = FileLock(state_home.root / "capture.lock")
    assert lock.acquire()

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        if clock[0] > 105.0:
            lock.release()

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))
    with pytest.raises(StateDirectoryError), reading_alone(state_home, patience=3.0):
        raise AssertionError
    clock[0] = 100.0
    with reading_alone(state_home):
        assert clock[0] > 105.0
