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
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, cast

import orjson
from msgspec import Struct, field

from cdesk.contract.records import SourceSystem

NAMESPACE: Final = uuid.UUID("5b0c8b52-0a6e-5c5d-9a52-1f6f4f8c2d13")
"""The namespace of captured ids; changing it would make every history come in again."""

SMALLER: Final = frozenset(("latency_ms", "called", "answered", "source", "model_at"))
"""Features of which the smaller counts; of all others the greater."""

AFTERTHOUGHT: Final = "~"
"""Before a time that counts only where nothing better is known: it sorts behind all that have
none."""

Block = list[Any]
"""[kind, length, ts] or [kind, length, ts, text] of a block of an answer."""


class Fact(Struct, gc=False, eq=False):
    """What is known of one activity. `ts` is when it was, as the contract writes it; `session` is
    (whether the line says that it was copied, session id). `blocks`: parts of an answer by the hash
    of their content. `request`: the API's request that an answer belongs to. `about`: what it has
    taken in already.
    """

    activity: str
    key: str
    ts: str
    session: tuple[bool, str]
    features: dict[str, Any]
    blocks: dict[str, Block] = field(default_factory=dict)
    request: str | None = None
    about: dict[str, Any] | None = None

    def join(self, other: Fact) -> None:
        """Take in what another fact of the same key says."""
        self.take(other.ts, other.session, other.features, other.blocks, other.request)

    def take(
        self,
        ts: str,
        session: tuple[bool, str],
        features: Mapping[str, Any],
        blocks: Mapping[str, Block] | None,
        request: str | None,
    ) -> None:
        """Take in what is said of the same activity elsewhere."""
        if ts < self.ts:
            self.ts = ts
        if session < self.session:
            self.session = session
        mine = self.features
        if mine.keys().isdisjoint(features):
            mine.update(features)
        else:
            for name, value in features.items():
                known = mine.get(name)
                if known is None:
                    mine[name] = value
                elif known != value:
                    mine[name] = _joined(name, known, value)
        if blocks:
            self.take_blocks(blocks)
        if request is not None and (self.request is None or request > self.request):
            self.request = request

    def take_blocks(self, blocks: Mapping[str, Block]) -> None:
        """Take in parts of an answer."""
        mine = self.blocks
        for name, block in blocks.items():
            known = mine.get(name)
            mine[name] = block if known is None else _joined_block(known, block)


class Facts:
    """What lines say, joined by activity and key."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Fact] = {}

    def __len__(self) -> int:
        return len(self.known)

    def note(
        self,
        activity: str,
        key: str,
        ts: str,
        session: tuple[bool, str],
        about: dict[str, Any],
        said: dict[str, Any] | None = None,
        blocks: dict[str, Block] | None = None,
        request: str | None = None,
    ) -> Fact:
        """Take in what a line says: `about`, which lines have in common and nobody changes, and
        `said`, its own. Later ones go before earlier ones of the same name. What is known by then.
        """
        place = (activity, key)
        known = self.known.get(place)
        if known is None:
            features = {**about, **said} if said else about.copy()
            known = self.known[place] = Fact(
                activity, key, ts, session, features, blocks or {}, request, about
            )
            return known
        if known.about is not about:
            known.take(ts, session, about, None, None)
        known.take(ts, session, said or {}, blocks, request)
        return known

    def take(self) -> dict[tuple[str, str], Fact]:
        """All of them, which begin anew."""
        known, self.known = self.known, {}
        return known


def _joined(name: str, one: Any, other: Any) -> Any:
    if type(one) is not type(other):
        numbers = isinstance(one, int | float) and isinstance(other, int | float)
        if not numbers:  # which can't be compared, and no version of a client writes both
            return max(one, other, key=lambda value: type(value).__name__)
    return min(one, other) if name in SMALLER else max(one, other)


def _joined_block(one: Block, other: Block) -> Block:
    """The earlier time; a text where either has one."""
    return [one[0], max(one[1], other[1]), min(one[2], other[2]), *max(one[3:], other[3:])]


_MOST_BEGINS: Final = 64
"""Kinds of activity whose ids begin alike; ends of sessions have a time in theirs."""


class Ids:
    """Ids of a customer's activities, whichever source they come from: UUIDs of version 5."""

    def __init__(self, customer: str) -> None:
        self._begin = NAMESPACE.bytes + orjson.dumps([customer])[:-1]
        self._begins: dict[str, bytes] = {}

    def of(self, activity: str, key: str) -> str:
        """The id of an activity."""
        begin = self._begins.get(activity)
        if begin is None:
            begin = b"%b,%b," % (self._begin, orjson.dumps(activity))
            if len(self._begins) < _MOST_BEGINS:
                self._begins[activity] = begin
        whole = b"%b%b]" % (begin, orjson.dumps(key))
        digits = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        variant = "89ab"[int(digits[16], 16) & 3]
        return (
            f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
        )


