"""A catalogued template that cdesk asks for its own use: without ticket, stored result or proof."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdesk.contract.catalog import Template
from cdesk.core.identity import Caller
from cdesk.warehouse.protocol import Warehouse


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of an answer; `columns` are there without a row, too."""

    columns: list[str]
    rows: list[dict[str, Any]]


def each_row(
    warehouse: Warehouse,
    template: Template,
    params: Mapping[str, Any],
    caller: Caller,
    *,
    query_tag: str,
    timeout_seconds: float,
) -> Iterator[dict[str, Any]]:
    """As `read_rows`, one row after the other: memory holds a batch."""
    checked = template.check_params(params)
    with warehouse.run_template(
        template,
        template.bind(checked, customer=caller.customer, is_analyst=caller.is_analyst),
        query_tag=query_tag,
        timeout_seconds=timeout_seconds,
    ) as outcome:
        for batch in outcome.batches:
            yield from batch.to_pylist()


def read_rows(
    warehouse: Warehouse,
    template: Template,
    params: Mapping[str, Any],
    caller: Caller,
    *,
    query_tag: str,
    timeout_seconds: float,
    timezone: str = "UTC",
    cancel: threading.Event | None = None,
) -> Rows:
    """Run `template` for `caller`; the whole answer, in memory. `timezone` is the person's.

    Raises:
        InvalidField: a parameter is not as the template declares it. WarehouseError: it could not
        be asked. QueryCancelled: `cancel` was set.
    """
    checked = template.check_params(params, timezone=timezone)
    columns, rows = warehouse.read_template(
        template,
        template.bind(checked, customer=caller.customer, is_analyst=caller.is_analyst),
        query_tag=query_tag,
        timeout_seconds=timeout_seconds,
        cancel=cancel,
    )
    return Rows(columns, [dict(zip(columns, row, strict=True)) for row in rows])
