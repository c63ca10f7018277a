"""Claude Desktop's configuration: a file of the person's own, in which cdesk has one entry."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cdesk.core.errors import ConfigurationError
from cdesk.core.home import replacing
from cdesk_app.ops.clients.entry import NAME, find_entry

BACKUP_SUFFIX: Final = ".cdesk-backup"

_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_COMMENT: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|(//|/\*)')


@dataclass(frozen=True, slots=True)
class Configuration:
    """The file as it was read. `raw` is None where there is none; `marked`: it begins with a byte
    order mark, which Claude Desktop may not read.
    """

    path: Path
    raw: bytes | None
    values: Mapping[str, Any]
    marked: bool = False

    @property
    def backup(self) -> Path:
        """Where the file as it was before `cdesk connect` is kept."""
        return self.path.with_name(self.path.name + BACKUP_SUFFIX)

    def servers(self) -> dict[str, Any]:
        """The servers by name, cdesk's own among them."""
        return dict(self.values.get("mcpServers") or {})


def read_configuration(path: Path) -> Configuration:
    """The configuration at `path`, through a link where it is one.

    Raises:
        ConfigurationError: it cannot be read, or is nothing that could be written back without a
        loss; says what to do.
    """
    path = Path(os.path.realpath(path))  # those who keep such files elsewhere link them
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Configuration(path, None, {})
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}); mend its permissions"
        ) from None
    values, marked = _parse(path, raw)
    return Configuration(path, raw, values, marked)


def _parse(path: Path, raw: bytes) -> tuple[dict[str, Any], bool]:
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    try:
        text = raw.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"{path} is not UTF-8; save it as UTF-8 and run this again"
        ) from None
    if not text.strip("\0 \t\r\n"):
        return {}, encoding is not None
    try:
        values = json.loads(text, object_pairs_hook=_object, parse_constant=_no_json)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: {_problem(text, error)}") from None
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} holds no JSON object; move it away or mend it")
    if not isinstance(values.get("mcpServers") or {}, dict):
        raise ConfigurationError(f"{path}: mcpServers is no object; mend it")
    return values, encoding is not None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands twice in one object; take one of them out")
    return values


def _no_json(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _problem(text: str, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    for match in _COMMENT.finditer(text):
        if match[1]:
            line = text.count("\n", 0, match.start()) + 1
            return (
                f"line {line} holds a comment ({match[1]}); JSON has none, and Claude Desktop "
                "cannot read the file either: take the comments out and run this again"
            )
    hint = "" if "stands twice" in str(error) else "; mend it: Claude Desktop cannot read it either"
    return f"{error}{hint}"


def merged(configuration: Configuration, server: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with `server` as cdesk's entry, in the place of the one that it has.

    What else stands in that entry stays, its other environment variables too: a person may have put
    them there. All other servers and settings stay as they are.

    Raises:
        ConfigurationError: another server has the name.
    """
    servers = configuration.servers()
    found = find_entry(configuration.values)
    if found is None and NAME in servers:
        raise ConfigurationError(
            f"{configuration.path} has a server {NAME!r} that starts something else; "
            "give it another name and run this again"
        )
    name, entry = found or (NAME, {})
    before = entry.get("env")
    kept = dict(before) if isinstance(before, dict) else {}
    servers[name] = {**entry, **server, "env": {**_not_settings(kept), **server["env"]}}
    return {**configuration.values, "mcpServers": servers}


def _not_settings(env: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are no settings of `entry.SETTINGS`: a setting that is not in force here any more
    must not stay in force there.
    """
    from cdesk.core.config import SETTINGS

    ours = {f"CDESK_{name.upper()}" for name in SETTINGS}
    return {name: value for name, value in env.items() if name not in ours}


def restored(configuration: Configuration) -> dict[str, Any] | None:
    """The configuration with the entry that stood there before `cdesk connect`, or without one;
    None where that is what it has. Whatever else has changed since then stays changed.

    Raises:
        ConfigurationError: the backup cannot be read.
    """
    earlier = read_configuration(configuration.backup)
    found, before = find_entry(configuration.values), find_entry(earlier.values)
    if found == before:
        return None
    servers = configuration.servers()
    if found:
        del servers[found[0]]
    if before:
        servers[before[0]] = dict(before[1])
    values = {**configuration.values, "mcpServers": servers}
    if not servers and "mcpServers" not in earlier.values:
        del values["mcpServers"]
    return values


def encode(values: Mapping[str, Any]) -> bytes:
    """The file's text, as Claude Desktop itself writes it."""
    try:
        return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # half a character, which JSON can only escape
        return (json.dumps(values, indent=2) + "\n").encode()


def write_configuration(
    configuration: Configuration, values: Mapping[str, Any], *, backup: bool
) -> None:
    """Replace the file by `values` in one step, with the mode that it had.

    With `backup` the file as it was read is kept beside it first, unless it already has an entry of
    cdesk's and an older backup stands: what is kept is the state before `cdesk connect`.

    Raises:
        ConfigurationError: it cannot be written, or has changed since it was read.
    """
    path = configuration.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if backup and not (find_entry(configuration.values) and configuration.backup.exists()):
            raw = configuration.raw
            _replace(configuration.backup, encode({}) if raw is None else raw, like=path)
        now = path.read_bytes() if path.exists() else None
        if now != configuration.raw:
            raise ConfigurationError(f"{path} has just been changed by another; run this again")
        _replace(path, encode(values), like=path)
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename or path} cannot be written ({error.strerror}); mend its permissions"
        ) from None


def _replace(path: Path, data: bytes, *, like: Path) -> None:
    mode = like.stat().st_mode & 0o777 if like.exists() else None
    with replacing(path) as file:
        file.write(data)
        if mode is not None and hasattr(os, "fchmod"):
            with contextlib.suppress(OSError):  # a file system without modes
                os.fchmod(file.fileno(), mode)
