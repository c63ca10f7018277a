"""`cdesk refresh`: what the turn path reads is made anew from the warehouse and the dbt project."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from cdesk_app.cli.output import to_json, waiting
from cdesk_app.cli.settings import settings_and_home

EXAMPLE = "cdesk refresh"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    import threading
    from contextlib import closing

    from cdesk.contract.redaction import redact_value
    from cdesk.core.locks import FileLock
    from cdesk.core.log import set_up_logging
    from cdesk_app.cli.worker import describe
    from cdesk_app.worker.main import run_once
    from cdesk_app.worker.pipeline import open_pipeline

    settings, home = settings_and_home()
    set_up_logging(home.worker_log, settings.environ, credentials=redact_value)
    with waiting("refreshing") as say, FileLock(home.worker_lock) as free:
        if free:
            with closing(open_pipeline(settings, home, stop=threading.Event())) as pipeline:
                say("the context snapshot")
                contexts = pipeline.refresh(whole=True).changed
                say("the catalog")
                templates = pipeline.export(force=True)
            done = {"by": "this command", "contexts_changed": contexts, "templates": templates}
        else:  # two at once would compile into one another's files
            run_once(settings, progress=lambda *stage: say(describe(*stage)))
            done = {"by": "the running worker", "contexts_changed": None, "templates": None}
    if args.json:
        print(to_json(done))
    elif free:
        print(
            f"{done['contexts_changed']:,} contexts changed, {done['templates']:,} query "
            "templates compiled."
        )
    else:
        print("The running worker has landed, built and refreshed.")
    return 0
