"""`cdesk mcp`: the server that Claude Desktop starts, or with --http the one that a team shares."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

EXAMPLE = (
    "cdesk mcp   # Claude Desktop runs this; by hand it waits for MCP messages on standard input\n"
    "  cdesk mcp --http --port 8378   # for callers with a token ('cdesk token add')"
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--http", action="store_true", help="serve many callers over streamable HTTP, at /mcp"
    )
    parser.add_argument("--host", help="where to listen (CDESK_HTTP_HOST, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="the port (CDESK_HTTP_PORT, 8378)")
    parser.add_argument("--workers", type=int, help="processes that serve (CDESK_HTTP_WORKERS, 1)")


def run(args: Namespace) -> int:
    from cdesk.core.config import load_settings

    settings = load_settings(os.environ)
    if args.http:
        from mcp_shim.http_main import main as serve_http

        return serve_http(settings, host=args.host, port=args.port, workers=args.workers)
    if (args.host, args.port, args.workers) != (None, None, None):
        from cdesk.core.errors import ConfigurationError

        raise ConfigurationError("--host, --port and --workers go with --http")
    from mcp_shim.main import main

    return main(settings)
