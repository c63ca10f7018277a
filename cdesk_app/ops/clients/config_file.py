"""`config.toml` in the state directory, changed without touching what else a person wrote there."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from cdesk.core.errors import ConfigurationError
from cdesk.core.home import write_private

_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)


def changed(path: Path, values: Mapping[str, str | None]) -> str | None:
    """The file's text with these settings, None for one that goes; None where it has them already.

    Comments and all other lines stay.

    Raises:
        ConfigurationError: the file cannot be read, or holds a setting in a form that is not
        understood line by line.
    """
    text = _read(path)
    before = _parse(path, text)
    wanted = {name: value for name, value in before.items() if name not in values}
    wanted |= {name: value for name, value in values.items() if value is not None}
    if wanted == before:
        return None
    new = text
    for name, value in values.items():
        if before.get(name) != value:
            new = _with(new, name, value)
    if not _holds(new, wanted):
        told = "; ".join(f"{name} = {value!r}" for name, value in values.items())
        raise ConfigurationError(f"{path} is not in a form that can be changed here; write: {told}")
    return new


def _read(path: Path) -> str:
    """The file's text, empty where there is none."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error})") from None


def _parse(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from None


def _holds(text: str, wanted: Mapping[str, object]) -> bool:
    """Whether a changed text says what it is to say: a form that was misread may not even be TOML
    any more.
    """
    try:
        return tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        return False


def _with(text: str, name: str, value: str | None) -> str:
    line = re.compile(rf"^[ \t]*(?:{name}|\"{name}\"|'{name}')[ \t]*=.*(?:\r?\n|\Z)", re.MULTILINE)
    # A JSON string is a basic string of TOML, too.
    new = "" if value is None else f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
    # A setting stands before the tables: behind a header it would be one of the table's.
    header = _HEADER.search(text)
    top, tables = (text[: header.start()], text[header.start() :]) if header else (text, "")
    if line.search(top):
        return line.sub(lambda _: new, top, count=1) + tables
    ends = not top or top.endswith("\n")
    return top + ("" if ends else "\n") + new + tables


def changed_table(path: Path, table: str, values: Mapping[str, object]) -> str:
    """The file's text with one table in place of what it says of it now; comments within the table
    go, all else stays.

    Raises:
        ConfigurationError: the file cannot be read, or has the table in another form.
    """
    text = _read(path)
    wanted = {**_parse(path, text), table: dict(values)}
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    new = "\n".join([f"[{table}]", *lines, ""])
    own = re.compile(
        rf"^[ \t]*\[{table}\][^\n]*(?:\n|\Z)(?:(?![ \t]*\[)[^\n]*(?:\n|(?<=[^\n])\Z))*",
        re.MULTILINE,
    )
    if own.search(text):
        text = own.sub(lambda _: new, text, count=1)
    else:
        text += ("" if not text or text.endswith("\n") else "\n") + ("\n" if text else "") + new
    if not _holds(text, wanted):
        raise ConfigurationError(f"{path} has {table} in a form that can't be changed here")
    return text


def write(path: Path, text: str) -> None:
    """Replace the file in one step. Raises ConfigurationError."""
    try:
        write_private(path, text.encode("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror})") from None
