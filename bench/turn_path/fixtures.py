"""State directories as a person's has them after some months."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from cdesk.core.clock import IdSource, format_ts
from cdesk.core.home import StateDirectory
from cdesk.state.catalog import write_catalog
from cdesk.state.database import open_state
from cdesk.state.snapshot import ContextRow, SnapshotWriter

CUSTOMER = "ada@example.com"
ACTIVITIES = (
    "user_asked",
    "claude_responded",
    "file_read",
    "file_written",
    "session_started",
    "session_ended",
    "tool_called",
    "sql_executed",
)


def context(customer: str, *, insights: int, seed: int = 0) -> bytes:
    """A context blob of the contract; about 300 bytes an insight."""
    ids = IdSource()
    now = time.time_ns()

    def insight(number: int, **more: Any) -> dict[str, Any]:
        return {
            "subject": f"project {number % 7}",
            "metric": f"median minutes of step {number}",
            "value": round(number * 1.37 + seed, 3),
            "ts": format_ts(now - number * 3_600_000_000_000),
            "provenance_query_hash": f"{number:016x}",
            "insight_id": ids.uuid7(),
            **more,
        }

    activities = [f"cdesk.{name}" for name in ACTIVITIES]
    return orjson.dumps(
        {
            "customer": customer,
            "insights": [insight(number, template="activity_counts") for number in range(insights)],
            "unverified": [
                insight(number, reason="no provenance") for number in range(insights // 3)
            ],
            "counts": {name: {"d1": 3 + seed % 5, "d7": 21, "d30": 90} for name in activities},
            "recent_questions": [
                {
                    "question": f"How many sessions did step {n} take last week?",
                    "ts": format_ts(now),
                }
                for n in range(10 if insights > 3 else 1)
            ],
            "definitions": {
                name: f"The person's {name[6:]} as it was observed" for name in activities
            },
        }
    )


def row(customer: str, blob: bytes) -> ContextRow:
    return ContextRow(
        customer, blob, hashlib.sha256(blob).hexdigest()[:16], format_ts(time.time_ns())
    )


def customers(count: int, *, seed: int = 0) -> Iterator[ContextRow]:
    """`count` small contexts (about 1.5 KiB), and the measured customer's, of usual size."""
    yield row(CUSTOMER, context(CUSTOMER, insights=24))
    template = context("@", insights=2, seed=seed).decode()
    for number in range(count - 1):
        name = f"customer-{number:07d}@example.com"
        yield row(
            name, template.replace('"@"', f'"{name}"').replace("step 1", f"step {number}").encode()
        )


def catalog(home: StateDirectory, **changes: Any) -> None:
    """A sealed catalog of one template, enough to submit; `changes` to the template."""
    template = {
        "name": "recent_activities",
        "description": "The latest activities",
        "scope": "customer",
        "parameters": [
            {
                "name": "hours_back",
                "type": "integer",
                "required": False,
                "default": 24,
                "min": 1,
                "max": 720,
            },
            {
                "name": "limit",
                "type": "integer",
                "required": False,
                "default": 100,
                "min": 1,
                "max": 1000,
            },
        ],
        "sql": (
            "select activity, ts from events where customer = ? and ts >= now() - interval "
            "(?) hour "
            "order by ts desc limit ?"
        ),
        "binds": ["customer", "hours_back", "limit"],
        "example": {"hours_back": 24},
        "hash": "0123456789abcdef",
        **changes,
    }
    document = {
        "v": 1,
        "dialect": "duckdb",
        "content_hash": "fedcba9876543210",
        "generated_at": format_ts(time.time_ns()),
        "templates": {"recent_activities": template},
    }
    with closing(open_state(home.state_db)) as state:
        write_catalog(home, state, document, now=format_ts(time.time_ns()))


def state_directory(root: Path, *, contexts: int) -> StateDirectory:
    home = StateDirectory(root).ensure()
    catalog(home)
    SnapshotWriter(home.context_db).apply(
        customers(contexts), refreshed_at=format_ts(time.time_ns())
    )
    return home


RESULT = {
    "template": "recent_activities",
    "query_hash": "0123456789abcdef",
    "query_tag": "cdesk_00000000",
    "as_of": "2026-01-01T00:00:00.000000Z",
    "columns": [{"name": "activity", "type": "varchar"}, {"name": "ts", "type": "timestamp"}],
    "rows": [["cdesk.user_asked", "2026-01-01T00:00:00.000000Z"]] * 10,
    "row_count": 250,
    "byte_count": 12_000,
    "truncated": True,
    "sampled": False,
    "sampling_note": None,
    "artifact": None,
    "reused": False,
    "elapsed_ms": 12.5,
}


def finish(home: StateDirectory, ticket_id: str, result: Mapping[str, Any] = RESULT) -> None:
    """Give a ticket the result that a worker would have written."""
    with closing(open_state(home.state_db)) as state:
        state.execute(
            "update tickets set status = 'succeeded', result = ? where ticket_id = ?",
            (orjson.dumps(result).decode(), ticket_id),
        )
