"""`cdesk review`: a year, a month or a week with Claude, as a page and a card to share."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from cdesk_app.cli.output import to_json
from cdesk_app.cli.settings import settings_and_home

EXAMPLE = "cdesk review 2026 --open"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "period",
        nargs="?",
        metavar="YEAR|MONTH|WEEK",
        help="2026, 2026-03 or 2026-W12 (this year)",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, default=Path(), help="where the files go (here)"
    )
    parser.add_argument("--hide-projects", action="store_true", help="show no project by its name")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    from contextlib import closing
    from datetime import datetime

    from cdesk.core.errors import ConfigurationError
    from cdesk.core.home import write_private
    from cdesk.core.identity import local_caller
    from cdesk.state.catalog import sealed_catalog
    from cdesk.warehouse.factory import open_warehouse
    from cdesk_app.render.review import make_review
    from cdesk_app.render.review_figures import gather, period_named

    settings, home = settings_and_home()
    period = period_named(args.period or str(datetime.now(settings.zone).year))
    with closing(open_warehouse(settings, home)) as warehouse:
        figures = gather(
            warehouse,
            sealed_catalog(home),
            local_caller(settings),
            period,
            timezone=settings.timezone,
            now=datetime.now(settings.zone),
        )
    made = make_review(figures, zone=settings.timezone, projects=not args.hide_projects)
    paths = {kind: args.out / f"claude-{period.name}.{kind}" for kind in ("html", "svg", "png")}
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        write_private(paths["html"], made.html.encode("utf-8"))
        write_private(paths["svg"], made.card_svg.encode("utf-8"))
        write_private(paths["png"], made.card_png)
    except OSError as error:
        raise ConfigurationError(
            f"{args.out} cannot be written ({error.strerror}); name another with --out"
        ) from None
    if args.json:
        told = {kind: str(path) for kind, path in paths.items()}
        totals = {"responses": figures.responses, "total_tokens": figures.total_tokens}
        print(to_json({**told, **totals, "cost_usd": figures.cost_usd}))
    else:
        print(f"{paths['html']}: {period.title}, {figures.responses:,} responses")
        print(f"{paths['png']}: the card to share; {paths['svg']}: the same as SVG")
    if args.open:
        import webbrowser

        webbrowser.open(paths["html"].absolute().as_uri())
    return 0
