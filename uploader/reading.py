"""Lines of a queue file from an offset on, in bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

from cdesk.contract.records import MAX_LINE_BYTES

BLOCK_BYTES: Final = 1024 * 1024
HEAD_BYTES: Final = 4096
"""How much of an overlong line is kept to show what it was."""
TAIL_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive lines without their line feeds. `end` is the offset behind the last one.

    `torn` says that the last line has no line feed; `overlong` is the length of the one line in it
    that was too long to be kept whole.
    """

    start: int
    lines: list[bytes]
    end: int
    torn: bool = False
    overlong: int | None = None


def read_blocks(
    path: Path, offset: int, *, whole: bool, block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """Blocks from `offset` to the last line feed; where the file is `whole` (nobody writes to it)
    to its very end.

    Raises:
        OSError: the file cannot be read.
    """
    block_bytes = max(block_bytes, MAX_LINE_BYTES + 1)
    with path.open("rb") as file:
        file.seek(offset)
        while data := file.read(block_bytes):
            cut = data.rfind(b"\n") + 1
            if cut:
                lines = data[: cut - 1].split(b"\n")
                yield Block(offset, lines, offset + cut)
                offset += cut
                if cut < len(data):
                    file.seek(offset)
                    if len(data) < block_bytes and not whole:
                        return
                continue
            if len(data) < block_bytes:  # the rest has no line feed
                if whole:
                    yield Block(offset, [data], offset + len(data), torn=True)
                return
            end, ended = _skip_line(file, offset + len(data))
            if not ended and not whole:
                return
            yield Block(
                offset, [data[:HEAD_BYTES]], end, torn=not ended, overlong=end - offset - ended
            )
            offset = end
            file.seek(offset)


def _skip_line(file: BufferedReader, offset: int) -> tuple[int, bool]:
    """The offset behind the next line feed, and whether there was one before the end of the
    file.
    """
    while data := file.read(BLOCK_BYTES):
        if (index := data.find(b"\n")) >= 0:
            return offset + index + 1, True
        offset += len(data)
    return offset, False


def is_blank(line: bytes) -> bool:
    """Whether a line is one that was erased: blanks alone (uploader/erasing.py)."""
    return line[:1] == b" " and not line.strip(b" ")


def behind_blank(path: Path, offset: int) -> tuple[int, int]:
    """The offset behind the blank lines that begin at `offset`, and how many they are.

    Raises:
        OSError: the file cannot be read.
    """
    count = 0
    with path.open("rb") as file:
        file.seek(offset)
        while file.read(1) == b" ":
            file.seek(offset)
            line = file.readline(MAX_LINE_BYTES + 1)
            if not line.endswith(b"\n") or not is_blank(line[:-1]):
                break
            offset += len(line)
            count += 1
    return offset, count


def tail_crc(path: Path, offset: int) -> int:
    """A checksum of the last bytes before `offset`: tells whether a file is still the one of which
    so much has landed.

    Raises:
        OSError: the file cannot be read. ValueError: it is shorter than `offset`.
    """
    if offset == 0:
        return 0
    start = max(0, offset - TAIL_BYTES)
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(offset - start)
    if len(data) != offset - start:
        raise ValueError(f"{path.name} is shorter than {offset}")
    return zlib.crc32(data)


def line_end(path: Path, offset: int) -> int | None:
    """The offset behind the line that starts at `offset`, or None where no line starts or the file
    is shorter.
    """
    with path.open("rb") as file:
        if offset:
            file.seek(offset - 1)
            if file.read(1) != b"\n":
                return None
        if not file.read(1):
            return None
        file.seek(offset)
        end, _ = _skip_line(file, offset)
        return end
