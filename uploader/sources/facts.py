"""What lines of histories say, joined where they say it of one thing, and the records made of it.

A `Fact` is what one line says of one activity. Facts of one key are joined feature by feature:
numbers and texts to the greater, times and latencies to the smaller, sets to their union. The join
is commutative, associative and idempotent, so that copies of a line, in whatever files and in
whatever order they come, make one activity that is the same each time
(tests/unit/uploader/test_capture.py holds this as a property).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

import orjson

from cdesk.contract.events import make_event
from cdesk.contract.records import Record, SourceSystem

NAMESPACE: Final = uuid.UUID("5b0c8b52-0a6e-5c5d-9a52-1f6f4f8c2d13")
"""The namespace of captured ids; changing it would make every history come in again."""

SMALLER: Final = frozenset(("latency_ms", "called", "answered", "source", "model_at"))
"""Features of which the smaller counts; of all others the greater."""

AFTERTHOUGHT: Final = "~"
"""Before a time that counts only where nothing better is known: it sorts behind all that have
none."""

Block = list[Any]
"""[kind, length, ts] or [kind, length, ts, text] of a block of an answer."""


@dataclass(slots=True)
class Fact:
    """What is known of one activity. `ts` is when it was, as the contract writes it; `session` is
    (whether the line says that it was copied, session id). `blocks`: parts of an answer by the hash
    of their content. `request`: the API's request that an answer belongs to.
    """

    activity: str
    key: str
    ts: str
    session: tuple[bool, str]
    features: dict[str, Any]
    blocks: dict[str, Block] = field(default_factory=dict)
    request: str | None = None

    def join(self, other: Fact) -> None:
        """Take in what another fact of the same key says."""
        self.ts = min(self.ts, other.ts)
        self.session = min(self.session, other.session)
        mine = self.features
        for name, value in other.features.items():
            known = mine.get(name)
            if known is None:
                mine[name] = value
            elif known != value:
                mine[name] = _joined(name, known, value)
        for name, block in other.blocks.items():
            mine_block = self.blocks.get(name)
            self.blocks[name] = block if mine_block is None else _joined_block(mine_block, block)
        if other.request is not None:
            self.request = max(self.request or "", other.request)


def _joined(name: str, one: Any, other: Any) -> Any:
    if type(one) is not type(other) and not (
        isinstance(one, int | float) and isinstance(other, int | float)
    ):
        one, other = sorted((one, other), key=lambda value: type(value).__name__)
        return other
    return min(one, other) if name in SMALLER else max(one, other)


def _joined_block(one: Block, other: Block) -> Block:
    """The earlier time; a text where either has one."""
    first, second = (one, other) if len(one) >= len(other) else (other, one)
    return [first[0], max(one[1], other[1]), min(one[2], other[2]), *max(first[3:], second[3:])]


def activity_id(customer: str, activity: str, key: str) -> str:
    """The id of an activity, whichever source it comes from."""
    return str(uuid.uuid5(NAMESPACE, orjson.dumps([customer, activity, key]).decode()))


def digest(value: object) -> str:
    """A short hash of a value, to tell contents apart."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Made:
    """One record's own values; `name` tells it from the others of its fact."""

    name: str
    activity: str
    ts: str
    session_id: str
    source_system: SourceSystem
    features: dict[str, Any]

    def record(self, *, customer: str, key: str) -> Record:
        """The record as it was first made: a revision is made of it.

        Raises:
            InvalidField: a value beyond the contract.
        """
        return make_event(
            f"cdesk.{self.activity}",
            self.features,
            id=activity_id(customer, self.name, key),
            ts=self.ts,
            customer=customer,
            session_id=self.session_id,
            query_tag="cdesk_" + digest([self.session_id])[:8],
            source_system=self.source_system,
        )