def digest(value: object) -> str:
    """A short hash of a value, to tell contents apart."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


class Made(Struct, gc=False, eq=False):
    """One record's own values; `name` tells it from the others of its fact."""

    name: str
    activity: str
    ts: str
    session_id: str
    source_system: SourceSystem
    features: dict[str, Any]


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
_OF_FILES: Final = (
    "file", "kind", "lines_added", "lines_removed", "project", "client", "agent"
)  # fmt: skip
_TITLES: Final = ("title_custom", "title_generated", "title_given", "title_summary")
"""What names a conversation, the person's own name first."""


def made_of(fact: Fact) -> Iterable[Made]:
    """The records that a fact makes; none while it is not known what it is about."""
    features = dict(fact.features)
    for name in _OWN:
        features.pop(name, None)
    at = fact.ts.lstrip(AFTERTHOUGHT)
    source = cast(SourceSystem, fact.features.get("source") or "claude_code")
    session_id = fact.session[1]
    activity = fact.activity
    if activity == "claude_responded":
        if features.get("is_repeated"):
            features = {
                name: features[name] for name in ("model", "is_repeated") if name in features
            }
        features |= _of_blocks(fact.blocks)
    elif activity == "tool_called":
        return _of_call(fact, features, session_id, source) if "tool" in features else ()
    elif activity == "session_started":
        return _of_session(fact, features, at, source)
    return (Made(activity, activity, at, session_id, source, features),)


def _of_session(
    fact: Fact, features: dict[str, Any], at: str, source: SourceSystem
) -> Iterator[Made]:
    session_id = fact.session[1]
    titles = {name: features.pop(name, None) for name in _TITLES}
    title = next((titles[name] for name in _TITLES if titles[name]), None)
    if title:
        features["title"] = title
    if model := fact.features.get("model_at"):
        features["model"] = model[1]
    if last := fact.features.get("last_at"):
        end = max(last, at)
        ended = {**features, "duration_ms": milliseconds(at, end)}
        yield Made(f"session_ended:{last}", "session_ended", end, session_id, source, ended)
    yield Made("session_started", "session_started", at, session_id, source, features)


def _of_blocks(blocks: Mapping[str, Block]) -> dict[str, Any]:
    found: dict[str, Any] = {"length": 0, "thinking_length": 0, "tool_calls": 0}
    has_text = False
    for block in blocks.values():
        kind = block[0]
        if kind == "tool":
            found["tool_calls"] += 1
        else:
            found["length" if kind == "text" else "thinking_length"] += block[1]
        has_text |= len(block) > 3
    if has_text:
        texts = sorted((one[2], name, one[3]) for name, one in blocks.items() if len(one) > 3)
        found["response"] = "\n\n".join(text for _, _, text in texts)
    return found


def _of_call(
    fact: Fact, features: dict[str, Any], session_id: str, source: SourceSystem
) -> Iterator[Made]:
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
    at = called or fact.ts.lstrip(AFTERTHOUGHT)
    yield Made("tool_called", "tool_called", at, session_id, source, features)
    activity = _FILE_ACTIVITIES.get(features["tool"])
    if activity and features.get("outcome") == "ok" and "file" in features:
        kept = {name: features[name] for name in _OF_FILES if name in features}
        yield Made(activity, activity, at, session_id, source, kept)


def milliseconds(start: str, end: str) -> float:
    """Between two timestamps of the contract."""
    if AFTERTHOUGHT in start or AFTERTHOUGHT in end:
        start, end = start.lstrip(AFTERTHOUGHT), end.lstrip(AFTERTHOUGHT)
    if start[:17] == end[:17]:  # most are of one minute
        return (int(end[17:19] + end[20:26]) - int(start[17:19] + start[20:26])) / 1000
    spent = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return round(spent.total_seconds() * 1000, 3)
