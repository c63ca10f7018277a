"""`cdesk worker`: the background process, or with --once one cycle of its work."""

from __future__ import annotations

import math
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING

from cdesk_app.cli.output import to_json, waiting
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from cdesk.core.config import Settings
    from cdesk.core.home import StateDirectory
    from cdesk_app.worker.cycle import CycleReport

EXAMPLE = "cdesk worker --once"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--once",
        action="store_true",
        help="land what is queued, build, renew snapshot and catalog, run the waiting queries, and "
        "exit; "
        "a worker that runs already is asked to do it",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="with --once: build seeds and all models, and run the data tests",
    )
    parser.add_argument(
        "--foreground", action="store_true", help="log to standard error instead of worker.log"
    )
    parser.add_argument(
        "--stay",
        action="store_true",
        help="stay when nobody is there any more, as a service of the operating system does",
    )
    parser.add_argument(
        "--stop",
        action="store_true",
        help="end the running worker, so that another program can write the warehouse",
    )
    parser.add_argument("--json", action="store_true", help="with --once: print the report as JSON")


def run(args: Namespace) -> int:
    from cdesk.contract.redaction import redact_value
    from cdesk.core.home import keep_private
    from cdesk.core.log import set_up_logging

    keep_private()
    settings, home = settings_and_home()
    if args.stop:
        return _stop(home)
    log = None if args.foreground else home.worker_log
    set_up_logging(log, settings.environ, credentials=redact_value)
    if args.once:
        return _once(settings, home, args)
    if sys.stderr.isatty():
        print(
            "cdesk: this is the worker; it waits for records and queries, and lands, builds and "
            f"answers. Its log is {'here' if args.foreground else home.worker_log}; Ctrl-C ends it",
            file=sys.stderr,
        )
    from cdesk.core.memory import take_from_the_system
    from cdesk.core.processes import give_way
    from cdesk_app.render.presentation import CardPresenter
    from cdesk_app.worker.main import IDLE_EXIT_SECONDS
    from cdesk_app.worker.main import run as run_worker

    give_way()
    take_from_the_system()
    idle = math.inf if args.stay else IDLE_EXIT_SECONDS
    return run_worker(settings, idle_exit_seconds=idle, present=CardPresenter)


def _stop(home: StateDirectory) -> int:
    from cdesk.core.errors import CdeskError
    from cdesk.core.locks import is_held
    from cdesk_app.worker.alone import STOP_SECONDS, stop_worker

    if not is_held(home.worker_lock):
        print("No worker runs.")
        return 0
    if not stop_worker(home):
        raise CdeskError(
            f"the worker has not ended in {STOP_SECONDS:.0f} s; its log is {home.worker_log}"
        )
    print(
        "The worker has ended. The MCP server starts another with its next call; "
        "CDESK_WORKER=off keeps it from that."
    )
    return 0


def _once(settings: Settings, home: StateDirectory, args: Namespace) -> int:
    from cdesk.core.errors import BuildError
    from cdesk_app.render.presentation import CardPresenter
    from cdesk_app.worker.main import run_once

    with waiting("working") as say:
        report = run_once(
            settings,
            full=args.full,
            progress=lambda *stage: say(describe(*stage)),
            present=CardPresenter,
        )
    print(to_json(asdict(report)) if args.json else _told(report))
    if report.failed_tests:
        raise BuildError(
            f"data tests failed: {', '.join(report.failed_tests)}; their rows and SQL stand "
            f"in {home.dbt / 'logs' / 'dbt.log'}"
        )
    return 0


def describe(what: str, done: int, total: int) -> str:
    """A stage of the work in words."""
    return f"{what}, {done} of {total}" if total else what


def _told(report: CycleReport) -> str:
    if report.handed_over:
        return (
            f"The running worker did it, in {report.seconds:.1f} s; 'cdesk status' has the figures."
        )
    parts = [f"{report.landed:,} records landed"]
    if report.quarantined:
        parts.append(f"{report.quarantined:,} of them quarantined")
    parts.append(
        f"{report.builds} {'build' if report.builds == 1 else 'builds'} in "
        f"{report.build_seconds:.1f} s"
    )
    parts.append(f"{report.contexts_changed:,} contexts changed")
    if report.templates is not None:
        parts.append(f"{report.templates:,} query templates compiled")
    if report.tickets:
        parts.append(f"{report.tickets:,} queries run")
    if report.waiting:
        parts.append(f"{report.waiting:,} records still wait")
    return "; ".join(parts) + f" ({report.seconds:.1f} s in all)."
