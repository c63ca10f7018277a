"""`cdesk mcp`: the server that Claude Desktop starts."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

EXAMPLE = (
    "cdesk mcp   # Claude Desktop runs this; by hand it waits for MCP messages on standard input"
)


def add_arguments(parser: ArgumentParser) -> None:
    """None: everything comes from the settings."""
    del parser


def run(args: Namespace) -> int:
    from cdesk.core.config import load_settings
    from mcp_shim.main import main

    del args
    return main(load_settings(os.environ))
