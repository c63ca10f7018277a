"""`cdesk connect`, line by line: what it says is what it did, or would do. What stands in Claude's
files afterwards is shown by tests/unit/cdesk_app/ops/clients.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdesk.core.config import load_settings
from cdesk.core.errors import ConfigurationError
from cdesk_app.cli.connect import ANALYST
from cdesk_app.cli.main import main
from cdesk_app.ops.clients import claude_code
from cdesk_app.ops.clients.entry import CONFIG_NAME, server_command

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the configuration's path is another there (test_entry)"
)

OFFER = (
    "Claude sees this customer's data alone; where all that is recorded here is yours, "
    "--roles analyst lets it ask over all customers, too"
)
RESTART = "restart Claude Desktop; 'cdesk doctor' says whether all is well"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CDESK_CUSTOMER")
    monkeypatch.setenv("CDESK_WORKER", "auto")
    monkeypatch.setenv("CDESK_RENDER", "auto")
    monkeypatch.setenv("USER", "local-user")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    return Path(os.environ["CDESK_HOME"])


@pytest.fixture
def path(home: Path, tmp_path: Path) -> Path:
    del home
    return tmp_path / "config" / "Claude" / CONFIG_NAME


@pytest.fixture
def connect(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """The lines that it says; of a failure its one line."""
    del home

    def run(*words: str, code: int = 0) -> Any:
        assert main(["connect", *words]) == code
        streams = capsys.readouterr()
        return streams.err if code else streams.out.splitlines()

    return run


def put(path: Path, env: Any, *, raw: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    command, *args = server_command()
    entry = {"command": command, "args": args, "env": env}
    path.write_bytes(raw + json.dumps({"mcpServers": {"cdesk": entry}}).encode())


@pytest.mark.parametrize("dry", [True, False])
def test_each_step_is_told_as_done_or_as_it_would_be(
    dry: bool, connect: Callable[..., Any], path: Path, home: Path
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xef\xbb\xbf{}")
    would = "would be " if dry else ""
    options = ["--dry-run"] if dry else []
    lines = [
        f"customer ada {would}written to {home / 'config.toml'}",
        f"{path}: entry {would}written, others stay as they are",
        f"the file as it was {would}kept as {path}.cdesk-backup",
        f"its byte order mark {would}taken out, which Claude Desktop may not read",
        OFFER,
        f"Claude records for ada in {home}",
        RESTART,
    ]
    assert connect("--customer", "ada", *options) == lines
    assert (path.read_bytes() == b"\xef\xbb\xbf{}") is dry
    assert (home / "config.toml").exists() is not dry
    assert home.exists() is not dry
    undone = connect("--undo", *options)
    if dry:
        assert undone == [f"{path} is as it was before: nothing to undo"]
    told = json.loads("\n".join(connect("--customer", "ada", "--json", *options)))
    assert told["dry_run"] is dry
    assert told["done"][-2:] == lines[-2:]


def test_where_nothing_is_to_be_done_that_is_said(
    connect: Callable[..., Any], path: Path, home: Path
) -> None:
    assert connect("--customer", "ada")[:2] == [
        f"customer ada written to {home / 'config.toml'}",
        f"{path}: entry written, others stay as they are",
    ]
    assert connect() == [
        f"{path} names this server already",
        OFFER,
        f"Claude records for ada in {home}",
        RESTART,
    ]
    before = path.read_bytes()
    (home / "config.toml").unlink()
    assert connect()[0] == f"customer ada written to {home / 'config.toml'}"
    assert load_settings({"CDESK_HOME": str(home)}).customer == "ada", "as the entry has it"
    assert path.read_bytes() == before


def test_an_entry_as_it_is_to_be_in_a_marked_file_is_written_anew(
    connect: Callable[..., Any], path: Path, home: Path
) -> None:
    put(path, {"CDESK_CUSTOMER": "ada", "CDESK_HOME": str(home)}, raw=b"\xef\xbb\xbf")
    assert f"{path}: entry written, others stay as they are" in connect()
    assert not path.read_bytes().startswith(b"\xef\xbb\xbf")


def test_the_roles_are_told_and_go_with_the_entry(
    connect: Callable[..., Any], path: Path, home: Path
) -> None:
    given = connect("--customer", "ada", "--roles", "analyst")
    assert f"Claude has {ANALYST}" in given
    assert OFFER not in given
    assert OFFER not in connect("--roles", "none")
    connect("--roles", "analyst")
    config = home / "config.toml"
    assert connect("--undo", "--dry-run") == [
        f"{path}: entry would be as it was before, others stay",
        f"roles would be taken out of {config}",
        f"records stay, for ada, in {home}",
    ]
    assert load_settings({"CDESK_HOME": str(home)}).roles == ("analyst",)
    assert connect("--undo") == [
        f"{path}: entry as it was before, others stay",
        f"roles taken out of {config}",
        f"records stay, for ada, in {home}",
    ]
    assert load_settings({"CDESK_HOME": str(home)}).roles == ()
    connect("--customer", "ada")
    assert len(connect("--undo")) == 2, "there are no roles to take out"
    for words in (("--customer", "ada"), ("--roles", "none")):
        assert connect("--undo", *words, code=2) == (
            "cdesk: --undo takes neither --customer nor --roles\n"
        )


def test_on_snowflake_nothing_is_offered(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDESK_TARGET", "snowflake")
    assert OFFER not in connect("--customer", "ada")


@pytest.mark.parametrize(
    ("words", "variable", "here"),
    [
        (("--customer", "ada"), "CDESK_CUSTOMER", "eve"),
        (("--customer", "eve", "--roles", "none"), "CDESK_ROLES", "analyst"),
    ],
)
def test_a_variable_that_comes_before_the_file_is_named(
    words: tuple[str, ...],
    variable: str,
    here: str,
    connect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, here)
    note = f"note: {variable} is {here} in this terminal and comes before config.toml; unset it"
    assert note in connect(*words)
    same = ("--customer", here) if variable == "CDESK_CUSTOMER" else ("--roles", here)
    assert note not in connect(*words[:2], *same)


def test_whose_records_they_are_is_asked_where_both_sides_name_somebody(
    connect: Callable[..., Any], path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, {"CDESK_CUSTOMER": "ada"})
    monkeypatch.setenv("CDESK_CUSTOMER", "eve")
    assert connect(code=1) == (
        "cdesk: Claude records for ada, this terminal works for eve; say which with --customer\n"
    )
    assert f"Claude records for eve in {home}" in connect("--customer", "eve")
    monkeypatch.setenv("CDESK_CUSTOMER", "")
    for env in ({}, {"CDESK_CUSTOMER": ""}, {"CDESK_CUSTOMER": 5}, ["no", "object"]):
        (home / "config.toml").unlink(missing_ok=True)
        put(path, env)
        assert f"Claude records for local-user in {home}" in connect()
    monkeypatch.delenv("CDESK_CUSTOMER")
    (home / "config.toml").unlink(missing_ok=True)
    put(path, {"CDESK_CUSTOMER": "ada"})
    monkeypatch.setenv("USERNAME", "local-user")
    assert f"Claude records for ada in {home}" in connect(), "a login is no name that was given"


# -- Claude Code


class Claude(list[list[str]]):
    """The commands that Claude Code was given, and which of them it refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()

    def run(self, words: list[str], settings: object) -> None:
        del settings
        self.append(words)
        if words[2] in self.refused:
            raise ConfigurationError(f"'claude mcp {words[2]}' refuses: no")


