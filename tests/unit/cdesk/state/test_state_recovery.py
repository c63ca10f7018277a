from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cdesk.core.errors import StateDirectoryError
from cdesk.core.locks import FileLock
from cdesk.state.database import is_damage, open_state, repair_state


def put(state: sqlite3.Connection, key: str, value: str) -> None:
    state.execute("insert into worker_status values (?, ?, 't')", (key, value))


def filled(path: Path, facts: int = 2000) -> Path:
    with closing(open_state(path)) as state:
        state.execute("begin")
        for number in range(facts):
            put(state, f"key-{number:05d}", f"{number} {'x' * 50}")
        state.execute("insert into checkpoints values ('a', 1, 0, 1, 0, 't')")
        state.execute("commit")
        state.execute("pragma wal_checkpoint(truncate)")
    return path


def test_a_file_that_is_no_database_is_set_aside_and_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"this is no database" * 100)
    with closing(open_state(path)) as state:
        put(state, "a", "1")
        assert state.execute("select key, value from worker_status").fetchall() == [("a", "1")]
    assert (tmp_path / "state.db.damaged-1").read_bytes().startswith(b"this is no")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are told by Linux")
def test_nothing_has_the_file_open_when_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows renames no open file."""
    path = tmp_path / "state.db"
    path.write_bytes(b"this is no database" * 100)
    original, opened = Path.rename, list[Path]()

    def rename(self: Path, target: Path) -> Path:
        files = [link.resolve() for link in Path("/proc/self/fd").iterdir() if link.exists()]
        opened.extend(
            file for file in files if file.parent == tmp_path and file.name.startswith(path.name)
        )
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    open_state(path).close()
    assert opened == []
    assert (tmp_path / "state.db.damaged-1").exists(), "it was renamed"


def test_who_has_it_open_elsewhere_does_not_mend_it(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StateDirectoryError, match="cannot be used"):
        open_state(path, mends=False)
    assert list(tmp_path.glob("*damaged*")) == []


def test_a_sound_file_is_left_alone(tmp_path: Path) -> None:
    path = filled(tmp_path / "state.db")
    before = path.stat().st_ino
    assert repair_state(path) is None
    assert path.stat().st_ino == before
    assert repair_state(tmp_path / "missing.db") is None


@pytest.mark.parametrize("seed", range(5))
def test_what_can_be_read_of_a_damaged_file_is_taken_over(tmp_path: Path, seed: int) -> None:
    path = filled(tmp_path / "state.db")
    data = bytearray(path.read_bytes())
    rng = random.Random(seed)
    start = rng.randrange(len(data) // 2, len(data) - 8192)
    data[start : start + 4096] = rng.randbytes(4096)
    path.write_bytes(bytes(data))
    aside = repair_state(path)
    assert aside is not None
    assert aside.exists()
    with closing(open_state(path)) as state:
        assert state.execute("pragma quick_check").fetchone() == ("ok",)
        kept = state.execute("select count(*) from worker_status").fetchone()[0]
        assert 0 < kept < 2000
        first = state.execute("select value from worker_status order by key limit 1").fetchone()
        assert first == (f"0 {'x' * 50}",)
        assert state.execute("select count(*) from checkpoints").fetchone() == (0,)


def test_only_the_newest_damaged_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for _ in range(6):
        path.write_bytes(b"no database" * 100)
        assert repair_state(path) is not None
    assert sorted(one.name for one in tmp_path.glob("*damaged*")) == [
        f"state.db.damaged-{n}" for n in (4, 5, 6)
    ]


def test_a_newer_version_is_refused_not_repaired(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    open_state(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma user_version = 999")
    with pytest.raises(StateDirectoryError, match="newer"):
        open_state(path)
    assert list(tmp_path.glob("*damaged*")) == []


def test_a_directory_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StateDirectoryError, match="cannot be used"):
        open_state(tmp_path / "none" / "state.db")


def test_a_damaged_file_gets_the_next_number_and_somebody_elses_mending_stands(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"no database" * 100)
    (tmp_path / "state.db.damaged-4").touch()
    (tmp_path / "state.db.damaged-mine").touch()
    with FileLock(tmp_path / "state.repair.lock") as alone:
        assert alone
        assert repair_state(path) is None, "somebody else mends it"
    assert repair_state(path) == tmp_path / "state.db.damaged-5"


@pytest.mark.parametrize(
    ("code", "is_damaged"),
    [
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_CORRUPT | 256, True),  # as an extended code says it
        (sqlite3.SQLITE_BUSY, False),
        (sqlite3.SQLITE_FULL, False),
        (None, False),
    ],
)
def test_damage_is_told_from_what_goes_by(code: int | None, is_damaged: bool) -> None:
    error = sqlite3.DatabaseError("?")
    if code is not None:
        error.sqlite_errorcode = code
    assert is_damage(error) == is_damaged
