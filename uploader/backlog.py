"""What was brought in and waits for its turn: sealed queue files in a folder of their own, let into
the queue a file at a time while the queue is short. So years of history never count as a long queue
(which would shed live events), and a live event waits for one small file at most.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory, keep_private
from cdesk.queue.files import finish_leftovers
from cdesk.queue.writer import OPEN_SUFFIX, SEALED_SUFFIX, QueueWriter

log = logging.getLogger("cdesk.backlog")

FILE_RECORDS: Final = 2_000
"""Records of one file: what a live event may have to wait for."""
_AT_ONCE: Final = 256
"""Lines that are written at once."""
SHORT_QUEUE: Final = 4_000
"""The queue is let fill up to here."""


class HistoryBacklog:
    """The folder `backlog` of a state directory."""

    def __init__(self, home: StateDirectory) -> None:
        self.folder = home.backlog
        self._queue = home.queue

    def waiting(self) -> list[Path]:
        """The files that wait, oldest first."""
        try:
            return sorted(self.folder.glob(f"*{SEALED_SUFFIX}"))
        except OSError:
            return []

    def waiting_bytes(self) -> int:
        total = 0
        for path in self.waiting():
            try:
                total += path.stat().st_size
            except OSError:
                continue
        return total

    def admit(self, depth: int) -> int:
        """Let files into the queue while it is short; how many."""
        if not self.folder.exists():
            return 0
        finish_leftovers(self.folder)  # of an import that was killed
        moved = 0
        for path in self.waiting():
            if path.name.endswith(OPEN_SUFFIX):  # an import is under way
                continue
            if depth + moved * FILE_RECORDS >= SHORT_QUEUE:
                break
            try:
                path.rename(self._queue / path.name)
            except OSError as error:
                log.warning("%s cannot be moved into the queue (%s)", path.name, error.strerror)
                break
            moved += 1
        return moved


class BacklogWriter:
    """Writes lines into the backlog, a file for each `FILE_RECORDS`."""

    def __init__(self, home: StateDirectory) -> None:
        self._folder = home.backlog
        keep_private()
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StateDirectoryError(
                f"{self._folder} cannot be made ({error.strerror}); mend the permissions of its "
                "parent"
            ) from None
        self._writer = QueueWriter(self._folder)
        self._lines = 0

    def write(self, lines: Sequence[bytes]) -> None:
        """Raises QueueWriteError."""
        done = 0
        while done < len(lines):
            part = lines[done : done + min(FILE_RECORDS - self._lines, _AT_ONCE)]
            self._writer.append(b"".join(part))
            done += len(part)
            self._lines += len(part)
            if self._lines >= FILE_RECORDS:
                self._writer.seal()
                self._lines = 0

    def close(self) -> None:
        self._writer.close()
