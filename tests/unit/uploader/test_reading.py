"""Lines are read up to the last line feed, and one beyond all measure is passed by."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdesk.contract.records import MAX_LINE_BYTES
from uploader.reading import HEAD_BYTES, Block, read_blocks

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
