"""`cdesk render`: the pages of cards and the dashboard, served in the foreground."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING

from cdesk_app.cli.output import to_json
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from cdesk_app.render.start import Link

EXAMPLE = "cdesk render --port 8377"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1)")
    parser.add_argument(
        "--port", type=int, metavar="N", help="the one of CDESK_RENDER_URL if left out"
    )
    parser.add_argument(
        "--team",
        action="store_true",
        help="bearer tokens of the HTTP service count, as a proxy hands them on: everybody sees "
        "their own cards, an analyst the dashboard too",
    )


def run(args: Namespace) -> int:
    import vl_convert  # noqa: F401 - first, so that what is missing is the extra of this command

    from cdesk.contract.redaction import redact_value
    from cdesk.core.log import set_up_logging
    from cdesk_app.render.server import serve

    settings, _ = settings_and_home()
    set_up_logging(None, settings.environ, credentials=redact_value)
    return serve(settings, host=args.host, port=args.port, idle_seconds=None, team=args.team)


def show(link: Link, *, as_json: bool, in_browser: bool) -> int:
    """Print a link, or open it; the exit code."""
    if as_json:
        print(to_json(asdict(link)))
        return 0
    if in_browser:
        import webbrowser

        if not webbrowser.open(link.url):
            print(f"cdesk: no browser could be opened; the link is {link.url}", file=sys.stderr)
            return 1
        return 0
    print(link.url)
    return 0
