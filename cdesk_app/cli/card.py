"""`cdesk card`: the link to the card of a stored result."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from contextlib import closing

from cdesk.core.errors import NotFound
from cdesk_app.cli.settings import settings_and_home

EXAMPLE = "cdesk card 0190a5f0-0000-7000-8000-000000000000 --open"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the artifact_id that a result carries")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--open", action="store_true", help="open it in the browser")
    shown.add_argument("--json", action="store_true", help="print {url, expires_at}")
    shown.add_argument(
        "--revoke",
        action="store_true",
        help="let no link to it that was given out open it any more",
    )
    parser.add_argument(
        "--hours",
        type=float,
        default=24.0,
        metavar="N",
        help="how long the link holds (24; at most 720)",
    )


def run(args: Namespace) -> int:
    from cdesk.artifacts.records import get_artifact
    from cdesk.core.clock import format_ts
    from cdesk.core.identity import local_caller
    from cdesk.state.database import open_state
    from cdesk_app.cli.render import show
    from cdesk_app.render import start
    from cdesk_app.render.links import Links

    settings, home = settings_and_home()
    with closing(open_state(home.state_db)) as state:
        artifact = get_artifact(state, args.id, customer=local_caller(settings).customer)
    if args.revoke:
        Links(home).revoke(artifact.artifact_id)
        print(f"links to {artifact.artifact_id} open nothing any more")
        return 0
    if artifact.expires_at <= format_ts(time.time_ns()) and not artifact.legal_hold:
        raise NotFound(
            f"artifact {artifact.artifact_id} was kept until {artifact.expires_at}; run its "
            "query again"
        )
    start.ensure(settings, home)
    link = start.card_link(
        settings,
        home,
        artifact_id=artifact.artifact_id,
        customer=artifact.customer,
        seconds=int(args.hours * 3600),
    )
    return show(link, as_json=args.json, in_browser=args.open)
