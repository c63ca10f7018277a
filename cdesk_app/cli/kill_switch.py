"""`cdesk kill-switch`: queries are refused while it is on."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import closing

from cdesk_app.cli.output import age, to_json
from cdesk_app.cli.settings import settings_and_home

EXAMPLE = 'cdesk kill-switch on --reason "credits are used up"'


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "state",
        choices=("on", "off", "status"),
        help="on: refuse queries and cancel those that wait or run; off: allow them; status: say "
        "which",
    )
    parser.add_argument("--reason", help="what those who are refused are told (with on)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    import time
    from dataclasses import asdict

    from cdesk.core.clock import format_ts
    from cdesk.core.wake import WakeSender
    from cdesk.state.database import open_state
    from cdesk.state.kill_switch import read_switch, turn_off, turn_on

    _, home = settings_and_home()
    cancelled = 0
    with closing(open_state(home.state_db)) as state:
        now = format_ts(time.time_ns())
        if args.state == "on":
            cancelled = turn_on(state, home, reason=args.reason, now=now)
        elif args.state == "off":
            turn_off(state, home, now=now)
        switch = read_switch(state, home.kill_switch)
    if args.state != "status":
        with closing(WakeSender(home)) as waker:
            waker.send()  # the worker stops at once what runs
    if args.json:
        print(to_json({**asdict(switch), "cancelled": cancelled}))
    elif switch.on:
        because = f" ({switch.reason})" if switch.reason else ""
        print(f"on{because}, since {age(switch.since)}: queries are refused, logging goes on")
        if cancelled:
            print(f"{cancelled:,} queries were cancelled")
    else:
        print("off: queries run")
    return 0
