"""How a client is told of this server: where Claude Desktop's configuration lies, and the entry."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from cdesk.core.config import SETTINGS, Settings, default_home, load_settings
from cdesk.core.log import is_secret_name
from uploader.sources.places import platform_places

CONFIG_NAME = "claude_desktop_config.json"
NAME = "cdesk"
"""What the server is called in a client's configuration."""
_KEY_PATH = "PRIVATE_KEY_PATH"
"""Where a key lies is no secret, and the server needs it."""


def config_path(
    settings: Settings, *, platform: str = sys.platform, user_home: Path | None = None
) -> Path:
    """Where Claude Desktop keeps its configuration on this platform. On Windows the program from
    the store has a folder of its own: of several files the one that was written last counts.
    """
    environ = {**settings.environ, "HOME": str(user_home or Path.home())}
    folders = platform_places(environ, platform=platform).desktop
    files = [file for folder in folders if (file := folder / CONFIG_NAME).exists()]
    if files:
        return max(files, key=lambda file: file.stat().st_mtime_ns)
    return next((folder for folder in folders if folder.exists()), folders[0]) / CONFIG_NAME


def server_command() -> list[str]:
    """The server as an absolute command: Claude Desktop has neither our PATH nor our working
    directory.
    """
    script = Path(sysconfig.get_path("scripts")) / (
        "cdesk.exe" if sys.platform == "win32" else "cdesk"
    )
    return (
        [str(script), "mcp"] if script.exists() else [sys.executable, "-m", "cdesk_app.cli", "mcp"]
    )


def entry(settings: Settings) -> dict[str, Any]:
    """What belongs into the configuration, whole: `{"mcpServers": {"cdesk": …}}`."""
    return {"mcpServers": {NAME: server(settings)}}


def server(settings: Settings) -> dict[str, Any]:
    """The entry itself: command, arguments and environment."""
    command, *args = server_command()
    return {"command": command, "args": args, "env": _environment(settings)}


def _environment(settings: Settings) -> dict[str, str]:
    """The settings in force that are not the defaults, and what names the Snowflake account; no
    secret among them.

    Claude Desktop starts the server without the environment of this shell.
    """
    plain = Settings(home=default_home({}), customer=settings.customer)
    env = {"CDESK_CUSTOMER": settings.customer}
    for name in SETTINGS:
        value, default = getattr(settings, name), getattr(plain, name)
        if value != default:
            env[f"CDESK_{name.upper()}"] = ",".join(value) if name == "roles" else str(value)
    if settings.environ.get("XDG_DATA_HOME"):  # it moves the default, and a client hasn't it
        env["CDESK_HOME"] = str(settings.home)
    if settings.target == "snowflake":
        for name, value in sorted(settings.environ.items()):
            is_secret = is_secret_name(name) and not name.endswith(_KEY_PATH)
            if name.startswith(("SNOWFLAKE_", "CDESK_SNOWFLAKE_")) and not is_secret:
                env[name] = value
    return env


def find_entry(configuration: object) -> tuple[str, Mapping[str, Any]] | None:
    """Name and entry of the server in Claude Desktop's configuration that starts cdesk, or None."""
    servers = configuration.get("mcpServers") if isinstance(configuration, dict) else None
    for name, server in servers.items() if isinstance(servers, dict) else ():
        if not isinstance(server, dict):
            continue
        args = server.get("args")
        words = [str(server.get("command", "")), *map(str, args if isinstance(args, list) else ())]
        if _starts_cdesk(words):
            return name, server
    return None


def settings_of(server: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """The settings that a server of this entry works with, started by a client that has none of
    `environ`'s own.

    Raises:
        ConfigurationError: one of them is not allowed.
    """
    given = server.get("env")
    own = {name: value for name, value in environ.items() if not _is_setting(name)}
    env = given if isinstance(given, dict) else {}
    return load_settings({**own, **{str(name): str(value) for name, value in env.items()}})


def differences(here: Settings, there: Settings) -> list[tuple[str, str, str]]:
    """Name, value here and value there of each setting that two processes do not share."""
    return [
        (name, _text(getattr(here, name)), _text(getattr(there, name)))
        for name in SETTINGS
        if getattr(here, name) != getattr(there, name)
    ]


def _is_setting(name: str) -> bool:
    return name.startswith("CDESK_") or name == "XDG_DATA_HOME"


def _text(value: object) -> str:
    return (",".join(value) if isinstance(value, tuple) else str(value)) or "none"


_COMMANDS = ("cdesk", "cdesk.exe")
_MODULES = ("mcp_shim", "cdesk_app.cli", "cdesk_app.cli.main")


def _starts_cdesk(words: list[str]) -> bool:
    """Whether a command is this server's: `cdesk` itself, by another (`uvx … cdesk mcp`), or as a
    module of Python. A folder of that name among the arguments of another server makes it none.
    """
    if _last(words[0]) in _COMMANDS:
        return True
    return any(
        (before == "-m" and word in _MODULES) or (_last(before) in _COMMANDS and word == "mcp")
        for before, word in pairwise(words)
    )


def _last(word: str) -> str:
    return word.replace("\\", "/").rpartition("/")[2].lower()
