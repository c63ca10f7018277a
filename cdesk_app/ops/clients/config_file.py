"""`config.toml` in the state directory, changed without touching what else a person wrote there."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from cdesk.core.errors import ConfigurationError
from cdesk.core.home import write_private


def changed(path: Path, values: Mapping[str, str | None]) -> str | None:
    """The file's text with these settings, None for one that goes; None where it has them already.

    Comments and all other lines stay.

    Raises:
        ConfigurationError: the file cannot be read, or holds a setting in a form that is not
        understood line by line.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error})") from None
    before = _parse(path, text)
    wanted = {name: value for name, value in before.items() if name not in values}
    wanted |= {name: value for name, value in values.items() if value is not None}
    if wanted == before:
        return None
    new = text
    for name, value in values.items():
        if before.get(name) != value:
            new = _with(new, name, value)
    if _parse(path, new) != wanted:
        told = "; ".join(f"{name} = {value!r}" for name, value in values.items())
        raise ConfigurationError(f"{path} is not in a form that can be changed here; write: {told}")
    return new


def _parse(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from None


def _with(text: str, name: str, value: str | None) -> str:
    line = re.compile(rf"^[ \t]*(?:{name}|\"{name}\"|'{name}')[ \t]*=.*(?:\r?\n|\Z)", re.MULTILINE)
    # A JSON string is a basic string of TOML, too.
    new = "" if value is None else f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
    if line.search(text):
        return line.sub(lambda _: new, text, count=1)
    ends = not text or text.endswith("\n")
    return text + ("" if ends else "\n") + new


def write(path: Path, text: str) -> None:
    """Replace the file in one step. Raises ConfigurationError."""
    try:
        write_private(path, text.encode("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror})") from None
