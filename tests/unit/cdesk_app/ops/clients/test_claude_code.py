"""Claude Code's own command, and what its file says of this server."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from command_line import typed

from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError
from cdesk_app.ops.clients import claude_code

OURS = {"command": "/bin/cdesk", "args": ["mcp"]}


def settings(tmp_path: Path, **environ: str) -> Settings:
    return Settings(home=tmp_path, customer="ada", environ=environ)


@pytest.mark.skipif(sys.platform == "win32", reason="a program is a script here")
@pytest.mark.parametrize(
    ("err", "out", "told"),
    [
        (" no such scope ", "usage", "no such scope"),
        ("", " usage ", "usage"),
        ("", "", "3"),
        ("caf\\377", "", "caf\ufffd"),
    ],
)
def test_what_claude_code_says_to_a_refusal_is_told(
    err: str, out: str, told: str, tmp_path: Path
) -> None:
    program = tmp_path / "claude"
    program.write_text(f"#!/bin/sh\nprintf '{out}'\nprintf '{err}' >&2\nexit 3\n")
    program.chmod(0o700)
    with pytest.raises(ConfigurationError) as refused:
        claude_code.run(["claude", "mcp", "add"], settings(tmp_path, PATH=str(tmp_path)))
    assert str(refused.value) == f"'claude mcp add' refuses: {told}"


def test_an_option_stands_between_the_variables_and_the_name() -> None:
    words = claude_code.add_command({"command": "c", "args": ["mcp"], "env": {"A": "1", "B": "2"}})
    assert words[-6:] == ["--transport", "stdio", "cdesk", "--", "c", "mcp"]
    assert words[5:9] == ["--env", "A=1", "--env", "B=2"]


def test_it_is_added_for_all_folders_and_taken_out_by_its_name() -> None:
    assert claude_code.add_command({"command": "c", "args": [], "env": {}}) == [
        *("claude", "mcp", "add", "--scope", "user", "--transport", "stdio", "cdesk", "--", "c")
    ]
    assert claude_code.remove_command("diary")[-3:] == ["--scope", "user", "diary"]
    assert claude_code.remove_command() == ["claude", "mcp", "remove", "--scope", "user", "cdesk"]


def test_its_file_is_looked_for_where_claude_code_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that the environment names, before the person's own."""
    for folder in ("named", "given", "own"):
        (tmp_path / folder).mkdir()
        text = json.dumps({"mcpServers": {folder: OURS}})
        (tmp_path / folder / ".claude.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "own")
    named = settings(tmp_path, CLAUDE_CONFIG_DIR=str(tmp_path / "named"))
    plain = settings(tmp_path)
    given = tmp_path / "given"
    assert claude_code.registered(named, user_home=given) == ("named", OURS)
    assert claude_code.registered(named) == ("named", OURS)
    assert claude_code.registered(plain, user_home=given) == ("given", OURS)
    assert claude_code.registered(plain) == ("own", OURS)
    (given / ".claude.json").unlink()
    assert claude_code.registered(plain, user_home=given) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", None),
        ("[]", None),
        ('{"mcpServers": ["cdesk"]}', None),
        ('{"mcpServers": {"other": {"command": "npx"}}}', None),
        ("{", r"cannot be read \(.*'claude doctor' says more"),
        (
            '{"mcpServers": {"cdesk": {"command": "docker"}}}',
            "has a server 'cdesk' that starts something else; 'claude mcp remove cdesk' takes it",
        ),
    ],
)
def test_a_file_without_an_entry_of_ours(text: str, said: str | None, tmp_path: Path) -> None:
    (tmp_path / ".claude.json").write_text(text, encoding="utf-8")
    if said is None:
        assert claude_code.registered(settings(tmp_path), user_home=tmp_path) is None
        return
    with pytest.raises(ConfigurationError, match=said):
        claude_code.registered(settings(tmp_path), user_home=tmp_path)


def test_another_servers_name_does_not_matter_where_ours_has_its_own(tmp_path: Path) -> None:
    servers = {"cdesk": {"command": "docker"}, "diary": OURS}
    (tmp_path / ".claude.json").write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    assert claude_code.registered(settings(tmp_path), user_home=tmp_path) == ("diary", OURS)


@pytest.mark.skipif(sys.platform == "win32", reason="a program is a script here")
def test_its_command_is_given_its_words_and_nothing_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "claude"
    program.write_text(
        f'#!/bin/sh\necho "$@" "[$(cat)]" > {tmp_path}/words\necho said\n', encoding="utf-8"
    )
    program.chmod(0o700)
    given = settings(tmp_path, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with typed(b"typed"):
        claude_code.run(["claude", "mcp", "add", "x y"], given)
    assert (tmp_path / "words").read_text(encoding="utf-8") == "mcp add x y []\n"
    assert capfd.readouterr().out == "", "what it says is told where it refuses alone"
    monkeypatch.setattr(claude_code, "_SECONDS", 0.0)
    with pytest.raises(ConfigurationError, match=r"'claude' cannot be run: .*timed out"):
        claude_code.run(["claude", "mcp", "add"], given)


def test_where_it_is_not_the_whole_command_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as told:
        claude_code.run(["claude", "mcp", "add", "x y"], settings(tmp_path, PATH=str(tmp_path)))
    assert str(told.value) == (
        "there is no 'claude' on PATH; install Claude Code, or run where it is: "
        'claude mcp add "x y"'
    )
