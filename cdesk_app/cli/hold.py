"""`cdesk hold`: a customer's legal hold on the embedded default, and who is held."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from typing import Final

from cdesk_app.cli.output import pairs, to_json, waiting
from cdesk_app.cli.settings import settings_and_home

EXAMPLE = 'cdesk hold ada@example.com --reason "case 4711"'
_HELD: Final = re.compile(r"held: (\[.*\])")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("customer", nargs="?", help="who is held; nobody: list who is")
    parser.add_argument("--reason", help="why; kept with the hold")
    parser.add_argument("--lift", action="store_true", help="end the hold")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    import orjson

    from cdesk.core.checks import check_customer
    from cdesk.core.errors import ConfigurationError, InvalidField
    from cdesk.core.home import keep_private
    from cdesk_app.worker.dbt.build import Builder
    from cdesk_app.worker.dbt.project import dbt_environment, locate_project

    keep_private()
    settings, home = settings_and_home()
    if settings.target != "duckdb":
        raise ConfigurationError(
            "an administrator holds customers of a shared warehouse: "
            "dbt run-operation legal_hold, as CDESK_ADMIN (docs/snowflake.md)"
        )
    if args.customer is None and (args.lift or args.reason):
        raise InvalidField("customer", "missing", "who is held, or freed by --lift")
    arguments: dict[str, object] = {"lift": args.lift}
    if args.customer is not None:
        try:
            check_customer(args.customer)
        except ValueError as error:
            raise InvalidField("customer", *error.args) from None
        arguments |= {"customer": args.customer, "reason": args.reason}
    builder = Builder(locate_project(settings, home), dbt_environment(settings.environ))
    try:
        with waiting("asking the warehouse"):
            told = builder.operate("legal_hold", arguments).told
    finally:
        builder.close()
    held = [one for line in told if (match := _HELD.search(line)) for one in orjson.loads(match[1])]
    if args.json:
        print(to_json(held))
    elif held:
        print("Under legal hold, kept from retention and erasure:")
        print(pairs([(one["customer"], _why(one)) for one in held], indent=2))
    else:
        print("Nobody is under legal hold.")
    return 0


def _why(one: dict[str, str]) -> str:
    return f"since {one['placed_at'][:16]}" + (f": {one['reason']}" if one["reason"] else "")
