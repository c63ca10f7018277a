"""How far a queue file has landed, and whether it is still the file that landed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from cdesk.queue.files import QueueFile, count_lines
from uploader.checkpoints import Progress
from uploader.reading import line_end, tail_crc

T = TypeVar("T")

_CONTRADICTION: Final = -1
"""A tail_crc that no file has."""


def resume(file: QueueFile, position: int, cached: Progress | None) -> Progress:
    """How far `file` has landed, given the warehouse's greatest offset (-1: nothing) and what was
    remembered.
    """
    if position < 0:
        return Progress()
    contradiction = Progress(position + 1, position, 0, _CONTRADICTION)
    if cached is not None and cached.last_offset == position and cached != contradiction:
        return cached

    def measured(path: Path) -> Progress:
        end = line_end(path, position)
        if end is None:
            return contradiction
        return Progress(end, position, count_lines(path, 0, end), tail_crc(path, end))

    try:
        return wherever(file, measured)
    except (OSError, ValueError):
        return contradiction


def is_still(file: QueueFile, progress: Progress, size: int) -> bool:
    """Whether the file still begins with what has landed of it (it may have been cut, or replaced
    by another).
    """
    if size < progress.next_offset:
        return False
    try:
        return tail_crc(file.path, progress.next_offset) == progress.tail_crc
    except ValueError:
        return False


def wherever(file: QueueFile, read: Callable[[Path], T]) -> T:
    """What `read` finds in the file, which its writer may have sealed, and so renamed, since it was
    listed.
    """
    try:
        return read(file.path)
    except FileNotFoundError:
        return read(file.path.with_name(file.name))
