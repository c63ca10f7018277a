"""A warehouse in memory that fails to order. It stands for the promise of
`cdesk.warehouse.protocol`: a landing is all or nothing, its outcome may be unknown (it landed, and
an error came back), and `positions` says what landed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

from cdesk.core.errors import WarehouseError, WarehouseUnavailable
from cdesk.state.snapshot import ContextRow
from cdesk.warehouse.protocol import LandedLine, LandResult, QueryOutcome, Stretch, require_after


def nothing(_: Sequence[LandedLine]) -> None:
    """Nothing goes wrong."""


class MemoryWarehouse:
    """`rows` are what has landed. `before` and `after` are called with each batch around its
    landing and may raise. stretch_rows: so many lines land in one transaction, 0 for each batch by
    itself.
    """

    dialect = "memory"

    def __init__(self, *, stretch_rows: int = 0) -> None:
        self.stretch_rows = stretch_rows
        self.rows: list[LandedLine] = []
        self.batches: list[int] = []
        self.stamps: list[datetime] = []
        self.asked = 0
        self.waited = 0.0
        self.before: Callable[[Sequence[LandedLine]], None] = nothing
        self.after: Callable[[Sequence[LandedLine]], None] = nothing

    def land(self, lines: Sequence[LandedLine], *, after: datetime | None = None) -> LandResult:
        self.before(lines)
        previous = self.stamps[-1] if self.stamps else None
        require_after(previous, after)
        stamp = (previous or datetime(2026, 1, 1, tzinfo=UTC)) + timedelta(microseconds=1)
        self.rows += lines
        self.stamps.append(stamp)
        self.batches.append(len(lines))
        self.after(lines)
        return LandResult(len(lines), stamp, previous, self.waited)

    @contextlib.contextmanager
    def bulk(self) -> Iterator[Stretch | None]:
        yield Stretch(self.stretch_rows, self.land_all) if self.stretch_rows else None

    def land_all(
        self, batches: Iterable[Sequence[LandedLine]], after: datetime | None
    ) -> LandResult:
        return self.land([line for batch in batches for line in batch], after=after)

    @contextlib.contextmanager
    def reading(self, templates: object = (), *, cancel: object = None) -> Iterator[None]:
        del templates, cancel
        yield

    def last_landing(self) -> datetime | None:
        return self.stamps[-1] if self.stamps else None

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        self.asked += 1
        wanted, found = set(source_files), dict[str, int]()
        for row in self.rows:
            if row.source_file in wanted:
                found[row.source_file] = max(found.get(row.source_file, -1), row.source_offset)
        return found

    def run_template(self, *_: object, **__: object) -> AbstractContextManager[QueryOutcome]:
        raise WarehouseError("not in memory")

    def read_template(self, *_: object, **__: object) -> tuple[list[str], list[tuple[Any, ...]]]:
        raise WarehouseError("not in memory")

    def explain_template(self, *_: object, **__: object) -> str:
        raise WarehouseError("not in memory")

    def export_context(self, *, since: str | None) -> Iterator[ContextRow]:  # noqa: ARG002
        yield from ()

    def building(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def data_state(self, customer: str | None, *, system: bool) -> str | None:  # noqa: ARG002
        return None

    def data_version(self) -> str:
        return str(len(self.batches))

    def close(self) -> None:
        pass


def unavailable(_: object = None) -> None:
    raise WarehouseUnavailable("down for the test")
