"""The `cdesk` command: finds the subcommand, runs it, and turns what went wrong into one line and
an exit code.

Nothing heavy is imported here, not even argparse: Claude Desktop starts `cdesk mcp`, and a person
waits for it. A subcommand is a module with `EXAMPLE`, `add_arguments(parser)` and `run(args) ->
int`; it imports its room inside `run`.

Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

COMMANDS: Final = {
    "connect": (
        "cdesk_app.cli.connect",
        "put the server into Claude's configuration; --undo takes it out again",
    ),
    "mcp": (
        "cdesk_app.cli.mcp",
        "the MCP server that Claude Desktop starts; on standard input and output, or over HTTP",
    ),
    "worker": (
        "cdesk_app.cli.worker",
        "the background process: lands what is queued, builds, refreshes, runs queries",
    ),
    "query": ("cdesk_app.cli.query", "run a cataloged query and print or save its result"),
    "artifact": ("cdesk_app.cli.artifact", "open the stored result that an answer links to"),
    "card": ("cdesk_app.cli.card", "the link to the card of a stored result; --open shows it"),
    "dashboard": ("cdesk_app.cli.dashboard", "the link to the dashboard; --open shows it"),
    "render": ("cdesk_app.cli.render", "serve cards and the dashboard on this computer"),
    "templates": ("cdesk_app.cli.templates", "list the cataloged queries, or explain one of them"),
    "context": ("cdesk_app.cli.context", "show what get_context would answer"),
    "import": (
        "cdesk_app.cli.history",
        "bring in history: a Claude data export, local histories, or records as NDJSON",
    ),
    "capture": (
        "cdesk_app.cli.capture",
        "follow Claude's own histories on this computer: on, off, status, now",
    ),
    "review": (
        "cdesk_app.cli.review",
        "a year, a month or a week with Claude, as a page and a card to share",
    ),
    "refresh": ("cdesk_app.cli.refresh", "renew the context snapshot and the query catalog"),
    "status": (
        "cdesk_app.cli.status",
        "how far behind the warehouse is, and what the worker last did",
    ),
    "doctor": (
        "cdesk_app.cli.doctor",
        "check the installation and say what to do about each finding",
    ),
    "metrics": (
        "cdesk_app.cli.metrics",
        "what Prometheus reads: one scrape; or the alert rules, or the Grafana dashboard",
    ),
    "service": (
        "cdesk_app.cli.service",
        "let the operating system run the worker, the HTTP service or the renderer",
    ),
    "token": ("cdesk_app.cli.token", "who may use the HTTP service: add, list, revoke tokens"),
    "quarantine": (
        "cdesk_app.cli.quarantine",
        "lines that are no records: see them, replay them after a fix, discard them",
    ),
    "backup": (
        "cdesk_app.cli.backup",
        "the state directory in one file, while everything runs",
    ),
    "restore": (
        "cdesk_app.cli.restore",
        "a backup back into an empty directory, or beside; --check only reads it",
    ),
    "erase": (
        "cdesk_app.cli.erase",
        "take everything of one customer out of every file and table, with a report",
    ),
    "hold": (
        "cdesk_app.cli.hold",
        "put a customer under legal hold, lift it, or list who is held",
    ),
    "kill-switch": (
        "cdesk_app.cli.kill_switch",
        "refuse all queries, or allow them again; logging goes on",
    ),
}
"""Subcommand → its module, and one line of what it does; in the order of the help text."""

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


class Command(Protocol):
    """What a subcommand's module holds."""

    EXAMPLE: str

    def add_arguments(self, parser: ArgumentParser) -> None: ...

    def run(self, args: Namespace) -> int: ...


def load(name: str) -> Command:
    """The module of a subcommand; KeyError for a name that is none."""
    return cast(Command, importlib.import_module(COMMANDS[name][0]))


def build_parser(name: str) -> ArgumentParser:
    """The parser of one subcommand."""
    from argparse import ArgumentParser, RawDescriptionHelpFormatter

    command = load(name)
    parser = ArgumentParser(
        prog=f"cdesk {name}",
        description=COMMANDS[name][1],
        epilog=f"example:\n  {command.EXAMPLE}",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    return parser


def overview() -> str:
    """The help text of `cdesk` itself."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        (
            "usage: cdesk [--debug] COMMAND …",
            "",
            "Activity stream and memory for Claude Desktop, in a warehouse on this computer "
            "or on Snowflake.",
            "",
            *lines,
            "",
            "  --debug    show the traceback of a failure",
            "  --version  say which version this is",
            "",
            "'cdesk COMMAND --help' explains one command with an example.",
        )
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run `cdesk` with `argv` (without the program's name; default: the process's own); the exit
    code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if (getattr(stream, "encoding", None) or "utf-8").lower() not in ("utf-8", "utf8"):
            from cdesk_app.cli.encoding import make_printable

            make_printable(stream)
    debug = words[:1] == ["--debug"]
    if debug:
        words = words[1:]
    name, rest = (words[0], words[1:]) if words else ("--help", [])
    try:
        if name in ("--help", "-h", "help"):
            print(overview())
            return OK
        if name in ("--version", "-V"):
            from cdesk import __version__

            print(f"cdesk {__version__}")
            return OK
        if name not in COMMANDS:
            return _unknown(name)
        return _run(name, rest)
    except SystemExit as ended:  # argparse: 0 after --help, 2 after a usage error
        return ended.code if isinstance(ended.code, int) else FAILED
    except KeyboardInterrupt:
        return _say("interrupted", code=INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away ('cdesk query … | head')
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # the top of the process
        if debug:
            raise
        return _say(_explain(error), code=_code(error))


def _run(name: str, words: list[str]) -> int:
    args = build_parser(name).parse_args(words)
    if name == "mcp":  # its standard output carries the protocol
        return load(name).run(args)
    from cdesk_app.cli.output import PlainOutput

    with contextlib.redirect_stdout(PlainOutput(sys.stdout)):
        code = load(name).run(args)
        sys.stdout.flush()  # here, where a broken pipe is still caught
    return code


def _unknown(name: str) -> int:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean 'cdesk {near[0]}'?" if near else "'cdesk --help' lists the commands"
    return _say(f"there is no command {name!r}; {hint}", code=USAGE)


def _code(error: Exception) -> int:
    from cdesk.core.errors import InvalidField

    return USAGE if isinstance(error, InvalidField) else FAILED


def _explain(error: Exception) -> str:
    from cdesk.core.errors import CdeskError

    if isinstance(error, CdeskError):
        return " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError) and error.name:
        from cdesk_app.cli.extras import extra_for
        from cdesk_app.cli.settings import configured_target

        top = error.name.partition(".")[0]
        if extra := extra_for(top, target=configured_target()):
            return (
                f"this command needs {top}, which is not installed; "
                f"run: pip install 'cdesk[{extra}]'"
            )
    text = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {text}; 'cdesk --debug …' shows where"


def _say(message: str, *, code: int = FAILED) -> int:
    from cdesk.core.plain import plain

    print(f"cdesk: {plain(message)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
