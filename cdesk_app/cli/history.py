"""`cdesk import`: history into the queue."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cdesk_app.cli.output import progress, table, terminal_width, to_json
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from cdesk.contract.records import Record
    from cdesk.core.config import Settings
    from cdesk.core.home import StateDirectory
    from uploader.histories import FolderReport, Histories, OneFile
    from uploader.sources.history import ImportReport

EXAMPLE = "cdesk import ~/Downloads/data-2026-01-31-export.zip"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        metavar="PATH",
        type=Path,
        nargs="+",
        help="a Claude data export (the zip, or its conversations.json), a folder with histories "
        "of Claude Code, Claude Desktop or Cowork, a transcript, or records as NDJSON "
        "(docs/contracts.md)",
    )
    parser.add_argument(
        "--include-text",
        action="store_true",
        help="of a history, take in questions, answers, titles and file names too; without "
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
    settings, home = settings_and_home()
    found: list[dict[str, object]] = []
    files = [file for path in args.paths for file in _files_of(path)]
    for file in files:
        if source := _histories(file):
            report, told = _import_histories(args, source, settings, home)
        else:
            report, told = _import_file(args, file, settings, home)
        found.append(report)
        if not args.json:
            print(told if len(files) == 1 else f"{file}\n{told}\n")
    if args.json:
        print(to_json(found[0] if len(files) == 1 else found))
    return 0


def _files_of(path: Path) -> list[Path]:
    """What is imported of a path: all batches of an export that a folder holds, unpacked or as they
    were downloaded; else the path itself.

    Raises:
        ImportRefused: a folder holds nothing that could be brought in.
    """
    from uploader.sources.history import ImportRefused, is_batch

    if not path.is_dir() or _histories(path):
        return [path]
    unpacked = [file for file in sorted(path.rglob("*.json")) if is_batch(file)]
    if found := unpacked or sorted(path.rglob("*.zip")):
        return found
    raise ImportRefused(
        f"{path} holds neither an export of Claude's data (conversations.json, or its zip) nor "
        "histories of Claude Code, Claude Desktop or Cowork"
    )


def _import_file(
    args: Namespace, file: Path, settings: Settings, home: StateDirectory
) -> tuple[dict[str, object], str]:
    from contextlib import closing
    from dataclasses import asdict

    from cdesk.core.identity import local_caller
    from cdesk.core.wake import WakeSender
    from cdesk.state.catalog import open_catalog
    from cdesk.warehouse.factory import open_warehouse
    from uploader.earlier_imports import EXPORT, landed_records
    from uploader.sources.history import import_file

    with (
        closing(open_warehouse(settings, home)) as warehouse,
        progress("reading", total=1, unit="B", scale=True) as bar,
    ):

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = import_file(
            file,
            home=home,
            customer=settings.customer,
            landed=warehouse.positions,
            earlier=lambda: landed_records(
                warehouse, open_catalog(home), local_caller(settings), EXPORT
            ),
            include_text=args.include_text,
            skip_bad=args.skip_bad,
            progress=show,
        )
    with closing(WakeSender(home)) as waker:
        running = waker.send()
    return {**asdict(report), "worker_told": running}, _told(report, running=running)


def _histories(path: Path) -> Histories | OneFile | None:
    from uploader.histories import histories_in

    return histories_in(path)


def _import_histories(
    args: Namespace, source: Histories | OneFile, settings: Settings, home: StateDirectory
) -> tuple[dict[str, object], str]:
    from contextlib import closing
    from dataclasses import asdict

    from cdesk.core.wake import WakeSender
    from uploader.histories import import_histories

    with progress("reading", total=1, unit="B", scale=True) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = import_histories(
            source,
            home=home,
            customer=settings.customer,
            include_text=args.include_text,
            exclude=settings.capture.exclude,
            earlier=lambda: earlier_histories(settings, home),
            progress=show,
        )
    with closing(WakeSender(home)) as waker:
        running = waker.send()
    document = {**asdict(report), "format": "histories", "worker_told": running}
    return document, histories_told(report, running=running)


def earlier_histories(settings: Settings, home: StateDirectory) -> Iterator[Record]:
    """What histories brought in before, for a `capture.db` that knows nothing."""
    from contextlib import closing

    from cdesk.core.identity import local_caller
    from cdesk.state.catalog import open_catalog
    from cdesk.warehouse.factory import open_warehouse
    from uploader.earlier_imports import told_by_histories

    with closing(open_warehouse(settings, home)) as warehouse:
        yield from told_by_histories(home, warehouse, open_catalog(home), local_caller(settings))


def histories_told(report: FolderReport, *, running: bool) -> str:
    """What came of histories, in words."""
    lines = []
    if report.added:
        rows = list(report.records.items())
        lines += [table(("imported", "records"), rows, width=terminal_width()), ""]
        lines.append(
            f"{report.added:,} records of {report.files:,} files, from {report.first_ts} to "
            f"{report.last_ts}."
        )
    else:
        lines.append("Nothing new: what these histories hold had come in before.")
    for title, counts in (
        ("Not known to this version, and left out", report.unknown),
        ("Lines that could not be read", report.bad_lines),
        ("Beyond the limits of a record, and left out", report.left_out),
    ):
        if counts:
            lines.append(f"{title}: {sum(counts.values()):,}")
            most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            lines += [f"  {count:,} × {name}" for name, count in most[:5]]
    for path, why in list(report.unreadable.items())[:5]:
        lines.append(f"{path} cannot be read ({why})")
    for path, what in list(report.passed_by.items())[:5]:
        lines.append(f"{path} was passed by ({what})")
    if report.added:
        lines.append(
            "The worker is landing them; 'cdesk status' shows how far it is."
            if running
            else "Run 'cdesk worker --once' to land them and build."
        )
    return "\n".join(lines)


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
    elif not (
        report.known or report.left_out or report.conflicts or report.changed or report.revised
    ):
        lines.append("It holds nothing: no conversation, no record.")
    elif not report.revised:
        lines.append(f"Nothing new{source}: {report.known:,} records had come in before.")
    if report.added and report.known:
        lines.append(f"{report.known:,} more had come in before and were left as they are.")
    if report.conflicts:
        lines.append(
            f"{report.conflicts:,} have an id that came in before with other content: the "
            "first ones stay, these are quarantined "
            "(id_conflict). 'cdesk quarantine list' shows them once they are built."
        )
    if report.revised:
        lines.append(
            f"{report.revised:,} records that had come in before say more now, such as their text, "
            "and are brought up to date in their place."
        )
    if report.changed:
        lines.append(
            f"{report.changed:,} say something else than when an earlier export brought them "
            "in, and were left as they were; --include-text brings them up to date."
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
    if report.added or report.conflicts or report.revised:
        lines.append(
            "The worker is landing them; 'cdesk status' shows how far it is."
            if running
            else "Run 'cdesk worker --once' to land them and build."
        )
    return "\n".join(lines)
