"""`cdesk token`: who may use the HTTP service."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import closing

from cdesk.core.identity import ROLES
from cdesk_app.cli.output import age, table, to_json
from cdesk_app.cli.settings import settings_and_home

EXAMPLE = "cdesk token add ada@example.com --role user --expires 90d"
DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="add|list|revoke", help="what to do"
    )
    add = actions.add_parser("add", help="make a token for each customer; each is shown once")
    add.add_argument("customer", nargs="+", help="whose records the bearer reads and writes")
    add.add_argument(
        "--role",
        action="append",
        choices=ROLES,
        help="analyst: may also ask over all customers; admin: may turn the kill switch; "
        "metrics: may read the metrics; repeatable",
    )
    add.add_argument(
        "--expires", type=lifetime, metavar="TIME", help="90d, 12h or 4w (default: never)"
    )
    listed = actions.add_parser("list", help="say which tokens there are, without their secrets")
    revoke = actions.add_parser("revoke", help="refuse tokens from now on, in every process")
    revoke.add_argument("id", nargs="+", help="as 'cdesk token list' names it")
    for action in (add, listed, revoke):
        action.add_argument("--json", action="store_true", help="print JSON")


def lifetime(text: str) -> float:
    """Days of a text as `90d`."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", text)
    if match is None:
        raise ArgumentTypeError(f"{text[:20]!r} is no time; allowed: as 90d, 12h or 4w")
    return int(match[1]) * DAYS[match[2]]


def run(args: Namespace) -> int:
    import time
    from dataclasses import asdict

    from cdesk.core.checks import check_customer
    from cdesk.core.clock import format_ts
    from cdesk.core.errors import InvalidField
    from cdesk.state.access import AccessStore, expiry

    _, home = settings_and_home()
    now_ns = time.time_ns()
    now = format_ts(now_ns)
    with closing(AccessStore(home.access_db)) as store:
        if args.action == "add":
            for customer in args.customer:
                try:
                    check_customer(customer)
                except ValueError as error:
                    problem, allowed = error.args
                    raise InvalidField("customer", problem, allowed) from None
            expires_at = expiry(args.expires, now_ns=now_ns) if args.expires else None
            made = store.add_tokens(
                args.customer, roles=args.role or (), expires_at=expires_at, now=now
            )
            if args.json:
                print(to_json([asdict(one) for one in made]))
            else:
                for one in made:  # no table: it would cut a long name
                    print(f"{one.id}  {one.customer}  {one.token}")
                print("Each token is shown this once; only its hash is kept.")
        elif args.action == "revoke":
            store.revoke(args.id, now=now)
            if args.json:
                print(to_json({"revoked": args.id}))
            else:
                print(f"revoked: {', '.join(args.id)}")
        else:
            tokens = store.tokens()
            if args.json:
                print(to_json([asdict(token) | {"state": token.state(now)} for token in tokens]))
            elif tokens:
                print(
                    table(
                        ("id", "customer", "roles", "state", "made", "expires"),
                        [
                            (
                                token.id,
                                token.customer,
                                ", ".join(token.roles) or "user",
                                token.state(now),
                                age(token.created_at),
                                token.expires_at or "never",
                            )
                            for token in tokens
                        ],
                    )
                )
            else:
                print("there is no token; make one: cdesk token add CUSTOMER")
    return 0
