"""Stored procedures of the stand-in: as much of Snowflake Scripting as this project's procedures
use (`let`, one statement after the other, `return`), run with the owner's rights and the caller's
user. https://docs.snowflake.com/en/developer-guide/snowflake-scripting/blocks
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_CREATE = re.compile(
    r"\s*create\s+(or\s+replace\s+)?procedure\s+(?P<name>[\w$.\"]+)\s*\((?P<arguments>[^)]*)\)"
    r".*?\bas\s+\$\$\s*begin(?P<body>.*)end;?\s*\$\$\s*$",
    re.IGNORECASE | re.DOTALL,
)
_CALL = re.compile(r"\s*call\s+(?P<name>[\w$.\"]+)\s*\([?,\s]*\)\s*$", re.IGNORECASE)
_LET = re.compile(r"let\s+(\w+)\s+(\w+)\s*:=\s*(.*)", re.IGNORECASE | re.DOTALL)
_RETURN = re.compile(r"return\s+(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Procedure:
    arguments: tuple[str, ...]
    statements: tuple[str, ...]


def created(command: str) -> tuple[str, Procedure] | None:
    """The name and the procedure that a `create procedure` makes."""
    found = _CREATE.match(command)
    if found is None:
        return None
    arguments = tuple(part.split()[0].lower() for part in found["arguments"].split(",") if part)
    statements = tuple(part.strip() for part in found["body"].split(";\n") if part.strip())
    return found["name"], Procedure(arguments, statements)


def called(command: str) -> str | None:
    """The name of the procedure that a `call` with binds asks for."""
    found = _CALL.match(command)
    return None if found is None else found["name"]


def run(
    procedure: Procedure, binds: tuple[Any, ...], execute: Callable[[str], Any]
) -> object | None:
    """What the procedure returns. `execute` runs a statement; its first value counts."""
    variables: dict[str, Any] = dict(zip(procedure.arguments, binds, strict=True))
    for statement in procedure.statements:
        text = statement.rstrip(";")
        if let := _LET.match(text):
            value = execute(f"select {_bound(let[3], variables)} as value")
            variables[let[1].lower()] = Typed(value, let[2])
        elif back := _RETURN.match(text):
            return execute(f"select {_bound(back[1], variables)} as value")
        else:
            execute(_bound(text, variables))
    return None


def _bound(text: str, variables: dict[str, Any]) -> str:
    return re.sub(
        r"(?<![:\w]):(\w+)",
        lambda found: _literal(variables[found[1].lower()]),
        text,
    )


@dataclass(frozen=True, slots=True)
class Typed:
    """A variable's value with its declared type, which a null keeps."""

    value: Any
    type: str


def _literal(value: Any) -> str:
    if isinstance(value, Typed):
        return f"cast({_literal(value.value)} as {value.type})"
    if value is None:
        return "null"
    if isinstance(value, datetime):
        return f"cast('{value.isoformat(sep=' ')}' as timestamp_ntz)"
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
