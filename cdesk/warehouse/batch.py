"""Many landed lines as columns: what an uploader makes and a bulk load takes, without an object a
line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from cdesk.warehouse.protocol import LandedLine


class LineBatch(Sequence[LandedLine]):
    """A sequence of `LandedLine` kept column by column. `payloads` are UTF-8 JSON texts."""

    __slots__ = ("ids", "kinds", "offsets", "payloads", "source_files")

    def __init__(
        self,
        ids: list[str] | None = None,
        kinds: list[str] | None = None,
        payloads: list[bytes] | None = None,
        source_files: list[str] | None = None,
        offsets: list[int] | None = None,
    ) -> None:
        self.ids = ids if ids is not None else []
        self.kinds = kinds if kinds is not None else []
        self.payloads = payloads if payloads is not None else []
        self.source_files = source_files if source_files is not None else []
        self.offsets = offsets if offsets is not None else []

    @classmethod
    def of(cls, lines: Sequence[LandedLine]) -> LineBatch:
        """`lines` itself when it is a batch already, else its columns."""
        if isinstance(lines, LineBatch):
            return lines
        batch = cls()
        for line in lines:
            batch.append(
                line.id,
                line.kind,
                line.payload.encode("utf-8"),
                line.source_file,
                line.source_offset,
            )
        return batch

    def append(self, id: str, kind: str, payload: bytes, source_file: str, offset: int) -> None:
        self.ids.append(id)
        self.kinds.append(kind)
        self.payloads.append(payload)
        self.source_files.append(source_file)
        self.offsets.append(offset)

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> LandedLine: ...
    @overload
    def __getitem__(self, index: slice) -> LineBatch: ...
    def __getitem__(self, index: int | slice) -> LandedLine | LineBatch:
        if isinstance(index, slice):
            return LineBatch(
                self.ids[index],
                self.kinds[index],
                self.payloads[index],
                self.source_files[index],
                self.offsets[index],
            )
        return LandedLine(
            self.ids[index],
            self.kinds[index],
            self.payloads[index].decode("utf-8"),
            self.source_files[index],
            self.offsets[index],
        )

    def __iter__(self) -> Iterator[LandedLine]:
        return (self[index] for index in range(len(self)))
