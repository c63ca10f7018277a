"""A query without a ticket: `cdesk query` runs it in its own process."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import orjson

from cdesk.artifacts.factory import open_artifacts
from cdesk.artifacts.formats import Format, export
from cdesk.core.clock import format_ts
from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError, KillSwitchActive
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from cdesk.core.wake import WakeSender
from cdesk.query.executor import Executor
from cdesk.query.request import QueryRequest, make_request
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import open_state
from cdesk.state.tickets import Status, keep_ended_query
from cdesk.warehouse.factory import open_warehouse


def run_now(
    settings: Settings,
    template: str,
    params: Mapping[str, Any],
    caller: Caller,
    format: Format | None = None,
    out: BinaryIO | None = None,
    *,
    byte_cap: int | None = None,
    fresh: bool = False,
    dry_run: bool = False,
    cancel: threading.Event | None = None,
    progress: Callable[[str], None] | None = None,
    raw: bool = False,
) -> dict[str, Any]:
    """Run a cataloged template in this process, with the hash, tag, records and proof of a ticket.

    Returns what get_result answers. With `format` and `out` every stored row goes to `out` as well
    (not for a dry run), and the answer says in `exported_rows` how many those are: fewer than
    `row_count` where the result is a sample. `raw` leaves formulas in CSV as they are.

    Raises:
        CdeskError: as `make_request` and `Executor.answer`.
    """
    home = StateDirectory(settings.home).ensure()
    writer = QueueWriter(home.queue, durability=settings.durability)
    warehouse = open_warehouse(settings, home)
    try:
        executor = Executor(
            home,
            warehouse,
            writer,
            artifacts=open_artifacts(settings, home),
            card_url=settings.card_url,
        )
        request = make_request(
            executor.catalog(),
            caller,
            run_id=executor.new_id(),
            query_tag=executor.new_tag(),
            template=template,
            params=params,
            byte_cap=byte_cap,
            fresh=fresh,
            dry_run=dry_run,
            timezone=settings.timezone,
        )
        with (
            contextlib.closing(open_state(home.state_db)) as state,
            _counted(request, state) as told,
        ):
            result = executor.answer(request, state, cancel=cancel, progress=progress)
            told.update(result)
        if format is not None and out is not None and not dry_run:
            path = executor.artifacts.path(result["artifact"]["uri"])
            rows = export(path, out, format, result=result, raw=raw)
            result = {**result, "exported_rows": rows}
    finally:
        warehouse.close()
        writer.close()
        with contextlib.closing(WakeSender(home)) as waker:
            waker.send()
    return result


@contextlib.contextmanager
def _counted(request: QueryRequest, state: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Enter the query among the tickets when the block has ended, with the answer that it leaves in
    the dictionary: what it used counts for the cost guard.
    """
    started_at, result = format_ts(time.time_ns()), dict[str, Any]()
    try:
        yield result
    except KillSwitchActive:  # nothing ran
        raise
    except CdeskError as error:
        _keep(request, state, started_at, "failed", error_code=error.code)
        raise
    _keep(request, state, started_at, "succeeded", result=orjson.dumps(result))


def _keep(
    request: QueryRequest,
    state: sqlite3.Connection,
    started_at: str,
    status: Status,
    **came_of_it: Any,
) -> None:
    if request.dry_run:
        return
    with contextlib.suppress(sqlite3.Error):
        keep_ended_query(
            state,
            ticket_id=request.run_id,
            customer=request.caller.customer,
            is_analyst=request.caller.is_analyst,
            least_customers=request.caller.least_customers,
            session_id=request.session_id,
            template=request.template.name,
            params=request.params,
            query_hash=request.query_hash,
            query_tag=request.query_tag,
            byte_cap=request.byte_cap,
            fresh=request.fresh,
            status=status,
            started_at=started_at,
            finished_at=format_ts(time.time_ns()),
            **came_of_it,
        )
