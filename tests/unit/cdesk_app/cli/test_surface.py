"""The words that a person can type after `cdesk`: a change of them is seen before it is shipped."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdesk_app.cli import main as cli_main
from cdesk_app.cli.main import COMMANDS, build_parser
from tests.snapshots import assert_kept


def arguments(parser: argparse.ArgumentParser) -> Iterator[dict[str, Any]]:
    """What a parser takes, in the order of its help."""
    groups = {
        action: number
        for number, group in enumerate(parser._mutually_exclusive_groups, start=1)
        for action in group._group_actions
    }
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        choices = sorted(action.choices) if isinstance(action.choices, dict) else action.choices
        said = {
            "names": action.option_strings or action.dest,
            "goes to": action.dest,
            "does": type(action).__name__.strip("_").removesuffix("Action"),
            "takes": action.metavar,
            "how many": action.nargs,
            "choices": None if choices is None else list(choices),
            "read by": getattr(action.type, "__name__", None),
            "default": None if action.default is None else str(action.default),
            "constant": None if action.const is None else str(action.const),
            "required": action.required,
            "not with": groups.get(action),
            "help": action.help,
        }
        yield {name: value for name, value in said.items() if value not in (None, False, "False")}
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from ({"action": name, **one} for one in arguments(below))


@pytest.mark.snapshot
def test_the_commands_and_their_words_are_those_that_are_kept() -> None:
    lines = []
    for name, (_, about) in COMMANDS.items():
        lines += [f"cdesk {name}: {about}", *cli_main.load(name).EXAMPLE.splitlines()]
        lines += [
            f"  {json.dumps(one, ensure_ascii=False)}" for one in arguments(build_parser(name))
        ]
    text = "\n".join(lines)
    assert_kept(Path(__file__).with_name("surface.txt"), f"{text}\n")


def test_a_commands_help_has_its_example_as_it_is_typed() -> None:
    parser = build_parser("capture")
    assert (parser.prog, parser.description) == ("cdesk capture", COMMANDS["capture"][1])
    assert parser.format_help().endswith("example:\n  cdesk capture on --exclude secret-project\n")
    lines = build_parser("mcp").format_help().splitlines()
    assert lines[-1].startswith("  cdesk mcp --http --port 8378   # "), "each on its own line"
    with pytest.raises(SystemExit):
        build_parser("capture").parse_args(["--inc"])
