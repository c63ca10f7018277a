"""Claude Code, told of the server by its own command: its file is written by running sessions, too,
so nobody else writes it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError
from cdesk_app.ops.clients.entry import NAME, find_entry

_SCOPE: Final = ("--scope", "user")  # in all folders; without it the entry is one folder's
_SECONDS: Final = 60.0


def add_command(server: Mapping[str, Any]) -> list[str]:
    """`claude mcp add …` for this entry. An option stands between the variables and the name: a
    list of variables takes every word up to the next option.
    """
    env = [word for name, value in server["env"].items() for word in ("--env", f"{name}={value}")]
    words = ["claude", "mcp", "add", *_SCOPE, *env, "--transport", "stdio", NAME, "--"]
    return [*words, server["command"], *server["args"]]


def remove_command(name: str = NAME) -> list[str]:
    return ["claude", "mcp", "remove", *_SCOPE, name]


def registered(
    settings: Settings, *, user_home: Path | None = None
) -> tuple[str, Mapping[str, Any]] | None:
    """Name and entry of cdesk in Claude Code's configuration, or None; the file is only read.

    Raises:
        ConfigurationError: the file cannot be read, or another server has the name.
    """
    folder = settings.environ.get("CLAUDE_CONFIG_DIR") or user_home or Path.home()
    path = Path(folder) / ".claude.json"
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error}); 'claude doctor' says more"
        ) from None
    found = find_entry(values)
    servers = values.get("mcpServers") if isinstance(values, dict) else None
    if found is None and isinstance(servers, dict) and NAME in servers:
        raise ConfigurationError(
            f"{path} has a server {NAME!r} that starts something else; "
            f"'claude mcp remove {NAME}' takes it out"
        )
    return found


def run(words: Sequence[str], settings: Settings) -> None:
    """Run one of the commands.

    Raises:
        ConfigurationError: `claude` is not there, or refuses; says what to do by hand.
    """
    claude = shutil.which(words[0], path=settings.environ.get("PATH", os.defpath))
    if claude is None:
        raise ConfigurationError(
            "there is no 'claude' on PATH; install Claude Code, or run where it is: "
            + subprocess.list2cmdline(words)
        )
    try:
        done = subprocess.run(
            [claude, *words[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"'claude' cannot be run: {error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise ConfigurationError(f"'claude mcp {words[2]}' refuses: {said or done.returncode}")
