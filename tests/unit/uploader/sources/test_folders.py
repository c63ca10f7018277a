"""Looking through folders of others: what is found, what is passed by, and what is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from uploader.sources import claude_desktop, cowork, folders
from uploader.sources.claude_code import NO_SESSIONS, ClaudeCode
from uploader.sources.claude_desktop import code_tab_titles
from uploader.sources.cowork import Cowork
from uploader.sources.folders import DEEPEST, LINK, files_under, text_of
from uploader.sources.places import platform_places
from uploader.sources.protocol import MOST_NAMED, Findings, HistoryFile, path_text


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def names(root: Path, findings: Findings | None = None, **options: Any) -> list[str]:
    given = {"suffix": ".jsonl", **options}
    found = files_under(root, findings or Findings(), **given)
    return [path.relative_to(root).as_posix() for path in found]


def test_files_are_found_at_whatever_depth_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a/z.jsonl", "a/b/c.jsonl", "a/notes.txt", "c.jsonl", "skip/d.jsonl"):
        touch(tmp_path / name)
    findings = Findings()
    assert names(tmp_path, findings, skip=frozenset(["skip"])) == [
        *("a/b/c.jsonl", "a/z.jsonl", "b.jsonl", "c.jsonl")
    ]
    assert findings == Findings()
    assert names(tmp_path / "nowhere") == names(tmp_path / "b.jsonl") == []


def test_folders_are_looked_through_to_a_depth(tmp_path: Path) -> None:
    deep = tmp_path
    for level in range(1, DEEPEST + 2):
        touch(deep / f"{level}.jsonl")
        deep = deep / "d"
    found = names(tmp_path)
    assert len(found) == DEEPEST == 12
    assert "d/" * (DEEPEST - 1) + f"{DEEPEST}.jsonl" in found


@pytest.mark.skipif(os.name == "nt", reason="links and pipes are others there")
def test_links_and_pipes_are_passed_by_and_named(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    touch(outside / "x.jsonl")
    root.mkdir()
    for name, target in (
        ("file.jsonl", outside / "x.jsonl"),
        ("broken.jsonl", tmp_path / "nowhere"),
        ("note.txt", outside / "x.jsonl"),
        ("folder", outside),
        ("skip", outside),
        ("skip.jsonl", outside),
    ):
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe.jsonl")
    os.mkfifo(root / "pipe.txt")
    findings = Findings()
    assert names(root, findings, skip=frozenset(["skip", "skip.jsonl"])) == []
    assert {Path(path).name: what for path, what in findings.passed_by.items()} == {
        "file.jsonl": LINK,
        "broken.jsonl": LINK,
        "folder": LINK,
        "pipe.jsonl": "no regular file",
    }


def test_an_entry_that_cannot_be_looked_at_is_named_and_the_next_ones_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        touch(tmp_path / name)
    scandir = os.scandir

    class Broken:
        """An entry of a network drive that is away."""

        def __init__(self, entry: Any) -> None:
            self.name, self.path = entry.name, entry.path

        def is_dir(self, **_: Any) -> bool:
            raise OSError(5, "Input/output error")

    class Scan:
        def __init__(self, path: Any) -> None:
            self._scan = scandir(path)

        def __enter__(self) -> Any:
            entries = list(self._scan.__enter__())
            return [Broken(one) if one.name == "a.jsonl" else one for one in entries]

        def __exit__(self, *_: object) -> None:
            self._scan.close()

    monkeypatch.setattr(folders.os, "scandir", Scan)
    findings = Findings()
    assert names(tmp_path, findings) == ["b.jsonl"]
    assert findings.unreadable == {str(tmp_path / "a.jsonl"): "Input/output error"}


@pytest.mark.parametrize(
    ("value", "expected"), [("a", "a"), ("", None), (None, None), (5, None), (["a"], None)]
)
def test_a_text_of_a_document_is_one(value: Any, expected: str | None) -> None:
    assert text_of({"key": value}, "key") == expected
    assert text_of({}, "key") is None


def test_a_description_may_have_four_megabytes() -> None:
    assert folders._MOST_BYTES == 4 * 2**20


# -- findings


def test_only_so_many_things_are_told_apart(tmp_path: Path) -> None:
    findings = Findings()
    for number in range(MOST_NAMED + 2):
        findings.note(f"kind {number}")
        findings.unreadable_entry(tmp_path / str(number), OSError(13, "Permission denied"))
        findings.passed_by_entry(tmp_path / str(number), LINK)
    findings.note("kind 0")
    assert len(findings.unknown) == MOST_NAMED + 1
    assert (findings.unknown["kind 0"], findings.unknown["other"]) == (2, 2)
    assert len(findings.unreadable) == len(findings.passed_by) == MOST_NAMED
    assert findings.passed_by[str(tmp_path / "0")] == LINK
    nameless = Findings()
    nameless.unreadable_entry(tmp_path, TimeoutError())
    assert nameless.unreadable == {str(tmp_path): "TimeoutError"}
    assert path_text(Path("a\udcff")) == "a\\udcff"


def test_a_history_has_its_questions_alone_unless_it_is_said() -> None:
    file = HistoryFile(Path("a"), "cowork", "cowork")
    assert (file.title, file.session_id, file.audit, file.alone) == (None, None, False, True)


# -- the sources


def test_transcripts_are_claude_codes_or_of_the_desktop_that_started_them(tmp_path: Path) -> None:
    a = touch(tmp_path / "slug" / "a.jsonl")
    b = touch(tmp_path / "slug" / "b.jsonl")
    sub = touch(tmp_path / "slug" / "a" / "subagents" / "c.jsonl")
    touch(tmp_path / "slug" / "audit.jsonl")
    for name in NO_SESSIONS:
        touch(tmp_path / "slug" / "a" / name / "d.jsonl")
    source = ClaudeCode(tmp_path, tmp_path, titles={"b": "Title", "c": None})
    assert list(source.discover(Findings())) == [
        HistoryFile(sub, "claude_code", "claude_desktop", None),
        HistoryFile(a, "claude_code", "claude_code", None),
        HistoryFile(b, "claude_code", "claude_desktop", "Title"),
    ]
    plain = list(ClaudeCode(tmp_path).discover(Findings()))
    assert {file.client for file in plain} == {"claude_code"}


def test_the_desktop_names_the_sessions_that_it_started(tmp_path: Path) -> None:
    root = tmp_path / claude_desktop.FOLDER / "account" / "org"
    touch(root / "local_1.json", '{"cliSessionId": "s1", "title": "One"}')
    touch(root / "local_2.json", '{"cliSessionId": "s2"}')
    touch(root / "local_3.json", '{"title": "no session"}')
    touch(root / "other.json", '{"cliSessionId": "s4", "title": "no description"}')
    touch(root / "local_5.json", "{torn")
    findings = Findings()
    assert code_tab_titles(tmp_path, tmp_path / "nowhere", findings=findings) == {
        "s1": "One",
        "s2": None,
    }
    assert findings.bad_lines == {"a session's description is no JSON": 1}


def test_cowork_tells_its_conversations_once_with_their_titles(tmp_path: Path) -> None:
    root = tmp_path / cowork.FOLDER
    org = root / "org" / "account"
    touch(org / "local_1.json", '{"cliSessionId": "s1", "title": "One"}')
    transcript = touch(org / "local_1" / ".claude" / "projects" / "slug" / "s1.jsonl")
    audit = touch(org / "local_1" / "audit.jsonl")
    touch(org / "local_2.json", '{"cliSessionId": "s2"}')
    alone = touch(org / "local_2" / "audit.jsonl")
    nameless = touch(org / "local_3" / "audit.jsonl")
    loose = touch(org / "x.jsonl")
    touch(org / "local_2" / "tool-results" / "y.jsonl")
    expected = [
        HistoryFile(transcript, "cowork", "cowork", "One", "s1", audit=False, alone=False),
        HistoryFile(audit, "cowork", "cowork", "One", "s1", audit=True, alone=False),
        HistoryFile(alone, "cowork", "cowork", None, "s2", audit=True, alone=True),
        HistoryFile(nameless, "cowork", "cowork", None, None, audit=True, alone=False),
        HistoryFile(loose, "cowork", "cowork", None, None, audit=False, alone=False),
    ]
    for folder in (tmp_path, root):
        found = list(Cowork(folder).discover(Findings()))
        assert found == expected
    loose.unlink()
    assert list(Cowork(tmp_path).discover(Findings()))[-1].alone


def test_the_innermost_session_is_the_one_that_a_file_is_of(tmp_path: Path) -> None:
    org = tmp_path / cowork.FOLDER / "org"
    touch(org / "local_1.json", '{"title": "Outer"}')
    touch(org / "local_1" / "agent" / "local_2.json", '{"title": "Inner"}')
    touch(org / "local_1" / "agent" / "local_2" / "a.jsonl")
    (file,) = Cowork(tmp_path).discover(Findings())
    assert file.title == "Inner"
    outside = tmp_path / "local_0"
    touch(tmp_path / "local_0.json", '{"title": "Outside"}')
    touch(outside / cowork.FOLDER / "a.jsonl")
    (file,) = Cowork(outside).discover(Findings())
    assert file.title is None


# -- where they are


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({}, ["{home}/.claude/projects", "{home}/.config/claude/projects"]),
        (
            {"CLAUDE_CONFIG_DIR": " , "},
            ["{home}/.claude/projects", "{home}/.config/claude/projects"],
        ),
        ({"CLAUDE_CONFIG_DIR": "/a, /b/projects ,"}, ["/a/projects", "/b/projects"]),
    ],
)
def test_claude_code_keeps_its_histories_in_its_folders(
    tmp_path: Path, environ: dict[str, str], code: list[str]
) -> None:
    for name in ("HOME", "USERPROFILE"):
        places = platform_places({name: str(tmp_path), **environ}, platform="linux")
        assert places.code == tuple(Path(one.format(home=tmp_path)) for one in code)
    both = {"HOME": str(tmp_path), "USERPROFILE": "/other"}
    assert platform_places(both, platform="linux").desktop == (tmp_path / ".config" / "Claude",)


def test_the_desktop_keeps_its_data_by_platform(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    config = {**home, "XDG_CONFIG_HOME": "/etc/xdg"}
    assert platform_places(config, platform="linux").desktop == (Path("/etc/xdg/Claude"),)
    given = {**home, "APPDATA": str(tmp_path / "R"), "LOCALAPPDATA": str(tmp_path / "L")}
    for name in ("Claude_b", "Claude_a", "Other"):
        (tmp_path / "L" / "Packages" / name).mkdir(parents=True)
    inside = Path("LocalCache") / "Roaming" / "Claude"
    assert platform_places(given, platform="win32").desktop == (
        tmp_path / "R" / "Claude",
        tmp_path / "L" / "Packages" / "Claude_a" / inside,
        tmp_path / "L" / "Packages" / "Claude_b" / inside,
    )
    assert platform_places(home, platform="win32").desktop == (
        tmp_path / "AppData" / "Roaming" / "Claude",
    )


def test_somebody_without_a_home_in_the_environment_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert platform_places({}, platform="darwin").desktop == (
        tmp_path / "Library" / "Application Support" / "Claude",
    )
