"""Landing a batch that may hold a poison record: one which the warehouse refuses although it keeps
the contract.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from cdesk.core.errors import WarehouseError, WarehouseNotBuilt, WarehouseUnavailable
from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.protocol import LandResult, Warehouse
from uploader.validation import QUARANTINE, quarantine_id, quarantine_payload


class TooManyRefused(WarehouseError):
    """So many records were refused that the fault is the warehouse's, not theirs."""


Landed = Callable[[LineBatch, LandResult], None]
"""Told of each transaction: its rows and the warehouse's answer."""


def land_around_poison(
    warehouse: Warehouse,
    batch: LineBatch,
    *,
    after: datetime | None,
    most_poison: int,
    on_landed: Landed,
) -> int:
    """Land `batch` in order, `after` the latest landing that is known of; how many records of it
    were refused and quarantined.

    A batch that is refused is halved until the refused record stands alone. It is poison when it is
    refused alone and its quarantine row is taken; a warehouse that takes neither is at fault
    itself.

    Raises:
        WarehouseUnavailable, WarehouseNotBuilt, WarehouseRewound: try again later.
        WarehouseError: the warehouse refuses whatever it is given.
        TooManyRefused: more than `most_poison` records were refused. What `on_landed` was told of
        stays landed in each case.
    """
    poison = 0
    waiting = [batch]
    while waiting:
        part = waiting.pop()
        try:
            result = warehouse.land(part, after=after)
        except (WarehouseUnavailable, WarehouseNotBuilt):
            raise
        except WarehouseError as error:
            if _has_landed(warehouse, part):
                raise WarehouseUnavailable(
                    f"an error came back though the batch has landed: {error}"
                ) from error
            if len(part) > 1:
                middle = len(part) // 2
                waiting += (part[middle:], part[:middle])
                continue
            poison += 1
            if part.kinds[0] == QUARANTINE:
                raise
            if poison > most_poison:
                raise TooManyRefused(
                    f"{poison} records of one batch were refused; the last: {error}"
                ) from None
            part = _quarantined(part, str(error))
            result = warehouse.land(part, after=after)
        on_landed(part, result)
        after = result.landed_at
    return poison


def _has_landed(warehouse: Warehouse, part: LineBatch) -> bool:
    """Whether the warehouse holds the batch's last line, and so, as a landing is all or nothing,
    the whole of it.
    """
    name, offset = part.source_files[-1], part.offsets[-1]
    return warehouse.positions([name]).get(name, -1) >= offset


def _quarantined(part: LineBatch, detail: str) -> LineBatch:
    row = LineBatch()
    source_file, offset = part.source_files[0], part.offsets[0]
    payload = quarantine_payload(part.payloads[0], "refused", detail)
    row.append(quarantine_id(source_file, offset), QUARANTINE, payload, source_file, offset)
    return row
