"""What was quarantined: list it, look at it, replay it after a fix, or put it away for good.

A replay puts the line back into the queue, so that it takes the way of every record and `events`
holds it once however often it is replayed. What was replayed or discarded is marked in state.db;
the rows of `quarantined_events` stay, as everything landed does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from cdesk.contract.catalog import Template
from cdesk.contract.records import encode, parse_line, without_credentials
from cdesk.core.clock import IdSource, format_ts, to_ns
from cdesk.core.errors import Drift, InvalidField, NotFound
from cdesk.core.identity import ANALYST, Caller
from cdesk.query.internal import read_rows
from cdesk.queue.writer import QueueWriter
from cdesk.warehouse.protocol import Warehouse

TEMPLATE: Final = "quarantined_lines"
MOST_ROWS: Final = 100_000
TIMEOUT_SECONDS: Final = 30.0
Action = Literal["replayed", "discarded"]
Verdict = Literal["replayed", "already", "still_refused", "not_whole"]


@dataclass(frozen=True, slots=True)
class QuarantinedLine:
    """One line. `landed_at` is RFC 3339 in UTC; `action` says what has been done about it, None
    where nothing has.
    """

    quarantine_id: str
    kind: str
    reason: str
    detail: str | None
    raw: str
    source_file: str
    source_offset: int
    landed_at: str
    action: Action | None


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of one line: back in the queue, back already, still no record (`detail` says
    why), or not kept whole.
    """

    quarantine_id: str
    verdict: Verdict
    detail: str | None = None


class Quarantine:
    """The quarantine of one warehouse, with the marks of one state directory."""

    def __init__(
        self,
        warehouse: Warehouse,
        template: Template,
        state: sqlite3.Connection,
        *,
        customer: str,
        ids: IdSource | None = None,
    ) -> None:
        self._warehouse = warehouse
        self._template = template
        self._state = state
        self._customer = customer
        self._ids = ids or IdSource()

    def lines(
        self, *, reason: str | None = None, limit: int = 50, done_too: bool = False
    ) -> list[QuarantinedLine]:
        """The newest lines of which nothing has been made yet; with `done_too` the others as well.

        Raises:
            WarehouseError: the warehouse cannot be asked.
        """
        wanted = limit if done_too else min(MOST_ROWS, limit + len(self._marks()))
        found = self._ask({"reason": reason, "limit": wanted})
        return [line for line in found if done_too or line.action is None][:limit]

    def line(self, quarantine_id: str) -> QuarantinedLine:
        """Raises NotFound."""
        found = self._ask({"quarantine_id": quarantine_id, "limit": 1})
        if not found:
            raise NotFound(
                f"{quarantine_id[:60]!r} is not in quarantine (or not built yet); 'cdesk "
                "quarantine list' shows what is"
            )
        return found[0]

    def replay(
        self, lines: Iterable[QuarantinedLine], queue: QueueWriter, *, now: str
    ) -> list[Replay]:
        """Put the lines that keep the contract now back into the queue; what became of each.

        Raises:
            QueueWriteError: the queue cannot be written. What came before is back and marked.
        """
        return [self._replay(line, queue, now) for line in lines]

    def _replay(self, line: QuarantinedLine, queue: QueueWriter, now: str) -> Replay:
        if line.action == "replayed":
            return Replay(line.quarantine_id, "already")
        if line.reason in ("too_long", "not_utf8"):
            return Replay(
                line.quarantine_id, "not_whole", "its bytes stand in the archived queue file only"
            )
        if line.reason == "id_conflict":
            return Replay(line.quarantine_id, "still_refused", f"its id is taken: {line.detail}")
        raw = line.raw.encode("utf-8")
        try:
            record = parse_line(raw)
            # Whoever wrote the line may have known nothing of credentials.
            clean = without_credentials(record["kind"], record)
            queue.append(raw + b"\n" if clean is record else encode(dict(clean)))
        except (Drift, InvalidField) as error:
            return Replay(line.quarantine_id, "still_refused", str(error))
        self._mark(line.quarantine_id, "replayed", now)
        return Replay(line.quarantine_id, "replayed")

    def discard(self, lines: Iterable[QuarantinedLine], *, now: str) -> int:
        """Mark lines as nothing to be made of; how many were not marked before."""
        changed = 0
        for line in lines:
            if line.action is None:
                self._mark(line.quarantine_id, "discarded", now)
                changed += 1
        return changed

    def _ask(self, params: Mapping[str, Any]) -> list[QuarantinedLine]:
        marks = self._marks()
        answer = read_rows(
            self._warehouse,
            self._template,
            {name: value for name, value in params.items() if value is not None},
            Caller(self._customer, frozenset({ANALYST})),
            query_tag=self._ids.query_tag(),
            timeout_seconds=TIMEOUT_SECONDS,
        )
        return [_line(row, marks) for row in answer.rows]

    def _marks(self) -> dict[str, Action]:
        return dict(
            self._state.execute("select quarantine_id, action from quarantine_marks").fetchall()
        )

    def _mark(self, quarantine_id: str, action: Action, now: str) -> None:
        self._state.execute(
            "insert or replace into quarantine_marks (quarantine_id, action, at) values (?, ?, ?)",
            (quarantine_id, action, now),
        )


def _line(row: Mapping[str, Any], marks: Mapping[str, Action]) -> QuarantinedLine:
    landed_at: datetime = row["landed_at"]
    return QuarantinedLine(
        quarantine_id=row["quarantine_id"],
        kind=row["kind"],
        reason=row["reason"],
        detail=row["detail"],
        raw=row["raw"] or "",
        source_file=row["source_file"],
        source_offset=int(row["source_offset"]),
        landed_at=format_ts(to_ns(landed_at.replace(tzinfo=landed_at.tzinfo or UTC))),
        action=marks.get(row["quarantine_id"]),
    )
