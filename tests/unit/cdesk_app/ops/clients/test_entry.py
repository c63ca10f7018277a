"""Where Claude Desktop keeps its configuration, and what belongs into it."""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest

from cdesk.core.config import Settings, default_home
from cdesk.core.errors import ConfigurationError
from cdesk_app.ops.clients.entry import (
    CONFIG_NAME,
    config_path,
    differences,
    entry,
    find_entry,
    server_command,
    settings_of,
)

SETTINGS = Settings(home=default_home({}), customer="ada@example.com")


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("darwin", {}, "user/Library/Application Support/Claude/claude_desktop_config.json"),
        ("win32", {"APPDATA": "user/roaming"}, "user/roaming/Claude/claude_desktop_config.json"),
        ("win32", {}, "user/AppData/Roaming/Claude/claude_desktop_config.json"),
        ("linux", {}, "user/.config/Claude/claude_desktop_config.json"),
        ("linux", {"XDG_CONFIG_HOME": "user/xdg"}, "user/xdg/Claude/claude_desktop_config.json"),
    ],
)
def test_each_platform_has_its_place(platform: str, environ: dict[str, str], expected: str) -> None:
    settings = Settings(home=Path("home"), customer="ada", environ=environ)
    assert config_path(settings, platform=platform, user_home=Path("user")) == Path(expected)


def test_the_entry_starts_the_server_by_an_absolute_command_that_exists() -> None:
    server = entry(SETTINGS)["mcpServers"]["cdesk"]
    assert Path(server["command"]).is_absolute()
    assert Path(server["command"]).exists()
    assert [server["command"], *server["args"]] == server_command()
    assert server["env"] == {"CDESK_CUSTOMER": "ada@example.com"}


def test_the_entry_carries_the_settings_in_force_and_no_secret() -> None:
    environ = {
        "SNOWFLAKE_ACCOUNT": "account",
        "SNOWFLAKE_PRIVATE_KEY_PATH": "/keys/key.p8",
        "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "hidden",
        "SNOWFLAKE_PASSWORD": "hidden",
        "SNOWFLAKE_TOKEN": "hidden",
        "CDESK_SNOWFLAKE_LANDING": "connector",
        "PATH": "/bin",
    }
    home = Path("elsewhere").absolute()
    settings = Settings(
        home=home,
        customer="ada",
        target="snowflake",
        worker="off",
        durability="disk",
        roles=("analyst",),
        environ=environ,
    )
    assert entry(settings)["mcpServers"]["cdesk"]["env"] == {
        "CDESK_CUSTOMER": "ada",
        "CDESK_HOME": str(home),
        "CDESK_TARGET": "snowflake",
        "CDESK_WORKER": "off",
        "CDESK_DURABILITY": "disk",
        "CDESK_ROLES": "analyst",
        "CDESK_SNOWFLAKE_LANDING": "connector",
        "SNOWFLAKE_ACCOUNT": "account",
        "SNOWFLAKE_PRIVATE_KEY_PATH": "/keys/key.p8",
    }


def test_its_own_entry_is_found_again() -> None:
    found = find_entry(entry(SETTINGS))
    assert found is not None
    assert found[0] == "cdesk"


@pytest.mark.parametrize(
    ("server", "ours"),
    [
        ({"command": "C:\\Tools\\cdesk.exe", "args": ["mcp"]}, True),
        ({"command": "uv", "args": ["run", "cdesk", "mcp"]}, True),
        ({"command": "python", "args": ["-m", "mcp_shim"]}, True),
        ({"command": "/usr/bin/python3", "args": ["-I", "-m", "cdesk_app.cli", "mcp"]}, True),
        ({"command": "cmd", "args": ["/c", "C:\\Tools\\CDESK.EXE", "mcp"]}, True),
        ({"command": "python", "args": ["-m", "cdesk_app.cli.main"]}, True),
        ({"command": "npx", "args": ["server-filesystem"]}, False),
        ({"command": "python", "args": ["-m", "mcp_other"]}, False),
        ({"command": "python", "args": ["mcp_shim"]}, False),
        ({"command": "uv", "args": ["run", "cdesk", "worker"]}, False),
        ({"command": "uv", "args": ["run", "other", "mcp"]}, False),
        ({"command": "cdesk-of-mine", "args": ["mcp"]}, False),
        ({"command": "npx", "args": ["-y", "server-filesystem", "/home/ada/cdesk"]}, False),
        ({"command": "uv", "args": ["--directory", "C:\\work\\cdesk", "run", "other"]}, False),
        ({"command": "git-server", "args": "cdesk mcp"}, False),
        ({"args": None}, False),
        ("text", False),
    ],
)
def test_an_entry_is_known_by_what_it_starts(server: object, ours: bool) -> None:
    assert (find_entry({"mcpServers": {"x": server}}) is not None) is ours


