"""`cdesk dashboard`: the link to the dashboard."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from cdesk_app.cli.settings import settings_and_home

EXAMPLE = "cdesk dashboard --open"


def add_arguments(parser: ArgumentParser) -> None:
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--open", action="store_true", help="open it in the browser")
    shown.add_argument("--json", action="store_true", help="print {url, expires_at}")


def run(args: Namespace) -> int:
    from cdesk_app.cli.render import show
    from cdesk_app.render import start

    settings, home = settings_and_home()
    start.ensure(settings, home)
    link = start.dashboard_link(settings, home, customer=settings.customer)
    return show(link, as_json=args.json, in_browser=args.open)
