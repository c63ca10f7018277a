"""`cdesk connect`: one entry among others' servers, and one person on both sides."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cdesk.core.config import load_settings
from cdesk_app.cli.main import main
from cdesk_app.ops.clients.entry import CONFIG_NAME, server_command

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the configuration's path is another there (test_entry)"
)

OTHER = {"command": "npx", "args": ["-y", "server-filesystem"], "env": {"KEY": "kept"}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith("CDESK_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CDESK_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("USER", "local-user")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "state"


@pytest.fixture
def path(home: Path, tmp_path: Path) -> Path:
    del home
    folder = tmp_path / "config" / "Claude"
    folder.mkdir(parents=True)
    return folder / CONFIG_NAME


@pytest.fixture
def connect(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*words: str, code: int = 0) -> str:
        assert main(["connect", *words]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    return run


def read(path: Path) -> dict[str, dict[str, dict[str, object]]]:
    values: dict[str, dict[str, dict[str, object]]] = json.loads(path.read_bytes())
    return values


def test_terminal_and_claude_are_one_person(
    connect: Callable[..., str], path: Path, home: Path
) -> None:
    out = connect("--customer", "ada@example.com")
    server = read(path)["mcpServers"]["cdesk"]
    assert [server["command"], *server["args"]] == server_command()  # type: ignore[misc]
    assert server["env"] == {"CDESK_CUSTOMER": "ada@example.com", "CDESK_HOME": str(home)}
    assert load_settings({"CDESK_HOME": str(home)}).customer == "ada@example.com"
    assert f"Claude records for ada@example.com in {home}" in out


def test_other_servers_and_settings_stay_and_the_file_is_kept(
    connect: Callable[..., str], path: Path
) -> None:
    before = json.dumps({"mcpServers": {"files": OTHER}, "scale": 1.50, "ünï": [None]}).encode()
    path.write_bytes(before)
    path.chmod(0o640)
    connect()
    values = read(path)
    assert values["mcpServers"].pop("cdesk")
    assert values == json.loads(before)
    assert path.with_name(path.name + ".cdesk-backup").read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(one.name for one in path.parent.iterdir()) == [
        CONFIG_NAME,
        f"{CONFIG_NAME}.cdesk-backup",
    ]


def test_twice_is_once(connect: Callable[..., str], path: Path) -> None:
    connect()
    before = path.stat().st_mtime_ns
    assert "names this server already" in connect()
    assert path.stat().st_mtime_ns == before


def test_undo_leaves_what_others_did_since(connect: Callable[..., str], path: Path) -> None:
    path.write_text(json.dumps({"mcpServers": {"files": OTHER}}), encoding="utf-8")
    connect("--customer", "ada")
    connect("--customer", "grace")
    values = read(path)
    values["mcpServers"]["later"] = OTHER  # type: ignore[assignment]
    path.write_text(json.dumps(values), encoding="utf-8")
    kept = path.read_bytes()
    assert "would be" in connect("--undo", "--dry-run")
    assert path.read_bytes() == kept
    assert "would be" not in connect("--undo")
    assert read(path) == {"mcpServers": {"files": OTHER, "later": OTHER}}
    assert "nothing to undo" in connect("--undo")


def test_undo_puts_back_the_entry_that_stood_there(connect: Callable[..., str], path: Path) -> None:
    own = {"command": "/old/bin/cdesk", "args": ["mcp"], "env": {"CDESK_CUSTOMER": "ada"}}
    path.write_text(json.dumps({"mcpServers": {"diary": own}}), encoding="utf-8")
    connect()
    assert list(read(path)["mcpServers"]) == ["diary"], "one server of ours, not two"
    assert read(path)["mcpServers"]["diary"]["command"] == server_command()[0]
    connect("--undo")
    assert read(path) == {"mcpServers": {"diary": own}}


def test_where_there_was_no_file_undo_leaves_none_of_ours(
    connect: Callable[..., str], path: Path
) -> None:
    connect()
    connect("--undo")
    assert read(path) == {}


def test_a_dry_run_changes_nothing(connect: Callable[..., str], path: Path, home: Path) -> None:
    out = connect("--customer", "ada", "--dry-run")
    assert "would be written" in out
    assert not path.exists()
    assert not home.exists()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{\n  // mine\n  "mcpServers": {}\n}', "line 2 holds a comment (//)"),
        (b'{"a": "http://x", /* no */ "mcpServers": {}}', "line 1 holds a comment (/*)"),
        (b'{"mcpServers": {},}', "mend it: Claude Desktop cannot read it either"),
        (b'{"mcpServers": {"a": 1, "a": 2}}', "'a' stands twice in one object"),
        (b"[1]", "holds no JSON object"),
        (b'{"mcpServers": ["a"]}', "mcpServers is no object"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b'{"a": "\xe4"}', "is not UTF-8"),
        (b"[" * 200_000, "is nested too deeply"),
        (b'{"mcpServers": {"cdesk": {"command": "docker"}}}', "starts something else"),
    ],
)
def test_a_file_that_cannot_be_kept_whole_is_left_alone(
    raw: bytes, said: str, connect: Callable[..., str], path: Path, home: Path
) -> None:
    path.write_bytes(raw)
    assert said in connect("--customer", "ada", code=1)
    assert path.read_bytes() == raw
    assert list(path.parent.iterdir()) == [path]
    assert not (home / "config.toml").exists()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_taken_out_with_a_word(
    encoding: str, connect: Callable[..., str], path: Path
) -> None:
    path.write_bytes(json.dumps({"mcpServers": {"files": OTHER}}).encode(encoding))
    assert "byte order mark taken out" in connect()
    assert read(path)["mcpServers"]["files"] == OTHER


@pytest.mark.parametrize("raw", [b"", b"\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_an_empty_configuration(
    raw: bytes, connect: Callable[..., str], path: Path
) -> None:
    path.write_bytes(raw)
    connect()
    assert list(read(path)["mcpServers"]) == ["cdesk"]


def test_a_linked_configuration_stays_a_link(
    connect: Callable[..., str], path: Path, tmp_path: Path
) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}", encoding="utf-8")
    path.symlink_to(real)
    connect()
    assert path.is_symlink()
    assert "cdesk" in read(real)["mcpServers"]


def test_a_persons_own_variables_stay_and_stale_settings_go(
    connect: Callable[..., str], path: Path
) -> None:
    env = {"SNOWFLAKE_CONNECTION": "mine", "CDESK_TARGET": "snowflake", "CDESK_CUSTOMER": "ada"}
    server = {"command": "cdesk", "args": ["mcp"], "env": env, "disabled": True}
    path.write_text(json.dumps({"mcpServers": {"cdesk": server}}), encoding="utf-8")
    connect()
    now = read(path)["mcpServers"]["cdesk"]
    assert now["disabled"] is True
    assert now["env"]["SNOWFLAKE_CONNECTION"] == "mine"  # type: ignore[index]
    assert "CDESK_TARGET" not in now["env"]  # type: ignore[operator]


def test_the_customer_that_claude_has_is_meant_where_the_terminal_has_none(
    connect: Callable[..., str], path: Path, home: Path
) -> None:
    server = {"command": "cdesk", "args": ["mcp"], "env": {"CDESK_CUSTOMER": "ada@example.com"}}
    path.write_text(json.dumps({"mcpServers": {"cdesk": server}}), encoding="utf-8")
    connect()
    assert load_settings({"CDESK_HOME": str(home)}).customer == "ada@example.com"


@pytest.mark.usefixtures("path")
def test_two_customers_are_asked_about(
    connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect("--customer", "ada")
    monkeypatch.setenv("CDESK_CUSTOMER", "grace")
    assert "say which with --customer" in connect(code=1)
    assert "CDESK_CUSTOMER is grace in this terminal" in connect("--customer", "ada")


def test_the_role_is_given_and_taken_back(
    connect: Callable[..., str], path: Path, home: Path
) -> None:
    assert "sees every row" in connect("--customer", "ada", "--roles", "analyst")
    assert read(path)["mcpServers"]["cdesk"]["env"]["CDESK_ROLES"] == "analyst"  # type: ignore[index]
    assert load_settings({"CDESK_HOME": str(home)}).roles == ("analyst",)
    connect("--roles", "none")
    assert "CDESK_ROLES" not in read(path)["mcpServers"]["cdesk"]["env"]  # type: ignore[operator]
    assert load_settings({"CDESK_HOME": str(home)}).roles == ()


def test_a_bad_customer_is_refused(connect: Callable[..., str], path: Path) -> None:
    assert "customer: " in connect("--customer", "a\nb", code=1)
    assert "--undo takes neither" in connect("--undo", "--customer", "ada", code=2)
    assert not path.exists()


# -- Claude Code


@pytest.fixture
def claude(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `claude` that keeps its words and writes the file as Claude Code 2.1 does. It stands for
    the real one, whose form of `mcp add` was tried by hand.
    """
    del home
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(
        f"""#!{sys.executable}
import json, os, pathlib, sys
path = pathlib.Path(os.environ["CLAUDE_CONFIG_DIR"]) / ".claude.json"
values = json.loads(path.read_text()) if path.exists() else {{"userID": "u", "mcpServers": {{}}}}
words = sys.argv[1:]
assert words[:1] == ["mcp"] and words[2:4] == ["--scope", "user"], words
if words[1] == "add":
    options, command = words[4:words.index("--")], words[words.index("--") + 1:]
    env = dict(o.split("=", 1) for f, o in zip(options, options[1:]) if f == "--env")
    assert options[-3:] == ["--transport", "stdio", "cdesk"], options
    if "cdesk" in values["mcpServers"]:
        sys.exit("MCP server cdesk already exists in user config")
    values["mcpServers"]["cdesk"] = {{
        "type": "stdio", "command": command[0], "args": command[1:], "env": env}}
else:
    del values["mcpServers"][words[4]]
path.write_text(json.dumps(values))
""",
        encoding="utf-8",
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    return tmp_path / ".claude.json"


def test_claude_code_is_told_by_its_own_command(
    connect: Callable[..., str], claude: Path, home: Path
) -> None:
    words = ("--client", "claude-code")
    assert "would run: claude mcp add" in connect(*words, "--dry-run")
    assert not claude.exists()
    connect(*words, "--customer", "ada")
    server = read(claude)["mcpServers"]["cdesk"]
    assert [server["command"], *server["args"]] == server_command()  # type: ignore[misc]
    assert server["env"] == {"CDESK_CUSTOMER": "ada", "CDESK_HOME": str(home)}
    assert "already" in connect(*words)
    connect(*words, "--customer", "grace")
    assert read(claude)["mcpServers"]["cdesk"]["env"]["CDESK_CUSTOMER"] == "grace"  # type: ignore[index]
    connect(*words, "--undo")
    assert read(claude) == {"userID": "u", "mcpServers": {}}


def test_without_claude_code_its_command_is_named(
    connect: Callable[..., str], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    assert "claude mcp add --scope user" in connect("--client", "claude-code", code=1)
    assert not (home / "config.toml").exists()


# -- doctor


def test_doctor_compares_the_entry_with_its_own_settings(
    connect: Callable[..., str], path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def finding() -> dict[str, str]:
        main(["doctor", "--json"])
        found = json.loads(capsys.readouterr().out)
        return next(one for one in found if one["check"] == "Claude Desktop")

    connect("--customer", "ada")
    assert finding()["level"] == "ok"
    values = read(path)
    env = values["mcpServers"]["cdesk"]["env"]
    for changed, level, said in (
        ({"CDESK_CUSTOMER": "you@example.com"}, "failed", "customer is you@example.com, here ada"),
        ({"CDESK_HOME": str(home / "x"), "CDESK_CUSTOMER": "ada"}, "failed", "home is "),
        ({**env, "CDESK_TIMEZONE": "Europe/Berlin"}, "note", "timezone is Europe/Berlin, here UTC"),  # type: ignore[dict-item]
        ({**env, "CDESK_WORKER": "maybe"}, "failed", "cannot start: worker is 'maybe'"),  # type: ignore[dict-item]
    ):
        values["mcpServers"]["cdesk"]["env"] = changed
        path.write_text(json.dumps(values), encoding="utf-8")
        found = finding()
        assert (found["level"], said in found["found"]) == (level, True), found
        assert "cdesk connect" in found["todo"]
