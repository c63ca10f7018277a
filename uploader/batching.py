"""From lines to batches: each line checked, its row made, in writing order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cdesk.core.errors import Drift
from cdesk.queue.files import QueueFile
from cdesk.warehouse.batch import LineBatch
from uploader.reading import Block, is_blank
from uploader.validation import (
    QUARANTINE,
    check,
    fast_check,
    overlong,
    quarantine_id,
    quarantine_payload,
    torn,
)


@dataclass(frozen=True, slots=True)
class Reached:
    """How far lines have got in one file.

    next_offset: behind the last of them. last_offset: where it begins. records: how many whole
    lines they are, blank ones before them included.
    """

    file: QueueFile
    next_offset: int
    last_offset: int
    records: int


@dataclass(slots=True)
class Prepared:
    """A batch ready to land.

    ends[i]: the offset behind line i. torn: the lines that have no line feed. reasons: line → why
    it is quarantined. blank: line → how many blank ones, of an erased customer, stand before it.
    files: by their logical name.
    """

    batch: LineBatch = field(default_factory=LineBatch)
    ends: list[int] = field(default_factory=list)
    torn: set[int] = field(default_factory=set)
    reasons: dict[int, str] = field(default_factory=dict)
    blank: dict[int, int] = field(default_factory=dict)
    files: dict[str, QueueFile] = field(default_factory=dict)
    bytes: int = 0

    def reached(self, start: int = 0, end: int | None = None) -> list[Reached]:
        """What lines [start, end) stand for, file by file in the order of their last lines."""
        end = len(self.ends) if end is None else end
        names = self.batch.source_files[start:end]
        last = dict(zip(names, range(start, end), strict=True))
        records = Counter(names)
        for line in self.torn:  # a torn line is a file's last
            if start <= line < end:
                records[names[line - start]] -= 1
        for line, blank in self.blank.items():
            if start <= line < end:
                records[names[line - start]] += blank
        return [
            Reached(self.files[name], self.ends[line], self.batch.offsets[line], records[name])
            for name, line in last.items()
        ]


class Batcher:
    """Collects lines; hands out a batch when it has `rows()` of them or `most_bytes`."""

    def __init__(self, *, rows: Callable[[], int], most_bytes: int) -> None:
        self._rows = rows
        self._most_bytes = most_bytes
        self._open = Prepared()

    def add(self, file: QueueFile, block: Block) -> Iterator[Prepared]:
        """The batches that this block fills."""
        name = file.name
        offset = block.start
        most_rows = self._rows()
        prepared = self._start(file)
        batch, ends = prepared.batch, prepared.ends
        ids, kinds, payloads = batch.ids, batch.kinds, batch.payloads
        files, offsets = batch.source_files, batch.offsets
        last = len(block.lines) - 1
        blank = 0
        for index, line in enumerate(block.lines):
            end = offset + len(line) + 1
            is_torn = False
            if index == last:
                end, is_torn = block.end, block.torn
            found = None if is_torn else fast_check(line)
            if found is not None:
                ids.append(found)
                kinds.append("event")
                payloads.append(line)
            elif is_blank(line) and not is_torn:
                blank += 1
                offset = end
                continue
            else:
                row = len(ends)
                if is_torn:
                    prepared.torn.add(row)
                id, kind, payload = _row(
                    line,
                    name,
                    offset,
                    prepared.reasons,
                    row,
                    is_torn=is_torn,
                    too_long=block.overlong,
                )
                ids.append(id)
                kinds.append(kind)
                payloads.append(payload)
            if blank:
                prepared.blank[len(ends)] = blank
                blank = 0
            files.append(name)
            offsets.append(offset)
            ends.append(end)
            prepared.bytes += end - offset
            offset = end
            if len(ends) >= most_rows or prepared.bytes >= self._most_bytes:
                yield prepared
                self._open = Prepared()
                most_rows = self._rows()
                prepared = self._start(file)
                batch, ends = prepared.batch, prepared.ends
                ids, kinds, payloads = batch.ids, batch.kinds, batch.payloads
                files, offsets = batch.source_files, batch.offsets

    def rest(self) -> Prepared | None:
        """What has been collected and not handed out."""
        prepared, self._open = self._open, Prepared()
        return prepared if prepared.ends else None

    def _start(self, file: QueueFile) -> Prepared:
        self._open.files[file.name] = file
        return self._open


def _row(
    line: bytes,
    name: str,
    offset: int,
    reasons: dict[int, str],
    row: int,
    *,
    is_torn: bool,
    too_long: int | None,
) -> tuple[str, str, bytes]:
    """Id, kind and payload of a line that the fast check did not take."""
    try:
        if is_torn:
            raise torn()
        if too_long is not None:
            raise overlong(too_long)
        id, kind = check(line)
    except Drift as drift:
        reasons[row] = drift.reason
        return (
            quarantine_id(name, offset),
            QUARANTINE,
            quarantine_payload(line, drift.reason, drift.detail),
        )
    return id, kind, line
