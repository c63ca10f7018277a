"""`cdesk connect`: Claude starts this server, and records for the person of this terminal."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from cdesk_app.cli.output import to_json
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from cdesk.core.config import Settings

EXAMPLE = "cdesk connect --customer you@example.com"

ANALYST: Final = (
    "the role analyst: Claude may ask over all customers of this warehouse, and sees every row "
    "there, whoever recorded it; right where all of it is yours"
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--customer",
        help="whose records these are, such as your e-mail address; default: the customer in force",
    )
    parser.add_argument(
        "--client",
        choices=("claude-desktop", "claude-code"),
        default="claude-desktop",
        help="which program starts the server (default: %(default)s)",
    )
    parser.add_argument(
        "--roles",
        choices=("analyst", "none"),
        help=f"{ANALYST}; 'none' takes it back; default: as it is",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done, and change nothing"
    )
    parser.add_argument(
        "--undo",
        action="store_true",
        help="take the entry out again, or put back the one that stood there before; the customer "
        "in config.toml stays, the roles go",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    if args.undo and (args.customer or args.roles):
        from cdesk_app.cli.main import USAGE

        return _refused("--undo takes neither --customer nor --roles", USAGE)
    done = _undo(args) if args.undo else _connect(args)
    if args.json:
        print(to_json({"dry_run": args.dry_run, "done": done}))
    else:
        for line in done:
            print(line)
    return 0


def _connect(args: Namespace) -> list[str]:
    from cdesk.core.checks import check_customer
    from cdesk.core.errors import ConfigurationError
    from cdesk_app.ops.clients import claude_code, config_file, desktop
    from cdesk_app.ops.clients.entry import config_path, find_entry, server

    settings, home = settings_and_home(make=not args.dry_run)
    code = args.client == "claude-code"
    configuration = None if code else desktop.read_configuration(config_path(settings))
    entry = find_entry(configuration.values) if configuration else claude_code.registered(settings)
    if args.customer:
        try:
            check_customer(args.customer)
        except ValueError as error:
            problem, allowed = error.args
            raise ConfigurationError(f"customer: {problem}; allowed: {allowed}") from None
    settings = _person(args, settings, entry[1].get("env") if entry else None)
    roles = ",".join(settings.roles)
    file = settings.home / "config.toml"
    text = config_file.changed(file, {"customer": settings.customer, "roles": roles or None})
    ours = server(settings)

    done = []
    would = "would be " if args.dry_run else ""
    if text is not None:
        done.append(f"customer {settings.customer} {would}written to {file}")
    if configuration is not None:
        values = desktop.merged(configuration, ours)
        same = values == configuration.values and not configuration.marked
        if same:
            done.append(f"{configuration.path} names this server already")
        else:
            done.append(f"{configuration.path}: entry {would}written, others stay as they are")
            if configuration.raw is not None:
                done.append(f"the file as it was {would}kept as {configuration.backup}")
        if configuration.marked:
            done.append(f"its byte order mark {would}taken out, which Claude Desktop may not read")
        if not args.dry_run:
            if text is not None:
                config_file.write(home.root / "config.toml", text)
            if not same:
                desktop.write_configuration(configuration, values, backup=True)
    else:
        done += _register(args, settings, entry, ours)
        if not args.dry_run and text is not None:
            config_file.write(home.root / "config.toml", text)
    done += _notes(args, settings)
    done.append(f"Claude records for {settings.customer} in {settings.home}")
    program = "Claude Code" if code else "Claude Desktop"
    return [*done, f"restart {program}; 'cdesk doctor' says whether all is well"]


def _register(
    args: Namespace, settings: Settings, entry: object, ours: dict[str, object]
) -> list[str]:
    """Tell Claude Code; the commands that were run, or would be."""
    import subprocess

    from cdesk.core.errors import ConfigurationError
    from cdesk_app.ops.clients import claude_code

    commands = [claude_code.add_command(ours)]
    before = None
    if isinstance(entry, tuple):
        name, before = entry
        if {key: before.get(key) for key in ours} == ours:
            return ["Claude Code names this server already"]
        commands.insert(0, claude_code.remove_command(name))
    if not args.dry_run:
        for words in commands:
            try:
                claude_code.run(words, settings)
            except ConfigurationError as error:
                if before is None or words is commands[0]:
                    raise
                raise ConfigurationError(f"{error}; the entry that it had: {before}") from None
    return [
        f"{'would run' if args.dry_run else 'ran'}: {subprocess.list2cmdline(words)}"
        for words in commands
    ]


def _person(args: Namespace, settings: Settings, env: object) -> Settings:
    """The settings with the customer and roles that both sides shall have.

    Where only the client's entry names a customer, that one is meant; the terminal has but the name
    of the local user.

    Raises:
        ConfigurationError: both name one, and not the same.
    """
    from dataclasses import replace

    from cdesk.core.config import load_settings
    from cdesk.core.errors import ConfigurationError

    there = env.get("CDESK_CUSTOMER") if isinstance(env, dict) else None
    customer = args.customer or settings.customer
    if not args.customer and isinstance(there, str) and there and there != settings.customer:
        nameless = {
            key: value for key, value in settings.environ.items() if key not in ("USER", "USERNAME")
        }
        if load_settings({**nameless, "USER": "-"}).customer != "-":
            raise ConfigurationError(
                f"Claude records for {there}, this terminal works for {settings.customer}; "
                "say which with --customer"
            )
        customer = there
    roles = settings.roles
    if args.roles:
        roles = () if args.roles == "none" else (args.roles,)
    return replace(settings, customer=customer, roles=roles)


def _notes(args: Namespace, settings: Settings) -> list[str]:
    notes = []
    for name, value in (("CUSTOMER", settings.customer), ("ROLES", ",".join(settings.roles))):
        variable = f"CDESK_{name}"
        here = settings.environ.get(variable)
        if here and here != value:
            notes.append(
                f"note: {variable} is {here} in this terminal and comes before config.toml; "
                "unset it"
            )
    if settings.roles:
        notes.append(f"Claude has {ANALYST}")
    elif settings.target == "duckdb" and not args.roles:
        notes.append(
            "Claude sees this customer's data alone; where all that is recorded here is yours, "
            "--roles analyst lets it ask over all customers, too"
        )
    return notes


def _undo(args: Namespace) -> list[str]:
    import subprocess

    from cdesk_app.ops.clients import claude_code, config_file, desktop
    from cdesk_app.ops.clients.entry import config_path

    settings, _ = settings_and_home(make=False)
    would = "would be " if args.dry_run else ""
    done = []
    if args.client == "claude-code":
        entry = claude_code.registered(settings)
        if entry is None:
            return ["Claude Code does not name this server: nothing to undo"]
        words = claude_code.remove_command(entry[0])
        if not args.dry_run:
            claude_code.run(words, settings)
        done.append(f"{'would run' if args.dry_run else 'ran'}: {subprocess.list2cmdline(words)}")
    else:
        configuration = desktop.read_configuration(config_path(settings))
        values = desktop.restored(configuration)
        if values is None:
            return [f"{configuration.path} is as it was before: nothing to undo"]
        if not args.dry_run:
            desktop.write_configuration(configuration, values, backup=False)
        done.append(f"{configuration.path}: entry {would}as it was before, others stay")
    file = settings.home / "config.toml"
    text = config_file.changed(file, {"roles": None})
    if text is not None:
        if not args.dry_run:
            config_file.write(file, text)
        done.append(f"roles {would}taken out of {file}")
    return [*done, f"records stay, for {settings.customer}, in {settings.home}"]


def _refused(message: str, code: int) -> int:
    import sys

    print(f"cdesk: {message}", file=sys.stderr)
    return code
