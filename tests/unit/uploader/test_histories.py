"""What bringing histories in says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cdesk.core.errors import InvalidField, StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from tests.unit.uploader.test_capture import Lines, answer, user
from uploader import capture_records
from uploader.histories import Histories, import_histories, reading_alone
from uploader.sources import folders
from uploader.sources.folders import read_document
from uploader.sources.protocol import Findings


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
