"""Lines are read up to the last line feed, and one beyond all measure is passed by."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from cdesk.contract.records import MAX_LINE_BYTES
from uploader.reading import (
    BLOCK_BYTES,
    HEAD_BYTES,
    TAIL_BYTES,
    Block,
    behind_blank,
    is_blank,
    line_end,
    read_blocks,
    tail_crc,
)

LEAST = MAX_LINE_BYTES + 1
"""Bytes of a block at least."""


def blocks(path: Path, data: bytes, *, whole: bool, offset: int = 0) -> list[Block]:
    path.write_bytes(data)
    return list(read_blocks(path, offset, whole=whole, block_bytes=1))


@pytest.mark.parametrize("whole", [False, True])
def test_what_has_no_line_feed_yet_is_read_where_nobody_writes_any_more(
    whole: bool, tmp_path: Path
) -> None:
    path = tmp_path / "x.ndjson"
    torn = [Block(4, [b"c"], 5, torn=True)] if whole else []
    assert blocks(path, b"a\nb\nc", whole=whole) == [Block(0, [b"a", b"b"], 4), *torn]
    torn = [Block(2, [b"b"], 3, torn=True)] if whole else []
    assert blocks(path, b"a\nb", whole=whole, offset=2) == torn
    assert blocks(path, b"a\n", whole=whole, offset=2) == []
    assert blocks(path, b"\na\n", whole=whole) == [Block(0, [b"", b"a"], 3)]


@pytest.mark.parametrize("whole", [False, True])
def test_a_line_beyond_all_measure_is_told_by_its_head_and_the_next_one_read(
    whole: bool, tmp_path: Path
) -> None:
    path = tmp_path / "x.ndjson"
    size = 2 * LEAST + 5
    line = b"h" * HEAD_BYTES + b"x" * (size - HEAD_BYTES)
    long = Block(2, [b"h" * HEAD_BYTES], 2 + size + 1, overlong=size)
    assert blocks(path, b"a\n" + line + b"\nb\n", whole=whole) == [
        Block(0, [b"a"], 2),
        long,
        Block(size + 3, [b"b"], size + 5),
    ]
    torn = Block(2, [b"h" * HEAD_BYTES], 2 + size, torn=True, overlong=size)
    assert blocks(path, b"a\n" + line, whole=whole, offset=2) == ([torn] if whole else [])


@pytest.mark.parametrize("whole", [False, True])
def test_a_line_that_fills_a_block_is_no_longer_than_it(whole: bool, tmp_path: Path) -> None:
    full = b"x" * (LEAST - 1) + b"\n"
    assert blocks(tmp_path / "x.ndjson", full + full + b"a\n", whole=whole) == [
        Block(0, [full[:-1]], LEAST),
        Block(LEAST, [full[:-1]], 2 * LEAST),
        Block(2 * LEAST, [b"a"], 2 * LEAST + 2),
    ]


def test_a_block_says_nothing_of_lines_that_are_whole() -> None:
    block = Block(0, [b"a"], 2)
    assert (block.torn, block.overlong) == (False, None)
    assert BLOCK_BYTES == 2**20


def test_what_is_behind_the_last_line_feed_is_read_with_the_next_block(tmp_path: Path) -> None:
    """A block ends at a line feed, and the next one begins there."""
    half = b"x" * (LEAST // 2) + b"\n"
    data = half * 3 + b"tail"
    path = tmp_path / "x.ndjson"
    size = len(half)
    assert blocks(path, data, whole=False) == [
        Block(0, [half[:-1]], size),
        Block(size, [half[:-1]], 2 * size),
        Block(2 * size, [half[:-1]], 3 * size),
    ]
    assert blocks(path, data, whole=True)[-1] == Block(
        *(3 * size, [b"tail"], 3 * size + 4), torn=True
    )


@pytest.mark.parametrize("whole", [False, True])
def test_a_line_without_an_end_that_is_as_long_as_a_block(whole: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    torn = Block(0, [b"x" * HEAD_BYTES], LEAST, torn=True, overlong=LEAST)
    assert blocks(path, b"x" * LEAST, whole=whole) == ([torn] if whole else [])
    short = Block(0, [b"x" * (LEAST - 1)], LEAST - 1, torn=True)
    assert blocks(path, b"x" * (LEAST - 1), whole=whole) == ([short] if whole else [])


def test_the_first_line_feed_ends_a_line_beyond_all_measure(tmp_path: Path) -> None:
    line = b"x" * (LEAST + 1)
    assert blocks(tmp_path / "x.ndjson", line + b"\n\nb\n", whole=True) == [
        Block(0, [b"x" * HEAD_BYTES], LEAST + 2, overlong=LEAST + 1),
        Block(LEAST + 2, [b"", b"b"], LEAST + 5),
    ]
    exact = b"x" * LEAST
    assert blocks(tmp_path / "x.ndjson", exact + b"\nb\n", whole=True) == [
        Block(0, [b"x" * HEAD_BYTES], LEAST + 1, overlong=LEAST),
        Block(LEAST + 1, [b"b"], LEAST + 3),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [(b" ", True), (b"   ", True), (b"", False), (b" x", False), (b"x ", False), (b" \t", False)],
)
def test_a_line_that_was_erased_is_of_blanks_alone(line: bytes, expected: bool) -> None:
    assert is_blank(line) is expected


@pytest.mark.parametrize(
    ("data", "offset", "expected"),
    [
        (b"   \n \n{}\n", 0, (6, 2)),
        (b"{}\n   \n", 3, (7, 1)),
        (b"{}\n   \n", 0, (0, 0)),
        (b" x\n", 0, (0, 0)),
        (b" \n  x\n", 0, (2, 1)),
        (b"  \n   ", 0, (3, 1)),
        (b"  ", 0, (0, 0)),
        (b"", 0, (0, 0)),
        (b" " * MAX_LINE_BYTES + b"\n{}\n", 0, (MAX_LINE_BYTES + 1, 1)),
        (b" " * (MAX_LINE_BYTES + 1) + b"\n{}\n", 0, (0, 0)),
    ],
)
def test_what_was_erased_is_passed_by_line_by_line(
    tmp_path: Path, data: bytes, offset: int, expected: tuple[int, int]
) -> None:
    path = tmp_path / "x.ndjson"
    path.write_bytes(data)
    assert behind_blank(path, offset) == expected


def test_a_file_is_told_by_the_last_bytes_that_landed(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    data = bytes(range(1, 201))
    path.write_bytes(data)
    assert tail_crc(path, 0) == 0
    for offset in (1, 2, TAIL_BYTES - 1, TAIL_BYTES, TAIL_BYTES + 1, 200):
        assert tail_crc(path, offset) == zlib.crc32(data[max(0, offset - 64) : offset])
    with pytest.raises(ValueError, match=r"x\.ndjson is shorter than 201"):
        tail_crc(path, 201)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(0, 3), (3, 4), (4, 6), (1, None), (2, None), (5, None), (6, None), (7, None)],
)
def test_a_line_begins_behind_a_line_feed_and_ends_behind_the_next(
    tmp_path: Path, offset: int, expected: int | None
) -> None:
    path = tmp_path / "x.ndjson"
    path.write_bytes(b"ab\n\nc\n")
    assert line_end(path, offset) == expected
    path.write_bytes(b"ab\ncd")
    assert line_end(path, 3) == 5, "the end of the file ends a line, too"
    path.write_bytes(b"")
    assert line_end(path, 0) is None
