"""Where Claude Desktop keeps its configuration, and what belongs into it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cdesk.core.config import Settings, default_home
from cdesk_app.ops.clients.entry import CONFIG_NAME, config_path, entry, find_entry, server_command

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
        ({"command": "npx", "args": ["server-filesystem"]}, False),
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
