"""The shim's log: one JSON object a line on standard error. Codes and names only, never values,
payloads or SQL.
"""

from __future__ import annotations

import sys
import time

import orjson

from cdesk.core.clock import format_ts


def log(event: str, **fields: str | int | float | bool | None) -> None:
    """Write one line; a standard error that is closed or full is nobody's reason to stop."""
    line = orjson.dumps({"ts": format_ts(time.time_ns()), "event": event, **fields})
    try:
        print(line.decode(), file=sys.stderr, flush=True)  # noqa: T201
    except (OSError, ValueError):
        return
