"""Names that say what a file holds, and which files were found to hold it."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from cdesk.artifacts import addresses
from cdesk.artifacts.addresses import (
    Checks,
    digest_in,
    digest_of,
    id_in,
    name_of,
    require_content,
    require_id,
)
from cdesk.core.errors import ArtifactUnreadable, NotFound

OWNER = "0123456789abcdef"
ID = "0190a5f0-0000-7000-8000-000000000000"
DIGEST = hashlib.sha256(f"{OWNER}\nrows".encode()).hexdigest()


def test_a_name_is_the_id_and_the_digest_of_owner_and_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"rows")
    assert digest_of(OWNER, b"rows") == digest_of(OWNER, tmp_path / "a") == DIGEST
    name = name_of(OWNER, ID, b"rows")
    assert name == f"{ID}-{DIGEST}"
    assert (id_in(name), digest_in(name)) == (ID, DIGEST)
    assert (id_in(ID), digest_in(ID)) == (ID, "")
    with pytest.raises(OSError, match="No such file"):
        digest_of(OWNER, tmp_path / "none")


def test_bytes_are_held_to_their_name() -> None:
    require_content(OWNER, f"{ID}-{DIGEST}", b"rows")
    require_content(OWNER, ID, b"whatever an earlier version stored")
    for owner, content in ((OWNER, b"rovs"), (OWNER[::-1], b"rows")):
        with pytest.raises(ArtifactUnreadable, match="not what its name says; run its query"):
            require_content(owner, f"{ID}-{DIGEST}", content)


def test_what_is_no_id_is_named_and_not_at_length() -> None:
    assert require_id(ID) == ID
    for wrong in ("", ID[:-1], f"{ID}0", f"{ID}\n", ID.upper()):
        with pytest.raises(NotFound, match="is no artifact_id"):
            require_id(wrong)
    with pytest.raises(NotFound, match=f"^'{'x' * 60}' is no artifact_id$"):
        require_id("x" * 99)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that a check has read, in order."""
    seen: list[str] = []

    def reading(owner: str, content: Path | bytes) -> str:
        assert isinstance(content, Path)
        seen.append(content.name[35])
        return digest_of(owner, content)

    monkeypatch.setattr(addresses, "digest_of", reading)
    return seen


def place(root: Path, content: bytes = b"rows", *, number: int = 0, settled: bool = True) -> Path:
    """A file under the address of b"rows"; settled: its last change is an hour ago."""
    path = root / OWNER / f"{ID[:-1]}{number}-{DIGEST}.parquet"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    if settled:
        os.utime(path, ns=(0, time.time_ns() - 3_600 * 10**9))
    return path


def test_a_file_is_read_once_as_long_as_it_does_not_change(tmp_path: Path, read: list[str]) -> None:
    checks, path = Checks(), place(tmp_path)
    for _ in range(3):
        checks.require(path, whole=True)
        checks.require(path, whole=False)
    assert read == ["0"]
    os.utime(path, ns=(0, 10**9))
    checks.require(path, whole=True)
    assert read == ["0", "0"]
    place(tmp_path, b"rowsx")
    for _ in range(2):
        with pytest.raises(ArtifactUnreadable):
            checks.require(path, whole=False)
    assert read == ["0", "0", "0"], "what is wrong is remembered as well"


def test_a_file_that_has_just_changed_is_read_again(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may change once more within a tick of the clock, and keep its stamp."""
    now = time.time_ns() // 1_000 * 1_000  # as exactly as any file system has it
    monkeypatch.setattr(time, "time_ns", lambda: now)
    tick = addresses._TICK_NS
    for apart, reads in ((-tick, 2), (0, 2), (tick, 2), (-tick - 1_000, 1), (tick + 1_000, 1)):
        checks, path = Checks(), place(tmp_path)
        os.utime(path, ns=(0, now + apart))
        read.clear()
        for _ in range(2):
            checks.require(path, whole=True)
        assert len(read) == reads, apart


@pytest.mark.parametrize("size", [3, 4])
def test_a_file_up_to_the_bound_is_waited_for(tmp_path: Path, read: list[str], size: int) -> None:
    checks, path = Checks(at_once=size), place(tmp_path, b"rovs")
    assert not read
    if size == 4:
        with pytest.raises(ArtifactUnreadable):
            checks.require(path, whole=False)
        return
    checks.require(path, whole=False)
    with pytest.raises(ArtifactUnreadable):
        checks.require(path, whole=True)  # who reads it whole waits, whatever its size


def test_a_large_file_is_checked_beside_the_reading_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun = threading.Event(), []

    def slowly(owner: str, content: Path | bytes) -> str:
        begun.append(threading.current_thread())
        assert go.wait(60)
        return digest_of(owner, content)

    monkeypatch.setattr(addresses, "digest_of", slowly)
    checks, path = Checks(at_once=0), place(tmp_path, b"rovs")
    for _ in range(3):
        checks.require(path, whole=False)
    go.set()
    for thread in [one for one in threading.enumerate() if one.name == "cdesk-check"]:
        assert thread.daemon
        thread.join(60)
    assert len(begun) == 1
    with pytest.raises(ArtifactUnreadable):
        checks.require(path, whole=False)


def test_what_was_looked_at_longest_ago_is_forgotten_first(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "_REMEMBERED", 2)
    checks = Checks()
    paths = [place(tmp_path, number=number) for number in range(3)]
    for path in (paths[0], paths[1], paths[0], paths[1], paths[2], paths[1], paths[2], paths[0]):
        checks.require(path, whole=True)
    assert read == ["0", "1", "2", "0"]


def test_a_file_without_a_digest_or_that_is_missing_passes(tmp_path: Path, read: list[str]) -> None:
    checks, path = Checks(), place(tmp_path)
    path.unlink()
    checks.require(path, whole=True)
    old = path.with_name(f"{ID}.parquet")
    old.write_bytes(b"anything")
    checks.require(old, whole=True)
    assert read == []


def test_a_file_that_cannot_be_read_passes_and_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, path = Checks(), place(tmp_path, b"rovs")

    def fails(*_: object) -> str:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(addresses, "digest_of", fails)
        checks.require(path, whole=True)
    with pytest.raises(ArtifactUnreadable):
        checks.require(path, whole=True)
