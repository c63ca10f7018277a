"""Where Claude's programs keep their histories on this computer, by platform (docs/capture.md)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """Folders that may hold histories, whether or not they exist. `code`: roots of Claude Code's
    `projects` folders; `desktop`: the data folders of Claude Desktop.
    """

    code: tuple[Path, ...]
    desktop: tuple[Path, ...]


def platform_places(environ: Mapping[str, str], *, platform: str = sys.platform) -> Places:
    """The folders of this platform, as `environ` has them."""
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home())
    given = environ.get("CLAUDE_CONFIG_DIR", "")
    roots = [Path(part.strip()).expanduser() for part in given.split(",") if part.strip()]
    if not roots:
        roots = [home / ".claude", home / ".config" / "claude"]
    code = tuple(root if root.name == "projects" else root / "projects" for root in roots)
    return Places(code=code, desktop=tuple(_desktop_folders(home, environ, platform)))


def _desktop_folders(home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
    if platform == "darwin":
        return [home / "Library" / "Application Support" / "Claude"]
    if platform == "win32":
        roaming = Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
        local = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        packaged = local / "Packages"
        try:
            packages = sorted(packaged.glob("Claude_*"))
        except OSError:
            packages = []
        return [
            roaming / "Claude",
            *(package / "LocalCache" / "Roaming" / "Claude" for package in packages),
        ]
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return [config / "Claude"]
