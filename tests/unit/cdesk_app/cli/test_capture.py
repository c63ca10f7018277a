"""`cdesk capture`: what is followed, what it says of it, and what it leaves in config.toml."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import Terminal, runner

from cdesk.core.config import load_settings
from cdesk.core.home import StateDirectory
from cdesk_app.cli import history
from cdesk_app.cli.capture import ELSEWHERE, _counted, _lines
from cdesk_app.worker import alone as alone_module
from cdesk_app.worker import forgetting
from cdesk_app.worker import main as worker_main
from cdesk_app.worker.erasure import ErasureReport
from uploader import histories
from uploader.capture_status import CaptureStatus
from uploader.histories import FolderReport

NOTHING = FolderReport(
    files=0,
    records={},
    first_ts=None,
    last_ts=None,
    unknown={},
    bad_lines={},
    left_out={},
    unreadable={},
    passed_by={},
)


@pytest.fixture
def claude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Claude Code's folder of histories, with one transcript in it."""
    folder = tmp_path / "claude" / "projects"
    (folder / "-work-diary").mkdir(parents=True)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder


@pytest.fixture
def cdesk(
    claude: Path, state_home: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    del claude, state_home

    return runner(capsys, "capture")


def kept(home: StateDirectory) -> tuple[bool, bool, tuple[str, ...]]:
    settings = load_settings({"CDESK_HOME": str(home.root)})
    found = settings.capture
    return found.enabled, found.include_text, tuple(found.exclude)


def test_it_is_off_until_it_is_turned_on(cdesk: Callable[..., str], claude: Path) -> None:
    told = dict(line.split("  ", 1) for line in cdesk().splitlines())
    assert told["capture"].strip() == "off; 'cdesk capture on' turns it on"
    assert cdesk("status") == cdesk()
    found = json.loads(cdesk("--json"))
    assert (found["enabled"], found["folders"]) == (False, [str(claude)])
    assert "capture is off; 'cdesk capture on' says what it would read" in cdesk("now", code=1)


def test_turned_on_it_says_what_is_read_and_what_is_kept(
    cdesk: Callable[..., str], claude: Path, state_home: StateDirectory
) -> None:
    assert cdesk("on").splitlines() == [
        "Capture is on. Read, and never changed, are these folders:",
        f"  {claude}",
        "Kept of each conversation: when, project and title, model, tokens, tools and their "
        "outcome, names and kinds of files, errors. Credentials are redacted before anything is "
        "written.",
        "Not kept: questions and answers (--include-text keeps them), and where files lie.",
        "The worker follows them while it runs; 'cdesk capture now' reads what is there.",
        "'cdesk capture off' stops it.",
    ]
    assert kept(state_home) == (True, False, ())
    told = cdesk("on", "--include-text", "--exclude", "b", "--exclude", "a").splitlines()
    assert told[3:5] == [
        "Kept as well, since you asked for it: the text of questions and answers.",
        "Left out: a, b.",
    ]
    assert kept(state_home) == (True, True, ("a", "b"))
    cdesk("on", "--exclude", "c")
    assert kept(state_home) == (True, True, ("a", "b", "c")), "what was said before stays"
    found = json.loads(cdesk("on", "--json"))
    assert (found["enabled"], found["include_text"], found["exclude"]) == (
        *(True, True, ["a", "b", "c"]),
    )
    assert found["worker_told"] is False


def test_where_none_of_claudes_folders_is_it_says_so(
    cdesk: Callable[..., str], claude: Path
) -> None:
    (claude / "-work-diary").rmdir()
    claude.rmdir()
    assert cdesk("on").splitlines()[1] == "  (none is there yet)"


def test_a_running_worker_is_told(
    cdesk: Callable[..., str], state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Waker:
        def __init__(self, home: StateDirectory) -> None:
            assert home == state_home

        def send(self) -> bool:
            told.append("sent")
            return True

        def close(self) -> None:
            told.append("closed")

    monkeypatch.setattr("cdesk.core.wake.WakeSender", Waker)
    assert (
        "The worker follows them from now on; 'cdesk capture status' shows how far it is."
        in cdesk("on").splitlines()
    )
    assert json.loads(cdesk("off", "--json")) == {"enabled": False, "worker_told": True}
    assert told == ["sent", "closed"] * 2


def test_turned_off_what_was_chosen_stays_for_the_next_time(
    cdesk: Callable[..., str], state_home: StateDirectory
) -> None:
    cdesk("on", "--include-text", "--exclude", "a")
    assert cdesk("off").splitlines() == [
        "Capture is off; what came in stays ('cdesk capture off --forget' erases it).",
        ELSEWHERE,
    ]
    assert kept(state_home) == (False, True, ("a",))


@pytest.fixture
def forgot(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is done to forget, in its order: tests/integration/queries shows that it is gone. The
    report is the last of it.
    """
    steps: list[Any] = [ErasureReport("ada@example.com", "2026-01-31T12:00:00Z", beyond=("a", "b"))]

    @contextmanager
    def alone(_: StateDirectory) -> Iterator[None]:
        steps.append("alone")
        yield
        steps.append("not alone")

    def forget(settings: Any, home: StateDirectory, *, tell: Callable[[str], None]) -> Any:
        assert settings.home == home.root
        steps.append(f"forget, capture {kept(home)[0]}")
        tell("step")
        return steps[0]

    monkeypatch.setattr(alone_module, "alone", alone)
    monkeypatch.setattr(forgetting, "forget_histories", forget)
    monkeypatch.setattr(worker_main, "run_once", lambda _: steps.append("build"))
    return steps


def test_forgetting_is_asked_about_and_builds_what_is_left(
    cdesk: Callable[..., str],
    state_home: StateDirectory,
    forgot: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cdesk("on")
    assert "to forget without being asked, add --yes" in cdesk("off", "--forget", code=1)
    assert kept(state_home)[0] is True, "nothing was changed"
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin", Terminal())
    for answer, is_agreed in (("", False), ("n", False), (" Y ", True), ("yes", True)):
        monkeypatch.setattr("builtins.input", lambda text, said=answer: asked.append(text) or said)
        cdesk("off", "--forget", code=0 if is_agreed else 1)
    assert asked[0] == (
        "Erase what came from Claude's own histories? It cannot be taken back. [y/N] "
    )
    assert forgot[1:] == ["alone", "forget, capture False", "not alone", "build"] * 2


def test_what_was_forgotten_is_reported(cdesk: Callable[..., str], forgot: list[Any]) -> None:
    assert cdesk("off", "--forget", "--yes").splitlines() == [
        "Capture is off. Forgotten is what came from the histories of ada@example.com:",
        "  there was nothing",
        ELSEWHERE,
        *("Beyond its reach:", "  a", "  b"),
    ]
    forgot[0].counts = {"records": 1_200, "files": 0}
    assert cdesk("off", "--forget", "--yes").splitlines()[1] == "  records  1,200"
    found = json.loads(cdesk("off", "--forget", "--yes", "--json"))
    assert (found["enabled"], found["forgotten"]["counts"]["records"]) == (False, 1_200)
    forgot[0].left = ["x.parquet", "y.parquet"]
    assert "still there: x.parquet; y.parquet" in cdesk("off", "--forget", "--yes", code=1)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """How histories were read; the reports are given back."""
    calls: list[dict[str, Any]] = []

    def import_histories(source: Any, **given: Any) -> FolderReport:
        given["progress"](3, 9)
        calls.append({"source": source, **given})
        return replace(NOTHING, unknown={"kind": 1})

    monkeypatch.setattr(histories, "import_histories", import_histories)
    monkeypatch.setattr(history, "earlier_histories", lambda *given: given)
    return calls


def test_a_look_reads_as_the_worker_would(
    cdesk: Callable[..., str],
    state_home: StateDirectory,
    claude: Path,
    read: list[dict[str, Any]],
) -> None:
    cdesk("on", "--include-text", "--exclude", "secret")
    assert cdesk("now").splitlines() == [
        "Nothing new: what these histories hold had come in before.",
        "Not known to this version, and left out: 1",
        "  1 × kind",
    ]
    (call,) = read
    assert list(call["source"].code) == [claude]
    assert (call["home"], call["customer"]) == (state_home, "ada@example.com")
    assert (call["include_text"], tuple(call["exclude"])) == (True, ("secret",))
    settings, home = call["earlier"]()
    assert (settings.home, home) == (state_home.root, state_home)
    found = json.loads(cdesk("now", "--json"))
    assert (found["unknown"], found["worker_told"]) == ({"kind": 1}, False)


def test_a_look_shows_how_far_it_is(
    cdesk: Callable[..., str], read: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class Bar:
        n, total = 1.0, 1.0

        def update(self, more: float) -> None:
            seen.append((self.total, more))

    @contextmanager
    def progress(what: str, *, total: int, unit: str, scale: bool) -> Iterator[Bar]:
        seen.append((what, total, unit, scale))
        yield Bar()

    monkeypatch.setattr("cdesk_app.cli.output.progress", progress)
    cdesk("on")
    cdesk("now")
    assert seen == [("reading", 1, "B", True), (9, 2.0)]
    assert len(read) == 1


STATUS = CaptureStatus(
    enabled=True,
    include_text=True,
    exclude=("a", "b"),
    folders=("/x", "/y"),
    files=1_200,
    read_bytes=2_048,
    behind_bytes=1_024,
    backlog_bytes=512,
    records={"asked": 1_000},
    sources={"claude_code": 1_000, "cowork": 200},
    sessions=3_000,
    last_read_at="2000-01-01T00:00:00.000000Z",
    error="noon: denied",
    unreadable={f"/u{number}": "denied" for number in range(6)},
    passed_by={f"/p{number}": "a link" for number in range(6)},
)


def test_each_line_of_the_status() -> None:
    lines = _lines(STATUS)
    told = dict(lines)
    assert told["last read"].endswith(" d ago")  # type: ignore[attr-defined]
    assert [name for name, _ in lines].count("cannot be read") == 5
    assert [name for name, _ in lines].count("passed by") == 5
    assert {name: value for name, value in told.items() if name != "last read"} == {
        "capture": "on",
        "text": "kept",
        "left out": "a, b",
        "folders": "/x; /y",
        "files": "1,200; 2.0 KiB read, 1.0 KiB not yet",
        "sources": "claude_code: 1,000 files, cowork: 200 files",
        "sessions": "3,000",
        "backlog": "512 B",
        "records": "1,000 asked",
        "unknown": "none",
        "bad lines": "none",
        "beyond limits": "none",
        "cannot be read": "/u4 (denied)",
        "passed by": "/p4 (a link)",
        "looking fails": "since noon: denied",
    }
    plain = replace(
        STATUS,
        include_text=False,
        exclude=(),
        folders=(),
        sources={},
        last_read_at=None,
        error=None,
    )
    told = dict(_lines(plain))
    assert {name: told[name] for name in ("text", "left out", "folders", "sources")} == {
        "text": "not kept",
        "left out": "nothing",
        "folders": "none of Claude's is there",
        "sources": "none has written here yet",
    }
    assert told["last read"] == "never"
    assert "looking fails" not in told


def test_the_first_six_of_many_counts_are_shown() -> None:
    counts = dict.fromkeys("abcdefg", 1000)
    assert _counted(counts) == ("1,000 a, 1,000 b, 1,000 c, 1,000 d, 1,000 e, 1,000 f …")
    del counts["g"]
    assert _counted(counts).endswith("1,000 f")
    assert _counted({}) == "none"
