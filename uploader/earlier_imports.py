"""What earlier imports of Claude data exports brought in, for an index that was lost: of the
warehouse, and of the queue what has not landed yet.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

import orjson

from cdesk.contract.activity_features import ACTIVITY_FEATURES
from cdesk.contract.catalog import CatalogReader
from cdesk.contract.records import Record, parse_line
from cdesk.core.clock import IdSource
from cdesk.core.errors import CdeskError, Drift
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from cdesk.query.internal import each_row
from cdesk.queue.writer import SEALED_SUFFIX
from cdesk.warehouse.protocol import Warehouse

TEMPLATE: Final = "imported_records"
TIMEOUT_SECONDS: Final = 600.0
_MARK: Final = b'"source_system":"claude_export"'

log = logging.getLogger("cdesk.import")


def landed_records(
    warehouse: Warehouse, catalog: CatalogReader, caller: Caller
) -> Iterator[tuple[str, Record]]:
    """(logical queue file name, record) of what has landed; nothing where the warehouse cannot be
    asked, as before the first build.
    """
    try:
        for row in each_row(
            warehouse,
            catalog.get().get(TEMPLATE),
            {},
            caller,
            query_tag=IdSource().query_tag(),
            timeout_seconds=TIMEOUT_SECONDS,
        ):
            yield row["source_file"], _as_written(orjson.loads(row["payload"]))
    except CdeskError as error:
        log.info("earlier imports not asked", extra={"facts": {"reason": str(error)}})


def waiting_records(home: StateDirectory) -> Iterator[tuple[str, Record]]:
    """The same of what still waits in the queue, revisions behind events."""
    revisions: list[tuple[str, Record]] = []
    for path in sorted(home.queue.glob(f"*{SEALED_SUFFIX}")):
        if not path.is_file():  # a pipe would keep its reader waiting
            continue
        try:
            lines = [line for line in path.read_bytes().splitlines() if _MARK in line]
        except OSError:  # the uploader has taken it away, or `cdesk status` names it
            continue
        for line in lines:
            try:
                record = parse_line(line)
            except Drift:
                continue
            if record["source_system"] != "claude_export":
                continue
            if record["kind"] == "revision":
                revisions.append((path.name, record))
            else:
                yield path.name, record
    yield from revisions


def _as_written(record: Record) -> Record:
    """A warehouse may have made an integer of a number without a fraction."""
    declared = ACTIVITY_FEATURES.get(record.get("activity", ""), {})
    features: dict[str, Any] = record.get("feature_json") or {}
    for key, value in features.items():
        if declared.get(key) == "number" and isinstance(value, int):
            features[key] = float(value)
    return record