@pytest.mark.parametrize("configuration", [None, [], {}, {"mcpServers": []}])
def test_other_configurations_have_no_entry(configuration: object) -> None:
    assert find_entry(configuration) is None


def test_the_program_from_the_windows_store_has_a_folder_of_its_own(tmp_path: Path) -> None:
    environ = {"APPDATA": str(tmp_path / "Roaming"), "LOCALAPPDATA": str(tmp_path / "Local")}
    settings = replace(SETTINGS, environ=environ)
    plain = tmp_path / "Roaming" / "Claude" / CONFIG_NAME
    store = tmp_path / "Local" / "Packages" / "Claude_x" / "LocalCache" / "Roaming" / "Claude"

    def found() -> Path:
        return config_path(settings, platform="win32", user_home=tmp_path)

    assert found() == plain
    store.mkdir(parents=True)
    assert found() == store / CONFIG_NAME
    plain.parent.mkdir(parents=True)
    plain.write_text("{}", encoding="utf-8")
    assert found() == plain
    (store / CONFIG_NAME).write_text("{}", encoding="utf-8")
    os.utime(plain, (1, 1))
    assert found() == store / CONFIG_NAME


def test_servers_that_are_none_do_not_hide_ours() -> None:
    servers = {"a": "text", "b": {"command": "npx"}, "c": {"command": "cdesk"}}
    assert find_entry({"mcpServers": servers}) == ("c", {"command": "cdesk"})


def test_the_configuration_lies_in_the_persons_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    found = config_path(replace(SETTINGS, environ={"HOME": "elsewhere"}), platform="linux")
    assert found == tmp_path / ".config" / "Claude" / CONFIG_NAME


def test_where_no_script_is_installed_the_module_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    assert server_command() == [sys.executable, "-m", "cdesk_app.cli", "mcp"]
    for platform, name in (("linux", "cdesk"), ("win32", "cdesk.exe")):
        (tmp_path / name).touch()
        monkeypatch.setattr(sys, "platform", platform)
        assert server_command() == [str(tmp_path / name), "mcp"]
        (tmp_path / name).unlink()


def test_a_folder_that_the_environment_moves_is_named() -> None:
    """A client does not have this shell's environment."""
    moved = replace(SETTINGS, environ={"XDG_DATA_HOME": "/data", "SNOWFLAKE_ACCOUNT": "of another"})
    assert entry(moved)["mcpServers"]["cdesk"]["env"] == {
        "CDESK_CUSTOMER": "ada@example.com",
        "CDESK_HOME": str(SETTINGS.home),
    }


@pytest.mark.parametrize(
    ("env", "customer"),
    [
        ({"CDESK_CUSTOMER": "grace"}, "grace"),
        ({"CDESK_CUSTOMER": 7}, "7"),
        ({}, "ada"),
        (["no", "object"], "ada"),
    ],
)
def test_a_server_has_the_settings_of_its_entry_and_none_of_this_shell(
    env: object, customer: str, tmp_path: Path
) -> None:
    environ = {"CDESK_CUSTOMER": "eve", "XDG_DATA_HOME": str(tmp_path), "USER": "ada"}
    environ |= {"CDESK_TARGET": "snowflake", "CDESK_WORKER": "off"}
    found = settings_of({"env": env}, environ)
    assert (found.customer, found.target, found.worker) == (customer, "duckdb", "auto")
    assert found.home == default_home({})
    with pytest.raises(ConfigurationError):
        settings_of({"env": {"CDESK_WORKER": "maybe"}}, environ)


def test_settings_that_two_processes_do_not_share_are_told_by_name() -> None:
    there = replace(SETTINGS, customer="grace", roles=("analyst", "admin"), worker="off")
    assert differences(SETTINGS, SETTINGS) == []
    assert sorted(differences(SETTINGS, there)) == [
        ("customer", "ada@example.com", "grace"),
        ("roles", "none", "analyst,admin"),
        ("worker", "auto", "off"),
    ]
