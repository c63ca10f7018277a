"""A tool's arguments: taken as clients send them, then checked.

`as_sent`, `params_as_sent` and `features_as_sent` hold the one rule on what clients do: null or
empty text for what may be left out is left out, and text that parses to what the schema wants is
that. Claude Desktop has sent objects, numbers and booleans as text. What doesn't parse stays as it
is, and is refused by the checks below: each takes all arguments and the name of one, and raises
InvalidField.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from cdesk.contract.activity_features import ACTIVITY_FEATURES
from cdesk.contract.catalog import Template
from cdesk.contract.events import PYTHON_TYPES
from cdesk.core.errors import InvalidField
from mcp_shim.tools.tool import Json, kinds_of


def as_sent(schema: Json, given: Mapping[str, Any]) -> Json:
    """The arguments that a client meant, by the tool's input schema."""
    properties, needed = schema["properties"], schema.get("required", ())
    return {
        name: _as_wanted(value, kinds)
        if isinstance(value, str)
        and name in properties
        and "string" not in (kinds := kinds_of(properties[name]))
        else value
        for name, value in given.items()
        if name in needed or not _is_absent(value)
    }


def params_as_sent(template: Template, params: Mapping[str, Any]) -> Json:
    """The same for the parameters of a template."""
    found = dict(params)
    for parameter in template.parameters:
        value = found.get(parameter.name)
        if not parameter.required and _is_absent(value):
            found.pop(parameter.name, None)
        elif parameter.type.startswith("list["):
            items = _as_wanted(value, {"array"})
            if isinstance(items, list):
                items = [_as_wanted(item, {parameter.type[5:-1]}) for item in items]
            found[parameter.name] = items
        else:
            found[parameter.name] = _as_wanted(value, {parameter.type})
    return found


def features_as_sent(activity: object, features: Any) -> Any:
    """The same for an activity's details, by the types that it declares: the object itself where
    all are as they should be.
    """
    declared = ACTIVITY_FEATURES.get(activity) if isinstance(activity, str) else None
    if declared is None or not isinstance(features, dict):
        return features
    found = features
    for key, value in features.items():
        kind = declared.get(key)
        if kind is None or type(value) in PYTHON_TYPES[kind]:
            continue
        if found is features:
            found = dict(features)
        if _is_absent(value):
            del found[key]
            continue
        meant = _as_wanted(value, {kind})
        if kind == "integer" and isinstance(meant, float) and meant.is_integer():
            meant = int(meant)
        found[key] = meant
    return found


def _is_absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _as_wanted(value: Any, kinds: set[str]) -> Any:
    """What a text stands for where text isn't wanted; all else as it is."""
    if not isinstance(value, str) or "string" in kinds:
        return value
    wanted = tuple(kind for name, kind in _PARSED.items() if name in kinds)
    if not wanted:
        return value
    try:
        parsed = orjson.loads(value.lower() if kinds == {"boolean"} else value)
    except ValueError:
        return value
    if isinstance(parsed, bool):
        return parsed if "boolean" in kinds else value
    return parsed if isinstance(parsed, wanted) else value


_PARSED = {
    "object": dict,
    "array": list,
    "boolean": bool,
    "integer": int | float,  # 3.0 is an integer, too: JSON knows one kind of number
    "number": int | float,
}
"""JSON type → what it parses to; a type that isn't named here is text."""


def required(given: Json, name: str, allowed: str) -> Any:
    value = given.get(name)
    if value is None:
        raise InvalidField(name, "missing", allowed)
    return value


def named(given: Json, name: str, allowed: str) -> Any:
    """A name that is not blank. The record contract checks the rest."""
    value = given.get(name)
    if value is None:
        raise InvalidField(name, "missing", allowed)
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
    if not 0 <= value <= high:  # which a NaN is not, either
        raise InvalidField(name, f"{str(value)[:40]} is out of range", allowed)
    return float(value)