_OWN: Final = frozenset(("source", "called", "answered", "model_at", "last_at", "logged"))
"""Features that serve the join alone."""
_FILE_ACTIVITIES: Final = {
    "Read": "file_read",
    "NotebookRead": "file_read",
    "Write": "file_written",
    "Edit": "file_written",
    "MultiEdit": "file_written",
    "NotebookEdit": "file_written",
}
_FILE_FEATURES: Final = ("file", "kind", "lines_added", "lines_removed")
_TITLES: Final = ("title_custom", "title_generated", "title_given", "title_summary")
"""What names a conversation, the person's own name first."""


def made_of(fact: Fact) -> Iterator[Made]:
    """The records that a fact makes; none while it is not known what it is about."""
    features = {name: value for name, value in fact.features.items() if name not in _OWN}
    at = fact.ts.lstrip(AFTERTHOUGHT)
    source = cast(SourceSystem, fact.features.get("source") or "claude_code")
    session_id = fact.session[1]

    def made(activity: str, ts: str, of: Mapping[str, Any], name: str | None = None) -> Made:
        return Made(name or activity, activity, ts, session_id, source, dict(of))

    if fact.activity == "claude_responded":
        if fact.features.get("is_repeated"):
            features = {
                name: features[name] for name in ("model", "is_repeated") if name in features
            }
        yield made("claude_responded", at, {**features, **_of_blocks(fact.blocks)})
    elif fact.activity == "tool_called":
        if "tool" not in features:
            return
        yield from _of_call(fact, features, made)
    elif fact.activity == "session_started":
        titles = {name: features.pop(name, None) for name in _TITLES}
        title = next((titles[name] for name in _TITLES if titles[name]), None)
        if title:
            features["title"] = title
        if model := fact.features.get("model_at"):
            features["model"] = model[1]
        if last := fact.features.get("last_at"):
            yield Made(
                f"session_ended:{last}",
                "session_ended",
                max(last, at),
                session_id,
                source,
                {**features, "duration_ms": milliseconds(at, max(last, at))},
            )
        yield made("session_started", at, features)
    else:
        yield made(fact.activity, at, features)


def _of_blocks(blocks: Mapping[str, Block]) -> dict[str, Any]:
    found: dict[str, Any] = {"length": 0, "thinking_length": 0, "tool_calls": 0}
    for kind, length, *_ in blocks.values():
        if kind == "tool":
            found["tool_calls"] += 1
        else:
            found["length" if kind == "text" else "thinking_length"] += length
    texts = sorted((block[2], name, block[3]) for name, block in blocks.items() if len(block) > 3)
    if texts:
        found["response"] = "\n\n".join(text for _, _, text in texts)
    return found


def _of_call(fact: Fact, features: dict[str, Any], made: Any) -> Iterator[Made]:
    called, answered = (
        str(fact.features.get(name) or "").lstrip(AFTERTHOUGHT) for name in ("called", "answered")
    )
    if called and answered and answered >= called:
        features["latency_ms"] = milliseconds(called, answered)
    for name in ("lines_added", "lines_removed"):
        patched = features.pop(f"patch_{name}", None)
        if patched is not None:
            features[name] = patched
    if features["tool"] == "log_event" and (logged := fact.features.get("logged")):
        features["logged_activity_id"] = logged
    activity = _FILE_ACTIVITIES.get(features["tool"])
    yield made("tool_called", called or fact.ts.lstrip(AFTERTHOUGHT), features)
    if activity and features.get("outcome") == "ok" and "file" in features:
        kept = {name: features[name] for name in _FILE_FEATURES if name in features}
        about = {
            name: features[name] for name in ("project", "client", "agent") if name in features
        }
        yield made(activity, called or fact.ts.lstrip(AFTERTHOUGHT), {**kept, **about})


def milliseconds(start: str, end: str) -> float:
    """Between two timestamps of the contract."""
    first, last = (datetime.fromisoformat(ts.lstrip(AFTERTHOUGHT)) for ts in (start, end))
    spent = last - first
    return round(spent.total_seconds() * 1000, 3)
