"""Starts cdesk's MCP server in Claude Desktop, from the extension's folder."""

from __future__ import annotations

import os
from pathlib import Path

FOLLOW = "CDESK_BUNDLE_FOLLOW"
"""Whether to follow Claude's local histories: true or false, as Claude Desktop fills it in."""


def prepare(environ: dict[str, str], folder: Path) -> dict[str, str]:
    """The environment as cdesk reads it: fields that a person left empty are not set, and the
    worker's own environment is made from what lies in `folder`.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("CDESK_", "SNOWFLAKE_"))
        or (value.strip() and not value.startswith("${user_config."))
    }
    # Either switch turns capture on: this one left off says nothing against 'cdesk capture on'.
    if kept.pop(FOLLOW, "").lower() == "true":
        kept["CDESK_CAPTURE"] = "on"
    kept["CDESK_RUNTIME"] = str(folder)
    return kept


if __name__ == "__main__":
    prepared = prepare(dict(os.environ), Path(__file__).resolve().parent)
    os.environ.clear()
    os.environ.update(prepared)
    from mcp_shim.main import run_as_module

    raise SystemExit(run_as_module())
