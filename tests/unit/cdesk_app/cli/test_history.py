"""`cdesk import`: what is taken of a path, and how it is brought in. What comes of a file is shown
by tests/unit/uploader, what is said of it by test_told.py.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_line import runner

from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk_app.cli import history
from cdesk_app.cli.history import _files_of, earlier_histories
from uploader import earlier_imports, histories
from uploader.histories import FolderReport
from uploader.sources import history as source
from uploader.sources.history import ImportRefused

FOLDER = FolderReport(
    files=2,
    records={"user_asked": 3},
    first_ts="2026-01-01",
    last_ts="2026-01-02",
    unknown={},
    bad_lines={},
    left_out={},
    unreadable={},
    passed_by={},
)


@dataclass(frozen=True)
class Report:
    """What comes of a file, as far as it is told."""

    added: int = 0
    known: int = 7
    conflicts: int = 0
    changed: int = 0
    revised: int = 0
    cut: int = 0
    left_out: int = 0
    format: str = "ndjson"
    reasons: tuple[str, ...] = ()


@pytest.fixture
def cdesk(state_home: StateDirectory, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    del state_home

    return runner(capsys, "import")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """One of each kind."""
    folder = tmp_path / "files"
    folder.mkdir()
    found = {"records": folder / "a.ndjson", "transcript": folder / "t.jsonl"}
    found["records"].write_text("{}\n", encoding="utf-8")
    line = {"type": "user", "sessionId": "s", "uuid": "u", "timestamp": "2026-01-01T00:00:00Z"}
    found["transcript"].write_text(json.dumps(line) + "\n", encoding="utf-8")
    return found


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, dict[str, Any]]]:
    """How each was brought in."""
    calls: list[tuple[str, Any, dict[str, Any]]] = []

    def import_file(file: Path, **given: Any) -> Report:
        given["progress"](3, 9)
        calls.append(("file", file, given))
        return Report()

    def import_histories(found: Any, **given: Any) -> FolderReport:
        given["progress"](3, 9)
        calls.append(("histories", found, given))
        return FOLDER

    monkeypatch.setattr(source, "import_file", import_file)
    monkeypatch.setattr(histories, "import_histories", import_histories)
    monkeypatch.setattr(history, "earlier_histories", lambda settings, home: (settings.home, home))
    monkeypatch.setattr(
        earlier_imports, "landed_records", lambda _, __, caller, what: (caller.customer, what)
    )
    return calls


@pytest.mark.parametrize("options", [(), ("--include-text", "--skip-bad")])
def test_a_file_is_brought_in_for_the_customer_as_it_is_asked_for(
    options: tuple[str, ...],
    cdesk: Callable[..., str],
    files: dict[str, Path],
    brought: list[tuple[str, Any, dict[str, Any]]],
    state_home: StateDirectory,
) -> None:
    told = cdesk(files["records"], *options)
    assert told == "Nothing new: 7 records had come in before.\n"
    kind, file, given = brought[0]
    assert (kind, file) == ("file", files["records"])
    assert (given["home"], given["customer"]) == (state_home, "ada@example.com")
    assert (given["include_text"], given["skip_bad"]) == (bool(options), bool(options))
    assert given["earlier"]() == ("ada@example.com", earlier_imports.EXPORT)
    assert callable(given["landed"])


@pytest.mark.parametrize("options", [(), ("--include-text",)])
def test_a_transcript_is_a_history(
    options: tuple[str, ...],
    cdesk: Callable[..., str],
    files: dict[str, Path],
    brought: list[tuple[str, Any, dict[str, Any]]],
    state_home: StateDirectory,
) -> None:
    (state_home.root / "config.toml").write_text(
        '[capture]\nenabled = false\nexclude = ["secret"]\n', encoding="utf-8"
    )
    told = cdesk(files["transcript"], *options)
    assert told.endswith(
        "3 records of 2 files, from 2026-01-01 to 2026-01-02.\n"
        "Run 'cdesk worker --once' to land them and build.\n"
    )
    kind, _, given = brought[0]
    assert (kind, given["home"], given["customer"]) == (
        *("histories", state_home, "ada@example.com"),
    )
    assert (given["include_text"], tuple(given["exclude"])) == (bool(options), ("secret",))
    assert given["earlier"]() == (state_home.root, state_home)
    found = json.loads(cdesk(files["transcript"], "--json"))
    assert (found["format"], found["worker_told"], found["files"]) == ("histories", False, 2)


def test_several_are_told_apart_and_one_stands_alone(
    cdesk: Callable[..., str],
    files: dict[str, Path],
    brought: list[tuple[str, Any, dict[str, Any]]],
) -> None:
    records, transcript = files["records"], files["transcript"]
    told = cdesk(records, transcript)
    assert told.startswith(f"{records}\nNothing new: 7 records had come in before.\n\n{transcript}")
    assert told.endswith("build.\n\n")
    assert [kind for kind, *_ in brought] == ["file", "histories"]
    several = json.loads(cdesk(records, transcript, "--json"))
    assert [one["format"] for one in several] == ["ndjson", "histories"]
    alone = json.loads(cdesk(records, "--json"))
    assert (alone["format"], alone["known"], alone["worker_told"]) == ("ndjson", 7, False)


def test_a_worker_that_runs_is_told(
    cdesk: Callable[..., str],
    files: dict[str, Path],
    brought: list[tuple[str, Any, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []

    class Waker:
        def __init__(self, _: StateDirectory) -> None:
            assert len(brought) > 0, "once it is there"

        def send(self) -> bool:
            told.append("sent")
            return True

        def close(self) -> None:
            told.append("closed")

    monkeypatch.setattr("cdesk.core.wake.WakeSender", Waker)
    assert json.loads(cdesk(files["records"], "--json"))["worker_told"] is True
    assert "The worker is landing them" in cdesk(files["transcript"])
    assert told == ["sent", "closed"] * 2


def test_how_far_it_is_is_shown_in_bytes(
    cdesk: Callable[..., str],
    files: dict[str, Path],
    brought: list[tuple[str, Any, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    class Bar:
        n, total = 1.0, 1.0

        def update(self, more: float) -> None:
            seen.append((self.total, more))

    @contextmanager
    def progress(what: str, **given: Any) -> Iterator[Bar]:
        seen.append((what, given))
        yield Bar()

    monkeypatch.setattr(history, "progress", progress)
    cdesk(files["records"], files["transcript"])
    assert seen == [("reading", {"total": 1, "unit": "B", "scale": True}), (9, 2.0)] * 2
    assert len(brought) == 2


def test_of_a_folder_all_batches_of_an_export_are_taken(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    (folder / "deep").mkdir(parents=True)
    file = tmp_path / "records.ndjson"
    file.touch()
    assert _files_of(file) == [file]
    assert _files_of(tmp_path / "not-there") == [tmp_path / "not-there"]
    (folder / "users.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ImportRefused, match=f"{folder.name} holds neither an export of Claude's"):
        _files_of(folder)
    for name in ("b.zip", "deep/a.zip"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("conversations.json", "[]")
    assert _files_of(folder) == [folder / "b.zip", folder / "deep" / "a.zip"]
    for name in ("conversations.json", "deep/conversations.json"):
        (folder / name).write_text("[]", encoding="utf-8")
    assert _files_of(folder) == [
        folder / "conversations.json",
        folder / "deep" / "conversations.json",
    ]


def test_a_folder_with_histories_is_taken_whole(files: dict[str, Path]) -> None:
    folder = files["transcript"].parent
    (folder / "conversations.json").write_text("[]", encoding="utf-8")
    assert _files_of(folder) == [folder]


def test_what_histories_brought_in_before_is_asked_of_the_warehouse(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def told(home: StateDirectory, warehouse: Any, catalog: Any, caller: Any) -> list[str]:
        asked.append((home, type(warehouse).__name__, catalog is not None, caller.customer))
        return ["a", "b"]

    monkeypatch.setattr(earlier_imports, "told_by_histories", told)
    settings = Settings(home=state_home.root, customer="ada")
    assert list(earlier_histories(settings, state_home)) == ["a", "b"]
    assert asked == [(state_home, "DuckDBWarehouse", True, "ada")]
