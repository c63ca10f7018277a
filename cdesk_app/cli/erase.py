"""`cdesk erase`: everything of one customer, everywhere, with a report."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from cdesk_app.cli.output import pairs, to_json, waiting
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from cdesk_app.worker.erasure import ErasureReport

EXAMPLE = "cdesk erase ada@example.com"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("customer", help="who is erased, exactly as recorded")
    parser.add_argument(
        "--local",
        action="store_true",
        help="of a shared warehouse, this computer alone; an administrator erases them there, by "
        "dbt run-operation erase",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask; it cannot be taken back")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: Namespace) -> int:
    from dataclasses import asdict

    from cdesk.core.errors import CdeskError
    from cdesk.core.home import keep_private
    from cdesk_app.worker.alone import alone
    from cdesk_app.worker.erasure import erase_customer

    keep_private()
    settings, home = settings_and_home()
    if not args.yes and not _agreed(args.customer):
        raise CdeskError("nothing was erased; to erase without being asked, add --yes")
    # The embedded default's warehouse is this computer's own, and knows who is under legal hold.
    local_only = args.local and settings.target != "duckdb"
    with waiting("erasing") as say, alone(home):
        report = erase_customer(settings, home, args.customer, local_only=local_only, tell=say)
    print(to_json(asdict(report)) if args.json else _told(report))
    if report.left and not local_only:
        raise CdeskError(f"still named in: {'; '.join(report.left)}")
    return 0


def _agreed(customer: str) -> bool:
    import sys

    if not sys.stdin.isatty():
        return False
    answer = input(f"Erase everything of {customer}? It cannot be taken back. Type the name: ")
    return answer.strip() == customer


def _told(report: ErasureReport) -> str:
    counts = [(name, count) for name, count in report.counts.items() if count]
    head = f"Erased what was recorded of {report.customer} before {report.erased_at}."
    body = pairs(counts, indent=2) if counts else "  there was nothing"
    left = [f"  {one}" for one in report.left]
    mentioned = [f"  {one}" for one in report.mentioned]
    beyond = [f"  {one}" for one in report.beyond]
    parts = [head, body, *(["Still named in:", *left] if left else [])]
    if mentioned:
        parts += [
            "Named besides, in what others recorded, what came since, or a setting:",
            *mentioned,
        ]
    return "\n".join([*parts, "Beyond its reach:", *beyond])
