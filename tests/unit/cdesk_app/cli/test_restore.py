"""`cdesk backup` and `cdesk restore`: what they say, and where they put it. What a backup holds is
shown by tests/unit/cdesk_app/ops/test_backup.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from command_line import runner

from cdesk import __version__
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk_app.cli.output import size
from cdesk_app.ops.backup import read_manifest


@pytest.fixture
def cdesk(state_home: StateDirectory, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    with closing(open_state(state_home.state_db)):
        pass

    return runner(capsys)


@pytest.fixture
def file(cdesk: Callable[..., str], tmp_path: Path) -> Path:
    cdesk("backup", str(tmp_path / "b.zip"))
    return tmp_path / "b.zip"


def test_a_backup_is_told_with_what_is_not_in_it(
    cdesk: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.zip"
    told = cdesk("backup", str(file)).splitlines()
    stored, held = size(file.stat().st_size), size(read_manifest(file).bytes)
    last = "It holds all that was recorded: keep it as safe as this directory."
    assert told == [f"{file}: 1 files, {held} in {stored}.", last]
    monkeypatch.setenv("CDESK_TARGET", "snowflake")
    monkeypatch.setenv("CDESK_ARTIFACTS_URL", "s3://bucket/prefix")
    assert cdesk("backup", str(tmp_path / "b.zip")).splitlines()[1:] == [
        "The warehouse is not in it: Snowflake keeps its own (Time Travel, clones).",
        "Results in s3://bucket/prefix are not in it.",
        last,
    ]
    found = json.loads(cdesk("backup", str(tmp_path / "c.zip"), "--json"))
    assert found == {
        "file": str(tmp_path / "c.zip"),
        "at": read_manifest(tmp_path / "c.zip").at,
        "files": 1,
        "bytes": (tmp_path / "c.zip").stat().st_size,
        "target": "snowflake",
    }


def test_a_file_may_be_named_from_the_persons_folder(
    cdesk: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    cdesk("backup", "~/b.zip")
    assert (tmp_path / "b.zip").exists()
    cdesk("restore", "~/b.zip", "--to", "~/back", "--with-queue-of", "~/home")
    assert (tmp_path / "back" / "state.db").exists()


def test_a_check_reads_it_and_puts_it_nowhere(
    cdesk: Callable[..., str], file: Path, tmp_path: Path
) -> None:
    made = read_manifest(file)
    what = f"1 files, {size(made.bytes)}, as of {made.at}"
    assert cdesk("restore", str(file), "--check") == f"{file} is whole: {what}.\n"
    found = json.loads(cdesk("restore", str(file), "--check", "--json"))
    assert found == {
        "at": made.at,
        "version": __version__,
        "files": 1,
        "bytes": made.bytes,
        "to": None,
    }
    assert not (tmp_path / "back").exists()


def test_restored_beside_it_says_what_comes_next(
    cdesk: Callable[..., str], file: Path, tmp_path: Path, state_home: StateDirectory
) -> None:
    made = read_manifest(file)
    root = tmp_path / "back"
    told = [
        "Next: 'cdesk worker --once' lands what waited, and 'cdesk doctor' looks at all of it.",
        "Whoever was erased since then is back: run 'cdesk erase' for them again.",
    ]
    what = f"1 files, {size(made.bytes)}, as of {made.at}."
    assert cdesk("restore", str(file), "--to", str(root)).splitlines() == [
        *(f"{root}: {what}", *told, f"To use it: CDESK_HOME={root}"),
    ]
    assert (root / "state.db").exists()
    assert "is not empty" in cdesk("restore", str(file), code=1), "into the directory in force"
    state_home.root.rename(tmp_path / "away")
    assert cdesk("restore", str(file)).splitlines() == [f"{state_home.root}: {what}", *told]
    found = json.loads(cdesk("restore", str(file), "--to", str(tmp_path / "2"), "--json"))
    assert found["to"] == str(tmp_path / "2")


def test_who_waits_sees_what_is_being_written(
    cdesk: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    @contextmanager
    def waiting(what: str) -> Iterator[Callable[[str], None]]:
        said.append(what)
        yield said.append

    for module in ("backup", "restore"):
        monkeypatch.setattr(f"cdesk_app.cli.{module}.waiting", waiting)
    file = str(tmp_path / "b.zip")
    cdesk("backup", file)
    cdesk("restore", file, "--check")
    cdesk("restore", file, "--to", str(tmp_path / "back"))
    assert said == [
        *("backing up", "state.db", "queue", "warehouse", "results"),
        *("checking", "restoring", "state.db"),
    ]


def test_what_was_recorded_since_comes_along(
    cdesk: Callable[..., str], file: Path, tmp_path: Path, state_home: StateDirectory
) -> None:
    waiting = state_home.queue / f"{'0' * 32}-000001.ndjson"
    waiting.write_bytes(b"{}\n")
    words = ("restore", str(file), "--to", str(tmp_path / "back"))
    assert "has no queue; allowed: a state directory" in cdesk(
        *words, "--with-queue-of", str(tmp_path), code=2
    )
    assert not (tmp_path / "back").exists()
    cdesk(*words, "--with-queue-of", str(state_home.root))
    assert (tmp_path / "back" / "queue" / waiting.name).read_bytes() == b"{}\n"
