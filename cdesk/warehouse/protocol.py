"""What an engine does for the rest of the system. Two engines keep it: DuckDB (embedded default)
and Snowflake.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from cdesk.contract.catalog import Template
from cdesk.core.errors import WarehouseRewound
from cdesk.state.snapshot import ContextRow

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class LandedLine:
    """One row of `landing`. `payload` is JSON text, `source_offset` the byte offset of the line's
    first byte.
    """

    id: str
    kind: str
    payload: str
    source_file: str
    source_offset: int


@dataclass(frozen=True, slots=True)
class LandResult:
    """`landed_at` (UTC, microseconds) is the same for all rows of the transaction, and later than
    any before.

    `previous` is the latest one that stood there before. waited: seconds until the engine's turn
    came, others' work and not the landing's.
    """

    rows: int
    landed_at: datetime
    previous: datetime | None = None
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """A running query's answer. `batches` are streamed: read them inside the context.

    `as_of` (UTC) is the latest landing that the query could see; the epoch where nothing has
    landed.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Stretch:
    """How an engine takes in a backlog.

    land: append the lines of all batches in one transaction, the next batch asked for while the one
    before is taken in; else as `Warehouse.land`. rows: so many lines in one go cost it least.
    """

    rows: int
    land: Callable[[Iterable[Sequence[LandedLine]], datetime | None], LandResult]


def require_after(previous: datetime | None, after: datetime | None) -> None:
    """Raises WarehouseRewound where the latest landing, `previous`, is older than one that is known
    to have happened.
    """
    if after is not None and (previous is None or previous < after):
        raise WarehouseRewound(
            "the warehouse was put back to an older state; it is asked anew what it holds"
        )


class Warehouse(Protocol):
    """One engine. Every method may raise, and raises nothing else:

    WarehouseUnavailable: down, locked or too slow; worth trying again.
    WarehouseNotBuilt: the tables are not there yet; run a build.
    WarehouseError: the engine refused; trying the same again is no use.
    """

    dialect: str

    def land(self, lines: Sequence[LandedLine], *, after: datetime | None = None) -> LandResult:
        """Append `lines` to `landing` in one transaction: all of them, or none.

        Raises:
            WarehouseRewound: the latest landing there is older than `after`; nothing was appended.
        """

    def bulk(self) -> AbstractContextManager[Stretch | None]:
        """Landings of this thread inside the context may share a connection, and several batches a
        transaction, where the engine gains by it. Others may have to wait: keep it to a few
        seconds.
        """

    def reading(
        self, templates: Sequence[Template] = (), *, cancel: threading.Event | None = None
    ) -> AbstractContextManager[None]:
        """Runs of `templates` by this thread inside the context may share a connection, and on the
        embedded engine see one state of the data.
        """

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        """The greatest `source_offset` that has landed from each file; a file of which nothing has
        landed is left out.
        """

    def last_landing(self) -> datetime | None:
        """The latest `landed_at` (UTC), None where nothing has landed."""

    def run_template(
        self,
        template: Template,
        binds: Sequence[object],
        *,
        query_tag: str,
        timeout_seconds: float,
        cancel: threading.Event | None = None,
        whole: bool = False,
    ) -> AbstractContextManager[QueryOutcome]:
        """Run a cataloged template, read-only, with `binds` bound by position.

        whole: the answer is small and read at once, so that it need not be streamed.

        `timeout_seconds` holds from the start to the last batch. A query that ran out of time
        raises QueryTimedOut, one whose `cancel` was set QueryCancelled: on entering or from the
        iterator, whichever it reaches first.
        """

    def read_template(
        self,
        template: Template,
        binds: Sequence[object],
        *,
        query_tag: str,
        timeout_seconds: float,
        cancel: threading.Event | None = None,
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """All rows of a cataloged template whose answer is small, as Python's values, and the names
        of its columns. Else as `run_template`.
        """

    def explain_template(
        self, template: Template, binds: Sequence[object], *, query_tag: str
    ) -> str:
        """The engine's plan with its estimates, without running the query."""

    def export_context(self, *, since: str | None) -> Iterator[ContextRow]:
        """Rows of `context_cache` whose `updated_at` is later than `since` (RFC 3339), all of them
        when it is None.
        """

    def building(self) -> AbstractContextManager[None]:
        """A build of the tables runs inside the context, in another process of ours. On the
        embedded engine questions are answered from before it meanwhile, where they can be.
        """

    def data_state(self, customer: str | None, *, system: bool) -> str | None:
        """A text that stays the same as long as this process knows that nothing has landed or been
        built that concerns the customer's questions, or anybody's where that is None; `system`
        where the system's own activities count. None where it can't tell: ask.
        """

    def data_version(self) -> str:
        """A short text that changes whenever landing or building could change an answer."""

    def close(self) -> None:
        """Give up connections. The object can be used again afterwards."""
