"""What get_context answers: the snapshot, what is on its way, how fresh it is, trimmed to a size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

Json = dict[str, Any]

PRIORITY: Final = (
    "insights",
    "pending",
    "recent_questions",
    "unverified",
    "counts",
    "last_activities",
    "definitions",
)
"""Sections from the one that is kept longest to the one that goes first."""
_PARTIAL: Final = ("insights", "pending")
"""Sections of which the newest entries stay when the whole does not fit."""
SECTIONS: Final[Mapping[str, type]] = {
    "insights": list,
    "unverified": list,
    "counts": dict,
    "last_activities": list,
    "recent_questions": list,
    "definitions": dict,
}
"""Sections of the context blob (docs/contracts.md) and what they are."""


def empty_context() -> Json:
    return {name: kind() for name, kind in SECTIONS.items()}


def read_sections(blob: bytes) -> Json:
    """The sections of a context blob; one that is missing or of another type is empty.

    Raises:
        ValueError: the blob is no JSON object.
    """
    data = orjson.loads(blob)
    if not isinstance(data, dict):
        raise ValueError("the context is no JSON object")
    return {
        name: data[name] if isinstance(data.get(name), kind) else kind()
        for name, kind in SECTIONS.items()
    }


def trim(
    head: Json, context: Json, pending: Sequence[Json], *, max_bytes: int
) -> tuple[Json, bytes]:
    """The whole answer, and the same as UTF-8 JSON of at most `max_bytes`.

    `head` holds what is never left out (customer, as_of, version, stale, stale_reason). Sections go
    in by PRIORITY; one that does not fit is left out whole, of insights and pending the newest that
    fit stay. `omitted` names what is
    missing: `section`, or
    `section:n of m` for n entries kept of m.
    """
    whole = {**head, "context": context, "pending": list(pending), "omitted": []}
    text = orjson.dumps(whole)
    if len(text) <= max_bytes:
        return whole, text
    sections = {**context, "pending": list(pending)}
    kept: Json = {name: kind() for name, kind in SECTIONS.items()} | {"pending": []}
    omitted: list[str] = []
    # What the skeleton takes, were everything named as left out in the longest way.
    worst = [f"{name}:{len(sections[name])} of {len(sections[name])}" for name in PRIORITY]
    skeleton = {**head, "context": empty_context(), "pending": [], "omitted": worst}
    room = max_bytes - len(orjson.dumps(skeleton))
    for name in PRIORITY:
        section = sections[name]
        if not section:
            continue
        cost = len(orjson.dumps(section)) - 2  # the brackets stand in the skeleton
        if cost <= room:
            kept[name] = section
            room -= cost
            continue
        if name not in _PARTIAL:
            omitted.append(name)
            continue
        fitting: list[Any] = []
        for item in section:
            cost = len(orjson.dumps(item)) + 1  # and a comma
            if cost > room:
                break
            fitting.append(item)
            room -= cost
        kept[name] = fitting
        omitted.append(f"{name}:{len(fitting)} of {len(section)}")
    pending_kept = kept.pop("pending")
    answer = {**head, "context": kept, "pending": pending_kept, "omitted": omitted}
    return answer, orjson.dumps(answer)
