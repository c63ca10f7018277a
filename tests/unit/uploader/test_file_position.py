"""How far a file has landed, by the warehouse's word and what was remembered of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdesk.queue.files import QueueFile
from uploader.checkpoints import Progress
from uploader.file_position import is_still, resume, wherever
from uploader.reading import tail_crc

DATA = b"a\nbb\nccc\n"


@pytest.fixture
def file(tmp_path: Path) -> QueueFile:
    path = tmp_path / f"{'a' * 32}-000001.open.ndjson"
    path.write_bytes(DATA)
    return QueueFile("a" * 32, 1, sealed=False, path=path)


def contradiction(position: int) -> Progress:
    """Of which no file is."""
    return Progress(position + 1, position, 0, -1)


@pytest.mark.parametrize(
    ("position", "end", "records"), [(-1, 0, 0), (0, 2, 1), (2, 5, 2), (5, 9, 3)]
)
def test_it_is_measured_by_the_line_that_landed_last(
    file: QueueFile, position: int, end: int, records: int
) -> None:
    expected = Progress(end, position, records, tail_crc(file.path, end))
    assert resume(file, position, None) == expected
    stale = Progress(1, 1, 1, 1)
    assert resume(file, position, stale) == expected
    if position >= 0:
        assert resume(file, position, contradiction(position)) == expected


def test_what_was_remembered_is_believed_where_the_warehouse_agrees(file: QueueFile) -> None:
    cached = Progress(5, 2, 7, 99)
    assert resume(file, 2, cached) is cached
    assert resume(file, -1, cached) == Progress()


@pytest.mark.parametrize("position", [1, 3, 9, 100])
def test_a_place_where_no_line_begins_contradicts_the_file(file: QueueFile, position: int) -> None:
    assert resume(file, position, None) == contradiction(position)
    assert not is_still(file, contradiction(position), 1_000)


def test_a_blank_line_at_the_start_counts(file: QueueFile) -> None:
    file.path.write_bytes(b"\n" + DATA)
    assert resume(file, 1, None).records == 2


def test_a_file_that_is_gone_contradicts_what_landed(file: QueueFile) -> None:
    file.path.unlink()
    assert resume(file, 0, None) == contradiction(0)


def test_a_file_is_still_the_one_of_which_so_much_landed(file: QueueFile) -> None:
    landed = Progress(5, 2, 2, tail_crc(file.path, 5))
    assert is_still(file, landed, 5)
    assert is_still(file, landed, 9)
    assert not is_still(file, landed, 4)
    assert is_still(file, Progress(), 0)
    file.path.write_bytes(b"x" + DATA[1:])
    assert not is_still(file, landed, 9), "another file"
    file.path.write_bytes(b"a\n")
    assert not is_still(file, landed, 9), "cut since it was measured"


def test_a_file_is_found_under_the_name_that_its_writer_gave_it_meanwhile(file: QueueFile) -> None:
    assert wherever(file, Path.read_bytes) == DATA
    file.path.rename(file.path.with_name(file.name))
    assert wherever(file, Path.read_bytes) == DATA
    assert resume(file, 2, None).records == 2
    file.path.with_name(file.name).unlink()
    with pytest.raises(FileNotFoundError):
        wherever(file, Path.read_bytes)
