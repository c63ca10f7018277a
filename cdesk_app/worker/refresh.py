"""After a build: what the turn path reads is renewed, the context snapshot and the catalog."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdesk.core.clock import NowNs, format_ts, parse_ts, to_ns
from cdesk.core.errors import SnapshotDamaged
from cdesk.core.home import StateDirectory
from cdesk.state.snapshot import Renewal, SnapshotWriter
from cdesk.warehouse.protocol import Warehouse
from cdesk_app.worker.dbt.catalog_export import ExportReport, export_catalog

logger = logging.getLogger(__name__)

MARK: Final = "exported_through"
"""Meta key of context.db: the greatest `updated_at` that the snapshot holds. The next delta starts
behind it.
"""
WHOLE: Final = "whole_at"
"""Meta key of context.db: when a refresh last took all customers."""
WHOLE_SECONDS: Final = 86_400.0
"""A refresh takes all once in this time: who was erased, or whom retention deleted where the
warehouse is shared, is in no delta.
"""
DAMAGED_SUFFIX: Final = ".damaged"


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a refresh of the snapshot did.

    whole: all customers, not only those that changed since the last one. changed_customers:
        (customer, version), at most
    `SnapshotWriter.SAMPLE` of the `changed`. rebuilt: the file was damaged and is a new one. at:
    RFC 3339.
    """

    at: str
    changed: int
    removed: int
    whole: bool
    rebuilt: bool
    seconds: float
    changed_customers: tuple[tuple[str, str], ...]


def refresh_context(
    warehouse: Warehouse, home: StateDirectory, *, whole: bool = False, now_ns: NowNs = time.time_ns
) -> RefreshReport:
    """Bring context.db up to the warehouse's context_cache: the rows that changed since the last
    time, or all with `whole` and once a day.

    A damaged file is set aside (`context.db.damaged`) and made anew. Readers are never kept
    waiting.

    Raises:
        WarehouseUnavailable, WarehouseNotBuilt, WarehouseError: there was nothing to read; the
        snapshot stays as it is.
        SnapshotError: the snapshot cannot be written.
    """
    started = time.monotonic()
    writer = SnapshotWriter(home.context_db)
    at = format_ts(now_ns())
    rebuilt = False
    since = None if whole or _whole_due(writer, now_ns()) else writer.mark(MARK)
    try:
        renewal = _renew(warehouse, writer, since, at)
    except SnapshotDamaged as error:
        logger.warning("snapshot rebuilt", extra={"facts": {"reason": str(error)}})
        writer.set_aside(DAMAGED_SUFFIX)
        since, rebuilt = None, True
        renewal = _renew(warehouse, writer, since, at)
    return RefreshReport(
        at=at,
        changed=renewal.changed,
        removed=renewal.removed,
        whole=since is None,
        rebuilt=rebuilt,
        seconds=round(time.monotonic() - started, 3),
        changed_customers=renewal.sample,
    )


def _whole_due(writer: SnapshotWriter, now: int) -> bool:
    last = writer.mark(WHOLE)
    try:
        return last is None or not 0 <= now - to_ns(parse_ts(last)) < WHOLE_SECONDS * 1e9
    except ValueError:
        return True


def _renew(warehouse: Warehouse, writer: SnapshotWriter, since: str | None, at: str) -> Renewal:
    rows = warehouse.export_context(since=since)
    try:
        return writer.renew(
            rows,
            refreshed_at=at,
            marks={WHOLE: at} if since is None else None,
            latest_mark=MARK,
            complete=since is None,
        )
    finally:
        if isinstance(rows, Generator):
            # after an error too: what it holds open keeps others out of the warehouse file
            rows.close()


def refresh_catalog(
    manifest: Path, home: StateDirectory, dialect: str, *, now_ns: NowNs = time.time_ns
) -> ExportReport:
    """Write catalog.json from a compiled manifest, if it says anything new.

    Raises:
        CatalogError: a template breaks a rule; the catalog stays as it is.
    """
    return export_catalog(manifest, home.catalog, dialect=dialect, now=format_ts(now_ns()))
