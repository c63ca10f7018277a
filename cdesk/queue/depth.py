"""The true queue depth: records that stand in the queue and have not landed, over all files and
processes.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdesk.queue.files import count_lines, look_at
from cdesk.queue.writer import FILE_NAME, SEALED_SUFFIX


@dataclass(frozen=True, slots=True)
class Depth:
    """Undelivered whole lines and bytes, and in how many files."""

    lines: int
    bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """How much of one file has landed: its first `next_offset` bytes, which hold `records`
    lines.
    """

    next_offset: int
    records: int


def read_delivered(state: sqlite3.Connection) -> dict[str, Delivered]:
    """What `state.db` knows to have landed, by logical file name. Raises sqlite3.Error."""
    rows = state.execute("select source_file, next_offset, records from checkpoints")
    return {name: Delivered(next_offset, records) for name, next_offset, records in rows}


class DepthCounter:
    """Counts exactly and cheaply: each byte of a queue file is read once, however often one asks.

    Holds no state that matters: a new counter counts the same.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counted: dict[str, tuple[int, int]] = {}

    def measure(self, delivered: Mapping[str, Delivered]) -> Depth:
        """The depth, given what has landed of each file by its logical name.

        Raises:
            OSError: the queue cannot be read.
        """
        lines = size = 0
        seen: dict[str, tuple[int, int]] = {}
        for name, path, length in _files(self._folder):
            landed = delivered.get(name, _NOTHING)
            if length <= landed.next_offset:
                continue
            counted, found = self._counted.get(name, (0, 0))
            if counted > length or counted < landed.next_offset:
                counted, found = landed.next_offset, landed.records
            if length > counted:
                try:
                    found += count_lines(path, counted, length)
                except FileNotFoundError:  # sealed or archived since the listing
                    try:
                        found += count_lines(path.with_name(name), counted, length)
                    except OSError:
                        continue
                except OSError:  # held from the next listing on
                    continue
            seen[name] = (length, found)
            lines += found - landed.records
            size += length - landed.next_offset
        self._counted = seen
        return Depth(max(lines, 0), size, len(seen))

    def undelivered_bytes(self, delivered: Mapping[str, Delivered]) -> int:
        """The bytes alone, without reading a file. Divided by the shortest possible line, an upper
        bound of the depth.
        """
        return sum(
            max(0, length - delivered.get(name, _NOTHING).next_offset)
            for name, _, length in _files(self._folder)
        )


_NOTHING: Final = Delivered(0, 0)


def _files(folder: Path) -> list[tuple[str, Path, int]]:
    """Logical name, path and size of each queue file that can be read."""
    found: list[tuple[str, Path, int]] = []
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return found
    for entry in entries:
        if match := FILE_NAME.match(entry.name):
            length = look_at(entry)
            if not isinstance(length, int):
                continue
            found.append(
                (
                    f"{match['writer']}-{match['sequence']}{SEALED_SUFFIX}",
                    folder / entry.name,
                    length,
                )
            )
    return found
