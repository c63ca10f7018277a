"""`cdesk import`: history into the queue."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from cdesk_app.cli.output import progress, table, terminal_width, to_json
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from uploader.sources.history import ImportReport

EXAMPLE = "cdesk import ~/Downloads/data-2026-01-31-export.zip"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="a Claude data export (the zip, or its conversations.json), or records as NDJSON "
        "(docs/contracts.md)",
    )
    parser.add_argument(
        "--include-text",
        action="store_true",
        help="of a Claude export, take in questions, answers, titles and file names too; without "
        "this only their lengths and kinds",
    )
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="of an NDJSON file, leave out lines that are no record; without this one bad line "
        "refuses the file",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    from contextlib import closing
    from dataclasses import asdict

    from cdesk.core.wake import WakeSender
    from cdesk.warehouse.factory import open_warehouse
    from uploader.sources.history import import_file

    settings, home = settings_and_home()
    with (
        closing(open_warehouse(settings, home)) as warehouse,
        progress("reading", total=1, unit="B", scale=True) as bar,
    ):

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = import_file(
            args.file,
            home=home,
            customer=settings.customer,
            landed=warehouse.positions,
            include_text=args.include_text,
            skip_bad=args.skip_bad,
            progress=show,
        )
    with closing(WakeSender(home)) as waker:
        running = waker.send()
    if args.json:
        print(to_json({**asdict(report), "worker_told": running}))
    else:
        print(_told(report, running=running))
    return 0


def _told(report: ImportReport, *, running: bool) -> str:
    lines = []
    source = (
        f" of {report.conversations:,} conversations" if report.format == "claude_export" else ""
    )
    if report.added:
        lines.append(
            table(
                ("imported", "records"), list(report.by_kind.items())[:10], width=terminal_width()
            )
        )
        lines.append("")
        lines.append(
            f"{report.added:,} records{source}, from {report.first_ts} to {report.last_ts}, "
            "are in the queue."
        )
    elif not (report.known or report.left_out or report.conflicts or report.changed):
        lines.append("It holds nothing: no conversation, no record.")
    else:
        lines.append(f"Nothing new{source}: {report.known:,} records had come in before.")
    if report.added and report.known:
        lines.append(f"{report.known:,} more had come in before and were left as they are.")
    if report.conflicts:
        lines.append(
            f"{report.conflicts:,} have an id that came in before with other content: the "
            "first ones stay, these are quarantined "
            "(id_conflict). 'cdesk quarantine list' shows them once they are built."
        )
    if report.changed:
        lines.append(
            f"{report.changed:,} say something else than when an earlier export brought them "
            "in, and were left as they were."
        )
    if report.cut:
        lines.append(
            f"{report.cut:,} texts were longer than a record may be and were cut; each says "
            "how long it was."
        )
    if report.left_out:
        lines.append(f"{report.left_out:,} parts of the file cannot be taken in and were left out:")
        lines += [f"  {reason}" for reason in report.reasons]
        if report.left_out > len(report.reasons):
            lines.append(f"  and {report.left_out - len(report.reasons):,} more")
    if report.added or report.conflicts:
        lines.append(
            "The worker is landing them; 'cdesk status' shows how far it is."
            if running
            else "Run 'cdesk worker --once' to land them and build."
        )
    return "\n".join(lines)
