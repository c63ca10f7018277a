"""A desk: a state directory with a real DuckDB warehouse of one table, a small catalog, and what
runs tickets on them.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from landing_table import made_by

from cdesk.contract.catalog import Catalog, load_catalog
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.identity import ANALYST, Caller
from cdesk.query.executor import Executor
from cdesk.query.request import QueryRequest, make_request
from cdesk.queue.writer import QueueWriter
from cdesk.state.catalog import write_catalog
from cdesk.state.database import open_state
from cdesk.state.tickets import Ticket, expiry_of, get_ticket, submit_ticket
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk_app.worker.tickets import TicketRunner

CUSTOMER = "ada@example.com"


def _template(
    sql: str,
    *binds: str,
    scope: str = "customer",
    reuse: bool = True,
    evidence: tuple[str, ...] = (),
    **parameters: dict[str, Any],
) -> dict[str, Any]:
    return {
        "description": "For tests.",
        "scope": scope,
        "parameters": [
            {"name": name, "description": "-", **rest} for name, rest in parameters.items()
        ],
        "sql": sql,
        "binds": list(binds),
        "example": {},
        "hash": "0" * 16,
        "reuse": reuse,
        "evidence_columns": dict.fromkeys(evidence, "system"),
    }


_ROWS: dict[str, Any] = {"type": "integer", "min": 0, "max": 100_000_000}
TEMPLATES: dict[str, dict[str, Any]] = {
    "numbers": _template(
        "select i as n, 'row ' || i as label, ? as who from range(?) as t(i) order by i",
        "customer",
        "rows",
        evidence=("n",),
        rows=_ROWS,
    ),
    "echo": _template("select ? as said", "text", text={"type": "string"}),
    "slow": _template(
        "select count(*) as n from range(?) as a(i), range(?) as b(j) where i * j % 7 = 3",
        "rows",
        "rows",
        rows=_ROWS,
    ),
    "broken": _template("select cast('x' || ? as integer) as n", "customer"),
    "clock": _template("select now() as at, ? as who", "customer"),
    "by_period": _template(
        "select timestamp '2026-01-05' + to_hours(cast(i as integer)) as period_start, "
        "i + 1 as activity_count, ? as who from range(case ? when 'week' then 1 when 'day' then 7 "
        "else error('no such period') end) as t(i)",
        "customer",
        "period",
        period={"type": "enum", "values": ["hour", "day", "week"]},
    ),
    "live": _template("select now() as at, ? as who", "customer", reuse=False),
    "everyone": _template("select count(*) as n from activities.landing", scope="org"),
    "expired_artifacts": _template(
        "select uri from activities.expired where contains(?, ',' || uri || ',') "
        "and (? is not null or ?)",
        "uris",
        "customer",
        "is_analyst",
        scope="caller",
        uris={"type": "string", "max_length": 9_000},
    ),
    "data_fingerprint": _template(
        "select count(*) as n from activities.landing where kind = 'event' and (? is not null "
        "or ? or ?)",
        "customer",
        "everyone",
        "is_analyst",
        scope="caller",
        everyone={"type": "boolean"},
    ),
}


TABLES = (
    "create schema activities",
    "create table activities.expired (uri varchar)",
    "create table activities.landing (id varchar, kind varchar, payload json, "
    "source_file varchar, source_offset bigint, landed_at timestamp)",
)
LINE = (
    "insert into activities.landing values (uuid()::varchar, $kind, '{}', 'f', 0, now()::timestamp)"
)


class Clock:
    """Wall clock that a test moves."""

    def __init__(self) -> None:
        self.offset_ns = 0

    def __call__(self) -> int:
        return time.time_ns() + self.offset_ns

    def forward(self, *, hours: float = 0, seconds: float = 0) -> None:
        self.offset_ns += int((hours * 3600 + seconds) * 1e9)


@dataclass
class Desk:
    """One state directory and everything in it."""

    home: StateDirectory
    settings: Settings
    warehouse: DuckDBWarehouse
    writer: QueueWriter
    state: sqlite3.Connection
    clock: Clock = field(default_factory=Clock)
    ids: IdSource = field(default_factory=IdSource)

    templates = TEMPLATES

    @property
    def catalog(self) -> Catalog:
        return load_catalog(self.home.catalog)

    def write_catalog(self, templates: dict[str, dict[str, Any]]) -> None:
        document = {
            "v": 1,
            "dialect": "duckdb",
            "content_hash": "0" * 16,
            "generated_at": format_ts(time.time_ns()),
            "templates": {name: {"name": name, **item} for name, item in templates.items()},
        }
        write_catalog(self.home, self.state, document, now=format_ts(time.time_ns()))

    def land(self, kind: str = "event") -> None:
        """One more line in landing."""
        with duckdb.connect(str(self.home.warehouse)) as connection:
            connection.execute(LINE, {"kind": kind})

    def expire(self, *results: dict[str, Any]) -> None:
        """Have the warehouse say of these results that they may go."""
        with duckdb.connect(str(self.home.warehouse)) as connection:
            for result in results:
                uri = result["artifact"]["uri"]
                connection.execute("insert into activities.expired values (?)", [uri])

    @contextlib.contextmanager
    def held_by_another_process(self) -> Iterator[None]:
        """The warehouse file is open for writing in another process meanwhile."""
        code = (
            "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); "
            "sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code, str(self.home.warehouse)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline().strip() == b"held"
            try:
                yield
            finally:
                process.stdin.close()
                process.wait(120)

    def executor(self, **options: Any) -> Executor:
        return Executor(self.home, self.warehouse, self.writer, now_ns=self.clock, **options)

    def runner(self, **options: Any) -> TicketRunner:
        return TicketRunner(
            self.settings, self.home, self.warehouse, self.writer, now_ns=self.clock, **options
        )

    def request(
        self,
        template: str,
        params: dict[str, Any] | None = None,
        *,
        customer: str = CUSTOMER,
        least_customers: int = 1,
        **options: Any,
    ) -> QueryRequest:
        caller = Caller(customer, frozenset((ANALYST,)), least_customers)
        return make_request(
            self.catalog,
            caller,
            run_id=self.ids.uuid7(),
            query_tag=self.ids.query_tag(),
            template=template,
            params=params or {},
            **options,
        )

    def submit(
        self,
        template: str,
        params: dict[str, Any] | None = None,
        *,
        customer: str = CUSTOMER,
        **options: Any,
    ) -> str:
        """A queued ticket, as submit_query writes it; its id."""
        request = self.request(template, params, customer=customer)
        now = format_ts(self.clock())
        submit_ticket(
            self.state,
            **{
                "ticket_id": request.run_id,
                "customer": customer,
                "is_analyst": True,
                "session_id": None,
                "template": template,
                "params": request.params,
                "query_hash": request.query_hash,
                "query_tag": request.query_tag,
                "byte_cap": None,
                "submitted_at": now,
                "expires_at": expiry_of(now),
                **options,
            },
        )
        return request.run_id

    def ticket(self, ticket_id: str, *, customer: str = CUSTOMER) -> Ticket:
        return get_ticket(self.state, ticket_id, customer=customer)

    def records(self, kind: str | None = None, activity: str | None = None) -> list[dict[str, Any]]:
        """What stands in the queue, in order."""
        found: list[dict[str, Any]] = []
        for path in sorted(self.home.queue.glob("*.ndjson")):
            whole, _, _torn = path.read_bytes().rpartition(
                b"\n"
            )  # a killed writer may leave half a line
            found += [orjson.loads(line) for line in whole.splitlines()]
        return [
            record
            for record in found
            if (kind is None or record["kind"] == kind)
            and (activity is None or record.get("activity") == activity)
        ]


def answer(
    desk: Desk, template: str, params: dict[str, Any] | None = None, **options: Any
) -> dict[str, Any]:
    return desk.executor().answer(desk.request(template, params, **options), desk.state)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    home = StateDirectory(tmp_path / "desk").ensure()
    made_by(home.warehouse, *TABLES, LINE.replace("$kind", "'event'"))
    desk = Desk(
        home=home,
        settings=Settings(home=home.root, customer=CUSTOMER, render="off"),
        warehouse=DuckDBWarehouse(home.warehouse, read_wait=0.2),
        writer=QueueWriter(home.queue),
        state=open_state(home.state_db),
    )
    desk.write_catalog(TEMPLATES)
    yield desk
    desk.state.close()
    desk.writer.close()
    desk.warehouse.close()
