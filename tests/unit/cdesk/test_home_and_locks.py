"""The state directory is private, and its locks die with their holder."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory, keep_private, write_private
from cdesk.core.locks import FileLock

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes are a POSIX notion")


@posix
def test_directories_and_files_are_private(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path / "home").ensure()
    write_private(home.catalog, b"{}")
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert home.queue.stat().st_mode & 0o777 == 0o700
    assert home.catalog.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["home", "home/queue"])
def test_a_state_directory_without_permission_says_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As who may not: the user of these tests may write everything, often."""
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: path != tmp_path / name and access(path, mode)
    )
    with pytest.raises(StateDirectoryError, match="cannot be read and written; mend"):
        StateDirectory(tmp_path / "home").ensure()


def test_a_state_directory_that_is_a_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("", encoding="utf-8")
    with pytest.raises(StateDirectoryError, match="set CDESK_HOME"):
        StateDirectory(tmp_path / "home").ensure()


def test_a_failed_replacement_leaves_the_old_file_and_no_scrap(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    write_private(path, b"old")
    with pytest.raises(TypeError):
        write_private(path, object())  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["catalog.json"]


HOLD = """
import pathlib, sys
from cdesk.core.locks import FileLock
lock = FileLock(pathlib.Path(sys.argv[1]))
print(lock.acquire(), flush=True)
input()
"""


def test_a_lock_is_exclusive_between_processes_and_freed_by_death(tmp_path: Path) -> None:
    path = tmp_path / "worker.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "True"
        ours = FileLock(path)
        assert not ours.acquire()
        holder.kill()
        holder.wait()
        assert ours.acquire()
        assert ours.acquire(), "taking it twice is taking it once"
        ours.release()
        ours.release()


def test_who_had_the_lock_in_between_is_told_by_its_mark(tmp_path: Path) -> None:
    lock, other = (FileLock(tmp_path / "x.lock") for _ in range(2))
    with lock:
        assert not lock.claim(b"ours"), "nobody's yet"
        assert lock.claim(b"ours")
        assert not lock.claim(b"our"), "the beginning of a mark is none"
        assert not lock.claim(b"ours")
        assert lock.claim(b"ours")
    with lock:
        assert lock.claim(b"ours"), "nobody had it since"
    with other:
        assert not other.claim(b"a longer mark")
    with lock:
        assert not lock.claim(b"ours")
        assert (tmp_path / "x.lock").read_bytes() == b"ours"


@posix
def test_what_libraries_make_is_its_users_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keep_private()
        (tmp_path / "file").touch()
        (tmp_path / "folder").mkdir()
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "folder")]
    assert modes == [0o600, 0o700]
