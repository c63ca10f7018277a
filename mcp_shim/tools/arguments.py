"""Checks of a tool's arguments: each takes all of them and the name of one. They raise
InvalidField.
"""

from __future__ import annotations

import math
from typing import Any

from cdesk.core.errors import InvalidField
from mcp_shim.tools.tool import Json


def required(given: Json, name: str, allowed: str) -> Any:
    value = given.get(name)
    if value is None:
        raise InvalidField(name, "missing", allowed)
    return value


def named(given: Json, name: str, allowed: str) -> Any:
    """A name that is not blank. The record contract checks the rest."""
    value = required(given, name, allowed)
    if isinstance(value, str) and value and not value.strip():
        raise InvalidField(name, "is blank", allowed)
    return value


def integer(given: Json, name: str, *, low: int, high: int, default: int | None) -> Any:
    value = given.get(name)
    if value is None:
        return default
    allowed = f"an integer from {low:,} to {high:,}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows one kind of number
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidField(name, f"is {type(value).__name__}", allowed)
    if not low <= value <= high:
        raise InvalidField(
            name, f"{value:,} is out of range" if abs(value) < 2**63 else "is out of range", allowed
        )
    return value


def boolean(given: Json, name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise InvalidField(name, f"is {type(value).__name__}", "true or false")
    return value


def seconds(given: Json, name: str, *, high: float) -> float:
    value = given.get(name)
    if value is None:
        return 0.0
    allowed = f"a number from 0 to {high:g}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidField(name, f"is {type(value).__name__}", allowed)
    if not math.isfinite(value) or not 0 <= value <= high:
        raise InvalidField(name, f"{str(value)[:40]} is out of range", allowed)
    return float(value)
