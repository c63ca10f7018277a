"""`cdesk capture`: Claude's own histories on this computer as a source; off until turned on."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cdesk_app.cli.output import age, pairs, size, to_json
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from cdesk.core.config import Settings
    from cdesk.core.home import StateDirectory
    from uploader.capture_status import CaptureStatus

ELSEWHERE = (
    "Where Claude Desktop's extension has 'follow local histories' switched on, switch it off "
    "there as well: that switch comes before this one."
)
EXAMPLE = "cdesk capture on --exclude secret-project"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="?",
        choices=("on", "off", "status", "now"),
        default="status",
        help="on: follow the histories from now on, those of the past included; off: stop; "
        "status: what is read and how far (the default); now: look once",
    )
    parser.add_argument(
        "--include-text",
        action="store_true",
        help="with on: keep what was asked and answered, too; without it lengths, kinds, tokens, "
        "times, names of tools, projects and files, and titles",
    )
    parser.add_argument(
        "--exclude",
        metavar="PROJECT_OR_PATH",
        action="append",
        help="with on: a project by name, or a folder by path or pattern, of which nothing is "
        "taken in; may be repeated",
    )
    parser.add_argument(
        "--forget",
        action="store_true",
        help="with off: also erase what came from these histories; insights and what was logged "
        "stay",
    )
    parser.add_argument("--yes", action="store_true", help="with --forget: do not ask")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    settings, home = settings_and_home()
    if args.what == "on":
        return _on(args, settings, home)
    if args.what == "off":
        return _off(args, settings, home)
    if args.what == "now":
        return _now(args, settings, home)
    from uploader.capture_status import capture_status

    found = capture_status(settings, home)
    print(to_json(found) if args.json else pairs(list(_lines(found))))
    return 0


def _on(args: Namespace, settings: Settings, home: StateDirectory) -> int:
    from dataclasses import asdict, replace

    from uploader.capture_status import capture_status

    exclude = sorted({*settings.capture.exclude, *(args.exclude or ())})
    include_text = args.include_text or settings.capture.include_text
    _write(home, enabled=True, include_text=include_text, exclude=exclude)
    found = replace(
        capture_status(settings, home),
        enabled=True,
        include_text=include_text,
        exclude=exclude,
    )
    running = _wake(home)
    if args.json:
        print(to_json({**asdict(found), "worker_told": running}))
        return 0
    print("Capture is on. Read, and never changed, are these folders:")
    for folder in found.folders or ["(none is there yet)"]:
        print(f"  {folder}")
    print(
        "Kept of each conversation: when, project and title, model, tokens, tools and their "
        "outcome, names and kinds of files, errors. Credentials are redacted before anything is "
        "written."
    )
    if include_text:
        print("Kept as well, since you asked for it: the text of questions and answers.")
    else:
        print("Not kept: questions and answers (--include-text keeps them), and where files lie.")
    if exclude:
        print(f"Left out: {', '.join(exclude)}.")
    print(
        "The worker follows them from now on; 'cdesk capture status' shows how far it is."
        if running
        else "The worker follows them while it runs; 'cdesk capture now' reads what is there."
    )
    print("'cdesk capture off' stops it.")
    return 0


def _off(args: Namespace, settings: Settings, home: StateDirectory) -> int:
    from cdesk.core.errors import CdeskError

    if args.forget and not args.yes and not _agreed():
        raise CdeskError("nothing was changed; to forget without being asked, add --yes")
    old = settings.capture
    _write(home, enabled=False, include_text=old.include_text, exclude=list(old.exclude))
    running = _wake(home)
    if args.forget:
        return _forget(args, settings, home)
    if args.json:
        print(to_json({"enabled": False, "worker_told": running}))
    else:
        print("Capture is off; what came in stays ('cdesk capture off --forget' erases it).")
        print(ELSEWHERE)
    return 0


def _forget(args: Namespace, settings: Settings, home: StateDirectory) -> int:
    from dataclasses import asdict

    from cdesk.core.errors import CdeskError
    from cdesk.core.home import keep_private
    from cdesk_app.cli.output import waiting
    from cdesk_app.worker.alone import alone
    from cdesk_app.worker.forgetting import forget_histories
    from cdesk_app.worker.main import run_once

    keep_private()
    with waiting("forgetting") as say:
        with alone(home):
            report = forget_histories(settings, home, tell=say)
        say("building")
        run_once(settings)
    if args.json:
        print(to_json({"enabled": False, "forgotten": asdict(report)}))
    else:
        counts = [(name, count) for name, count in report.counts.items() if count]
        print(f"Capture is off. Forgotten is what came from the histories of {report.customer}:")
        print(pairs(counts, indent=2) if counts else "  there was nothing")
        print(ELSEWHERE)
        print("Beyond its reach:", *(f"  {one}" for one in report.beyond), sep="\n")
    if report.left:
        raise CdeskError(f"still there: {'; '.join(report.left)}")
    return 0


def _agreed() -> bool:
    import sys

    if not sys.stdin.isatty():
        return False
    answer = input("Erase what came from Claude's own histories? It cannot be taken back. [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _now(args: Namespace, settings: Settings, home: StateDirectory) -> int:
    from dataclasses import asdict

    from cdesk_app.cli.history import earlier_histories, histories_told
    from cdesk_app.cli.output import progress
    from uploader.histories import import_histories, local_histories

    if not settings.capture.enabled:
        from cdesk.core.errors import ConfigurationError

        raise ConfigurationError("capture is off; 'cdesk capture on' says what it would read")
    with progress("reading", total=1, unit="B", scale=True) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = import_histories(
            local_histories(settings.environ),
            home=home,
            customer=settings.customer,
            include_text=settings.capture.include_text,
            exclude=settings.capture.exclude,
            earlier=lambda: earlier_histories(settings, home),
            progress=show,
        )
    running = _wake(home)
    if args.json:
        print(to_json({**asdict(report), "worker_told": running}))
    else:
        print(histories_told(report, running=running))
    return 0


def _write(home: StateDirectory, *, enabled: bool, include_text: bool, exclude: list[str]) -> None:
    from cdesk_app.ops.clients import config_file

    path = home.root / "config.toml"
    values: dict[str, object] = {"enabled": enabled, "include_text": include_text}
    values["exclude"] = exclude
    config_file.write(path, config_file.changed_table(path, "capture", values))


def _wake(home: StateDirectory) -> bool:
    from contextlib import closing

    from cdesk.core.wake import WakeSender

    with closing(WakeSender(home)) as waker:
        return waker.send()


def _lines(found: CaptureStatus) -> list[tuple[str, object]]:
    return [
        ("capture", "on" if found.enabled else "off; 'cdesk capture on' turns it on"),
        ("text", "kept" if found.include_text else "not kept"),
        ("left out", ", ".join(found.exclude) or "nothing"),
        ("folders", "; ".join(found.folders) or "none of Claude's is there"),
        (
            "files",
            f"{found.files:,}; {size(found.read_bytes)} read, {size(found.behind_bytes)} not yet",
        ),
        (
            "sources",
            ", ".join(f"{name}: {count:,} files" for name, count in found.sources.items())
            or "none has written here yet",
        ),
        ("sessions", f"{found.sessions:,}"),
        ("last read", age(found.last_read_at)),
        ("backlog", size(found.backlog_bytes)),
        ("records", _counted(found.records)),
        ("unknown", _counted(found.unknown)),
        ("bad lines", _counted(found.bad_lines)),
        ("beyond limits", _counted(found.left_out)),
        *(
            ("cannot be read", f"{path} ({why})")
            for path, why in list(found.unreadable.items())[:5]
        ),
        *(("passed by", f"{path} ({what})") for path, what in list(found.passed_by.items())[:5]),
        *([("looking fails", f"since {found.error}")] if found.error else []),
    ]


def _counted(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{count:,} {what}" for what, count in list(counts.items())[:6])
    return (shown or "none") + (" …" if len(counts) > 6 else "")
