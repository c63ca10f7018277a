"""`cdesk metrics`: one scrape, as Prometheus reads it, and what is made from the list of metrics.
Needs no worker.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from cdesk_app.cli.settings import settings_and_home

EXAMPLE = "cdesk metrics"


def add_arguments(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="print the list of metrics as JSON")


def run(args: Namespace) -> int:
    if args.list:
        return _list()
    from mcp_shim.transports.http_metrics import exposition

    settings, home = settings_and_home()
    sys.stdout.write(exposition(settings, home).body.decode())
    return 0


def _list() -> int:
    from dataclasses import asdict

    from cdesk.core.metrics import METRICS
    from cdesk_app.cli.output import to_json

    print(to_json([{**asdict(metric), "unit": metric.unit} for metric in METRICS]))
    return 0
