"""`cdesk kill-switch`: queries are refused while it is on."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import closing

from cli.output import age, to_json
from cli.settings import settings_and_home

EXAMPLE = 'cdesk kill-switch on --reason "credits are used up"'


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "state",
        choices=("on", "off", "status"),
        help="on: refuse queries and cancel running ones; off: allow them; status: say which",
    )
    parser.add_argument("--reason", default=None, help="what those who are refused are told (with on)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    import time

    from cdesk.clock import format_ts
    from cdesk.state import get_status, open_state, set_status
    from cdesk.wake import WakeSender

    _, home = settings_and_home()
    with closing(open_state(home.state_db)) as state:
        if args.state != "status":
            now = format_ts(time.time_ns())
            on = args.state == "on"
            reason = (args.reason or "switched on by hand") if on else None
            set_status(state, "kill_switch", {"on": on, "reason": reason, "since": now}, now=now)
            waker = WakeSender(home)
            waker.send()  # the worker cancels what runs
            waker.close()
        found = get_status(state, "kill_switch")
    switch = found if isinstance(found, dict) else {"on": False, "reason": None, "since": None}
    if args.json:
        print(to_json(switch))
    elif switch["on"]:
        print(f"on ({switch['reason']}), since {age(switch['since'])}: submit_query refuses, logging goes on")
    else:
        print("off: queries run")
    return 0
