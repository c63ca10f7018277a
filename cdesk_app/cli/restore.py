"""`cdesk restore`: a backup back into a state directory."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from cdesk_app.cli.output import size, to_json, waiting
from cdesk_app.cli.settings import settings_and_home

EXAMPLE = "cdesk restore ~/cdesk-2026-01-31.zip"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a file that 'cdesk backup' wrote")
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help="where to, if not into the state directory; it must be empty or missing",
    )
    parser.add_argument(
        "--with-queue-of",
        type=Path,
        metavar="FOLDER",
        help="a state directory that went on after the backup: what was recorded there since "
        "comes along and lands again",
    )
    parser.add_argument("--check", action="store_true", help="only read the backup from end to end")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    from cdesk.core.errors import InvalidField
    from cdesk.core.home import StateDirectory, keep_private
    from cdesk_app.ops.backup import check_backup, restore_backup

    keep_private()
    settings, _ = settings_and_home(make=False)
    file = args.file.expanduser()
    root = (args.to or settings.home).expanduser().absolute()
    later = args.with_queue_of and StateDirectory(args.with_queue_of.expanduser().absolute())
    if later and not later.queue.is_dir():
        raise InvalidField("--with-queue-of", f"{later.root} has no queue", "a state directory")
    with waiting("checking" if args.check else "restoring") as say:
        manifest = (
            check_backup(file)
            if args.check
            else restore_backup(file, root, queue_of=later, tell=say)
        )
    if args.json:
        told = {"at": manifest.at, "version": manifest.version, "files": len(manifest.members)}
        print(to_json({**told, "bytes": manifest.bytes, "to": None if args.check else str(root)}))
        return 0
    what = f"{len(manifest.members):,} files, {size(manifest.bytes)}, as of {manifest.at}"
    if args.check:
        print(f"{file} is whole: {what}.")
        return 0
    print(f"{root}: {what}.")
    print("Next: 'cdesk worker --once' lands what waited, and 'cdesk doctor' looks at all of it.")
    print("Whoever was erased since then is back: run 'cdesk erase' for them again.")
    if root != settings.home.absolute():
        print(f"To use it: CDESK_HOME={root}")
    return 0
