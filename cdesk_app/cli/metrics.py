"""`cdesk metrics`: one scrape, as Prometheus reads it, and what is made from the list of metrics.
Needs no worker.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from cdesk.core.errors import InvalidField
from cdesk_app.cli.settings import settings_and_home

EXAMPLE = "cdesk metrics"


def add_arguments(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="print the list of metrics as JSON")
    what.add_argument("--rules", action="store_true", help="print the alert rules for Prometheus")
    what.add_argument("--dashboard", action="store_true", help="print the Grafana dashboard")
    parser.add_argument(
        "--runbooks",
        metavar="WHERE",
        help="with --rules: the folder or address of the runbooks, as alerts link them",
    )


def run(args: Namespace) -> int:
    if args.runbooks is not None and not args.rules:
        raise InvalidField("--runbooks", "is given without --rules", "cdesk metrics --rules")
    if args.list:
        return _list()
    if args.rules:
        from cdesk_app.ops.alerts import RUNBOOKS, rules

        sys.stdout.write(rules(runbooks=args.runbooks or RUNBOOKS))
        return 0
    if args.dashboard:
        from cdesk_app.cli.output import to_json
        from cdesk_app.ops.grafana import dashboard

        print(to_json(dashboard()))
        return 0
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