@pytest.fixture
def claude(monkeypatch: pytest.MonkeyPatch) -> Claude:
    made = Claude()
    monkeypatch.setattr(claude_code, "run", made.run)
    return made


CODE = ("--client", "claude-code")


def test_claude_code_is_told_once(
    connect: Callable[..., Any], claude: Claude, home: Path, tmp_path: Path
) -> None:
    dry = connect(*CODE, "--customer", "ada", "--dry-run")
    assert claude == []
    assert not home.exists()
    told = connect(*CODE, "--customer", "ada")
    (add,) = claude
    line = subprocess.list2cmdline(add)
    assert told == [
        f"customer ada written to {home / 'config.toml'}",
        f"ran: {line}",
        OFFER,
        f"Claude records for ada in {home}",
        RESTART.replace("Desktop", "Code"),
    ]
    assert dry[1] == f"would run: {line}"
    env = {"CDESK_CUSTOMER": "ada", "CDESK_HOME": str(home)}
    put(tmp_path / ".claude.json", env)
    assert connect(*CODE)[0] == "Claude Code names this server already"
    assert len(claude) == 1
    put(tmp_path / ".claude.json", {**env, "CDESK_WORKER": "off"})
    assert [one.split()[:4] for one in connect(*CODE)[:2]] == [
        ["ran:", "claude", "mcp", "remove"],
        ["ran:", "claude", "mcp", "add"],
    ]
    assert [words[2] for words in claude[1:]] == ["remove", "add"]


def test_a_refusal_by_claude_code_says_what_stood_there_where_it_is_gone(
    connect: Callable[..., Any], claude: Claude, home: Path, tmp_path: Path
) -> None:
    claude.refused.add("add")
    plain = "cdesk: 'claude mcp add' refuses: no\n"
    assert connect(*CODE, "--customer", "ada", code=1) == plain
    assert not (home / "config.toml").exists()
    put(tmp_path / ".claude.json", {"CDESK_CUSTOMER": "ada"})
    told = connect(*CODE, code=1)
    assert told.startswith("cdesk: 'claude mcp add' refuses: no; the entry that it had: {")
    claude.refused.add("remove")
    assert connect(*CODE, code=1) == "cdesk: 'claude mcp remove' refuses: no\n"
    assert [words[2] for words in claude] == ["add", "remove", "add", "remove"]


def test_claude_code_is_told_to_take_it_out(
    connect: Callable[..., Any], claude: Claude, home: Path, tmp_path: Path
) -> None:
    assert connect(*CODE, "--undo") == ["Claude Code does not name this server: nothing to undo"]
    put(tmp_path / ".claude.json", {"CDESK_CUSTOMER": "ada"})
    line = "claude mcp remove --scope user cdesk"
    rest = [f"records stay, for local-user, in {home}"]
    assert connect(*CODE, "--undo", "--dry-run") == [f"would run: {line}", *rest]
    assert claude == []
    assert connect(*CODE, "--undo") == [f"ran: {line}", *rest]
    assert claude == [line.split()]
