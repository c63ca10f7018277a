"""What exports and histories brought in before, for notes of it that were lost: of the warehouse,
and of the queue what has not landed yet.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator
from typing import Any, Final

import orjson

from cdesk.contract.activity_features import ACTIVITY_FEATURES
from cdesk.contract.catalog import CatalogReader
from cdesk.contract.records import Record, parse_line
from cdesk.contract.redaction.document import redact_value
from cdesk.core.clock import IdSource
from cdesk.core.errors import CdeskError, Drift, WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from cdesk.query.internal import each_row
from cdesk.queue.writer import SEALED_SUFFIX
from cdesk.warehouse.protocol import Warehouse

TEMPLATE: Final = "imported_records"
TIMEOUT_SECONDS: Final = 600.0
EXPORT: Final = frozenset(("claude_export",))
HISTORIES: Final = frozenset(("claude_code", "cowork"))

log = logging.getLogger("cdesk.import")


def landed_records(
    warehouse: Warehouse,
    catalog: CatalogReader,
    caller: Caller,
    sources: Container[str],
    *,
    patient: bool = False,
) -> Iterator[tuple[str, Record]]:
    """(logical queue file name, record) of what has landed of these source systems, revisions
    behind events; nothing where the warehouse cannot be asked, as before the first build. On
    Snowflake each is as its readers see it (`as_readers_see`).

    Raises:
        WarehouseUnavailable: it can be asked later, and who is `patient` comes again then.
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
            record = _as_written(orjson.loads(row["payload"]))
            record |= {"id": row["id"], "customer": caller.customer}  # readers see it redacted
            if record["source_system"] in sources:
                yield row["source_file"], record
    except CdeskError as error:
        if patient and isinstance(error, WarehouseUnavailable):
            raise
        log.info("earlier imports not asked", extra={"facts": {"reason": str(error)}})


def waiting_records(home: StateDirectory, sources: Container[str]) -> Iterator[tuple[str, Record]]:
    """The same of what still waits in the queue."""
    revisions: list[tuple[str, Record]] = []
    for path in sorted(home.queue.glob(f"*{SEALED_SUFFIX}")):
        if not path.is_file():  # a pipe would keep its reader waiting
            continue
        try:
            lines = path.read_bytes().splitlines()
        except OSError:  # the uploader has taken it away, or `cdesk status` names it
            continue
        for line in lines:
            try:
                record = parse_line(line)
            except Drift:
                continue
            if record["source_system"] not in sources:
                continue
            if record["kind"] == "revision":
                revisions.append((path.name, record))
            else:
                yield path.name, record
    yield from revisions


def told_by_histories(
    home: StateDirectory,
    warehouse: Warehouse,
    catalog: CatalogReader,
    caller: Caller,
    *,
    patient: bool = False,
) -> Iterator[Record]:
    """The records of local histories that have landed or wait in the queue. `patient` and errors as
    in `landed_records`.
    """
    for _, record in landed_records(warehouse, catalog, caller, HISTORIES, patient=patient):
        yield record
    for _, record in waiting_records(home, HISTORIES):
        yield record


def as_readers_see(record: Record) -> Record:
    """The record as Snowflake's masking shows it; the same object where it shows all of it."""
    seen: Record = redact_value(record, personal=True)
    return seen if seen is record else {**seen, "customer": record["customer"]}


def _as_written(record: Record) -> Record:
    """A warehouse may have made an integer of a number without a fraction."""
    declared = ACTIVITY_FEATURES.get(record.get("activity", ""), {})
    features: dict[str, Any] = record.get("feature_json") or {}
    for key, value in features.items():
        if declared.get(key) == "number" and isinstance(value, int):
            features[key] = float(value)
    return record
