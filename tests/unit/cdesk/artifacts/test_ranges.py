"""A stored file elsewhere, read range by range: every byte right, and few requests."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from cdesk.artifacts import ranges
from cdesk.artifacts.ranges import RemoteFile, opened

CONTENT = bytes(range(23))
BLOCK = 4


class Memory(RemoteFile):
    """CONTENT as if it lay elsewhere; `asked`: the ranges that were fetched."""

    def __init__(self) -> None:
        super().__init__("a.parquet", len(CONTENT), "1")
        self.asked: list[tuple[int, int]] = []

    def fetch(self, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        return CONTENT[start:end]


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Memory:
    monkeypatch.setattr(ranges, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(ranges, "KEPT_BLOCKS", 3)
    return Memory()


def test_every_range_is_what_lies_there(remote: Memory) -> None:
    for start in range(25):
        for length in range(25):
            assert remote.read(start, length) == CONTENT[start : start + length], (start, length)
    assert all(start < end <= len(CONTENT) for start, end in remote.asked)
    assert (remote.name, remote.size, remote.version) == ("a.parquet", 23, "1")


def test_a_range_comes_in_one_request_of_whole_blocks(remote: Memory) -> None:
    remote.read(5, 10)
    assert remote.asked == [(4, 16)]


@pytest.mark.parametrize(
    ("start", "length", "asked"), [(4, 4, [(4, 8)]), (3, 2, [(0, 8)]), (20, 9, [(20, 23)])]
)
def test_no_block_is_asked_for_that_the_range_does_not_touch(
    remote: Memory, start: int, length: int, asked: list[tuple[int, int]]
) -> None:
    remote.read(start, length)
    assert remote.asked == asked


def test_what_is_known_is_not_asked_for_again_and_each_gap_is_one_request(remote: Memory) -> None:
    remote.read(8, 4)
    assert remote.read(0, 20) == CONTENT[:20]
    assert remote.asked == [(8, 12), (0, 8), (12, 20)]


def test_nothing_is_asked_for_where_nothing_is_wanted(remote: Memory) -> None:
    assert [remote.read(3, 0), remote.read(23, 1), remote.read(99, 9)] == [b"", b"", b""]
    assert remote.asked == []


def test_the_blocks_that_were_used_last_are_kept(remote: Memory) -> None:
    for block in (0, 1, 2):
        remote.read(block * BLOCK, 1)
    remote.read(0, 1)  # known, and used last from here on
    remote.read(3 * BLOCK, 1)
    remote.asked.clear()
    for block in (0, 2, 3):
        remote.read(block * BLOCK, 1)
    assert remote.asked == []
    remote.read(BLOCK, 1)
    assert remote.asked == [(4, 8)]


def test_a_file_object_reads_as_one_of_a_local_file_does(remote: Memory) -> None:
    local, file = io.BytesIO(CONTENT), opened(remote)
    assert not isinstance(file, Path)
    assert file.readable()
    assert file.seekable()
    for offset, whence in ((5, os.SEEK_SET), (3, os.SEEK_CUR), (-4, os.SEEK_END), (99, 0)):
        assert file.seek(offset, whence) == local.seek(offset, whence) == file.tell()
        assert file.read(6) == local.read(6)
        assert file.tell() == local.tell()
    for size in (-1, None, 0, 7):
        assert (file.seek(2), local.seek(2)) == (2, 2)
        assert file.read(size) == local.read(size)
        assert file.tell() == local.tell()
    assert file.seek(-99, os.SEEK_CUR) == 0
    given = bytearray(b"\xff" * 30)
    assert file.seek(20) == 20
    assert file.readinto(given) == 3  # type: ignore[attr-defined]
    assert given == CONTENT[20:] + b"\xff" * 27
    assert file.readinto(given) == 0  # type: ignore[attr-defined]


def test_a_source_opens_as_what_it_is(remote: Memory, tmp_path: Path) -> None:
    assert opened(tmp_path) == tmp_path
    of_bytes, one, other = opened(b"rows"), opened(remote), opened(remote)
    assert isinstance(of_bytes, io.BytesIO)
    assert of_bytes.read() == b"rows"
    assert not isinstance(one, Path)
    assert not isinstance(other, Path)
    assert one.read(2) == other.read(2) == CONTENT[:2], "each has a place of its own"
