"""How capture stands, whole."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from cdesk.core.config import load_settings
from cdesk.core.home import StateDirectory
from uploader.capture_status import CaptureStatus, capture_status
from uploader.capture_store import CaptureStore, LastRead, Place
from uploader.sources.folders import LINK


def environ(root: Path, home: StateDirectory) -> dict[str, str]:
    return {
        **{"CDESK_HOME": str(home.root), "HOME": str(root), "USER": "ada"},
        "CDESK_CAPTURE": "on",
    }


@pytest.mark.skipif(os.name == "nt", reason="links are others there")
def test_all_that_is_known_is_told(tmp_path: Path, state_home: StateDirectory) -> None:
    projects = tmp_path / ".claude" / "projects"
    projects.mkdir(parents=True)
    (tmp_path / ".config" / "Claude").mkdir(parents=True)
    sizes = {"a": 10, "b": 7, "c": 3}
    for name, size in sizes.items():
        (projects / f"{name}.jsonl").write_bytes(b"x" * size)
    (projects / "link.jsonl").symlink_to(tmp_path / "nowhere")
    own = '[capture]\ninclude_text = true\nexclude = ["diary"]\n'
    (state_home.root / "config.toml").write_text(own, encoding="utf-8")
    settings = load_settings(environ(tmp_path, state_home))
    before = capture_status(settings, state_home)
    assert (before.read_bytes, before.behind_bytes, before.sessions) == (0, 20, 0)
    assert (before.records, before.last_read_at, before.error) == ({}, None, None)
    assert not state_home.capture.exists(), "to ask makes nothing"
    state_home.backlog.mkdir()
    (state_home.backlog / f"{'a' * 32}-000001.ndjson").write_bytes(b"{}\n")
    with closing(CaptureStore(state_home.capture)) as store:
        for path, read_to in ((projects / "a.jsonl", 4), (projects / "b.jsonl", 9)):
            store.put_place(str(path), Place(1, 2, 3, 4, read_to, b"", {}))
        for kind in ("records", "unknown", "bad_lines", "left_out"):
            store.add_counts(kind, {kind: 7})
        store.put([(*("session_started", "s1"), b"[]", b"{}", None)])
        store.put_seen(LastRead("2026-03-01T12:00:00.000000Z", {"/away": "Permission denied"}))
        store.put_setting("error", "since then")
    assert capture_status(settings, state_home) == CaptureStatus(
        enabled=True,
        include_text=True,
        exclude=settings.capture.exclude,
        folders=[str(projects), str(tmp_path / ".config" / "Claude")],
        files=3,
        read_bytes=13,
        behind_bytes=6 + 0 + 3,
        backlog_bytes=3,
        records={"records": 7},
        unknown={"unknown": 7},
        bad_lines={"bad_lines": 7},
        left_out={"left_out": 7},
        unreadable={"/away": "Permission denied"},
        passed_by={str(projects / "link.jsonl"): LINK},
        sources={"claude_code": 3},
        sessions=1,
        last_read_at="2026-03-01T12:00:00.000000Z",
        error="since then",
    )
    assert list(settings.capture.exclude) == ["diary"]


def test_a_file_that_goes_meanwhile_weighs_nothing(
    tmp_path: Path, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    projects = tmp_path / ".claude" / "projects"
    projects.mkdir(parents=True)
    for name in ("a", "b"):
        (projects / f"{name}.jsonl").write_bytes(b"x" * 5)
    stat = Path.stat

    def gone(path: Path, **options: bool) -> os.stat_result:
        if path.name == "a.jsonl":
            raise FileNotFoundError(2, "No such file or directory")
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", gone)
    status = capture_status(load_settings(environ(tmp_path, state_home)), state_home)
    assert (status.files, status.behind_bytes) == (2, 5)
