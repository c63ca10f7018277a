"""`cdesk backup`: the state directory in one file, while everything runs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from cdesk_app.cli.output import size, to_json, waiting
from cdesk_app.cli.settings import settings_and_home

EXAMPLE = "cdesk backup ~/cdesk-2026-01-31.zip"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the file to write; it must not be there yet")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    from cdesk.core.home import keep_private
    from cdesk_app.ops.backup import make_backup

    keep_private()
    settings, home = settings_and_home()
    file = args.file.expanduser()
    with waiting("backing up") as say:
        manifest = make_backup(settings, home, file, tell=say)
    stored = file.stat().st_size
    if args.json:
        told = {"file": str(file), "at": manifest.at, "files": len(manifest.members)}
        print(to_json({**told, "bytes": stored, "target": manifest.target}))
        return 0
    print(f"{file}: {len(manifest.members):,} files, {size(manifest.bytes)} in {size(stored)}.")
    if manifest.target == "snowflake":
        print("The warehouse is not in it: Snowflake keeps its own (Time Travel, clones).")
    if settings.artifacts_url:
        print(f"Results in {settings.artifacts_url} are not in it.")
    print("It holds all that was recorded: keep it as safe as this directory.")
    return 0
