"""A Claude data export, conversation by conversation, as records of the event contract.

Shape read (a JSON array; what is not listed is ignored):

    [{"uuid", "name", "created_at", "model"?,
      "chat_messages": [{"uuid", "sender": "human" | "assistant", "created_at", "text", "model"?,
                         "content": [{"type": "text", "text"} | {"type": "thinking", "thinking"}
                                     | {"type": "tool_use", "id"?, "name", "input",
                                     "stop_timestamp"?}
                                     | {"type": "tool_result", "tool_use_id"?, "name"?, "is_error",
                                     "start_timestamp"?} | …] or the same as JSON in text,
                         "attachments": [{"file_name", "file_type", "file_size",
                         "extracted_content"}], "files": [{"file_name", "file_uuid"?}],
                         "files_v2": as "files"}]}]

Ids are UUID version 5 over the export's own ids, timestamps are the export's: the same export gives
the same records. What people wrote stays out unless it is asked for: lengths, models, tool names
and file kinds go in.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final

import orjson

from cdesk.contract.events import make_event
from cdesk.contract.records import MAX_FEATURE_BYTES, Record
from cdesk.core.clock import format_ts, parse_ts, to_ns
from cdesk.core.errors import InvalidField

NAMESPACE: Final = uuid.UUID("c6f1c2a4-6d0e-5b57-9f6e-3c1d8a2b7e90")
"""The namespace of imported ids; changing it would make every earlier import come in again."""
MAX_TEXT_BYTES: Final = MAX_FEATURE_BYTES - 4 * 1024
"""Room for one text within `feature_json`, as JSON; the rest is for the other features."""
_MAX_LABEL: Final = 200


@dataclass(slots=True)
class Tally:
    """What happened to the parts of an export that are no record: shown to the person, never
    dropped in silence.
    """

    left_out: int = 0
    reasons: list[str] = field(default_factory=list)
    """The first few parts left out, each with its place and reason."""
    cut: int = 0
    """Texts shortened to fit the record limit."""

    def leave_out(self, where: str, reason: str) -> None:
        self.left_out += 1
        if len(self.reasons) < 10:
            self.reasons.append(f"{where}: {reason}")


def is_conversation(value: object) -> bool:
    """Whether a value has the shape of one exported conversation."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("uuid"), str)
        and isinstance(value.get("chat_messages"), list)
    )


def conversation_records(
    conversation: Mapping[str, Any],
    *,
    where: str,
    customer: str,
    include_text: bool,
    tally: Tally,
    project: str | None = None,
) -> Iterator[Record]:
    """The records of one conversation (`is_conversation` holds), in the order of the conversation.

    `where` names it in the tally, to which this adds. `project` is the name of its project.
    """
    session_id = conversation["uuid"]
    if not 1 <= len(session_id) <= 255:
        tally.leave_out(where, f"its uuid has {len(session_id):,} characters")
        return
    make = _Maker(session_id, customer=customer, tally=tally)
    messages: list[tuple[int, str, Mapping[str, Any]]] = []
    model = conversation.get("model")
    for number, message in enumerate(conversation["chat_messages"], start=1):
        place = f"{where}, message {number}"
        if not isinstance(message, dict):
            tally.leave_out(place, "it is no object")
        elif message.get("sender") not in ("human", "assistant"):
            tally.leave_out(place, f"its sender is {_short(message.get('sender'))}")
        elif (ts := _timestamp(message.get("created_at"))) is None:
            tally.leave_out(place, f"its created_at is {_short(message.get('created_at'))}")
        else:
            messages.append((number, ts, message))
    started = _timestamp(conversation.get("created_at")) or (messages[0][1] if messages else None)
    if started is None:
        tally.leave_out(where, f"its created_at is {_short(conversation.get('created_at'))}")
        return
    title = conversation.get("name")
    features: dict[str, Any] = {"source": "claude_export", "title_length": _length(title)}
    if project:
        features["project"] = project
    if include_text and isinstance(title, str) and title:
        features["title"] = make.text(title)
    yield from make.event("session_started", (), started, _with_model(features, model), where)
    for number, ts, message in messages:
        source = message.get("uuid")
        key: tuple[object, ...] = (
            (source,) if isinstance(source, str) and source else ("message", number)
        )
        place = f"{where}, message {number}"
        yield from _message_records(make, key, ts, message, place, model, include_text)


def _message_records(
    make: _Maker,
    key: tuple[object, ...],
    ts: str,
    message: Mapping[str, Any],
    place: str,
    model: object,
    include_text: bool,
) -> Iterator[Record]:
    blocks = _blocks(message.get("content"), place, make.tally)
    # `text` holds a placeholder where `content` is of thinking and tool calls alone, or of kinds
    # that the exporting program did not know.
    given = message.get("text")
    is_told = blocks or (message["sender"] == "assistant" and _items(message.get("content")))
    text = _joined(blocks, "text") if is_told else given if isinstance(given, str) else ""
    attached = _attached(message)
    if message["sender"] == "human":
        features: dict[str, Any] = {
            "source": "claude_export",
            "length": len(text),
            "attachments": len(attached),
        }
        if include_text:
            features["question"] = make.text(text)
        yield from make.event("user_asked", key, ts, features, place)
        for number, kind, item in attached:
            yield from make.event(
                "file_read", (*key, kind, number), ts, _file(item, include_text), place
            )
        return
    tools = [block for block in blocks if block.get("type") == "tool_use"]
    for number, (block, outcome) in enumerate(zip(tools, _outcomes(blocks), strict=True)):
        features = {
            "source": "claude_export",
            "tool": _label(block.get("name")) or "unknown",
            "input_length": _json_length(block.get("input")),
        }
        if outcome.failed is not None:
            features["outcome"] = "error" if outcome.failed else "ok"
        # The call's own two times say how long the model took to write it.
        called = _timestamp(block.get("stop_timestamp"))
        answered = _timestamp(outcome.result.get("start_timestamp")) if outcome.result else None
        if called and answered and answered >= called:
            features["latency_ms"] = (parse_ts(answered) - parse_ts(called)).total_seconds() * 1000
        start = _timestamp(block.get("start_timestamp"))
        yield from make.event(
            "tool_called", (*key, "tool_use", number), start or ts, features, place
        )
    features = {
        "source": "claude_export",
        "length": len(text),
        "thinking_length": len(_joined(blocks, "thinking")),
        "tool_calls": len(tools),
    }
    if include_text:
        features["response"] = make.text(text)
    yield from make.event(
        "claude_responded", key, ts, _with_model(features, message.get("model") or model), place
    )
    for number, kind, item in attached:
        yield from make.event(
            "file_written", (*key, kind, number), ts, _file(item, include_text), place
        )


_KNOWN_BLOCKS: Final = frozenset(
    ("text", "thinking", "redacted_thinking", "tool_use", "tool_result", "token_budget")
)


def _blocks(content: object, place: str, tally: Tally) -> list[Mapping[str, Any]]:
    """The blocks of a message; what is none that is known goes into the tally."""
    if isinstance(content, str):
        content = _decoded(content)
    if isinstance(content, dict):
        content = [content]
    if content is not None and not isinstance(content, list):
        tally.leave_out(place, f"its content is {_short(content)}")
    found: list[Any] = []
    for block in _items(content):
        found += _decoded(block) if isinstance(block, str) and block else [block]
    blocks: list[Mapping[str, Any]] = []
    for block in found:
        kind = block.get("type") if isinstance(block, dict) else None
        if isinstance(kind, str) and kind in _KNOWN_BLOCKS:
            blocks.append(block)
        elif isinstance(block, dict):
            tally.leave_out(place, f"the type of a block of its content is {_short(kind)}")
        else:
            tally.leave_out(place, f"a block of its content is {_short(block)}")
    return blocks


def _decoded(content: str) -> list[Any]:
    """Blocks that are JSON in text; a text that is none is one block."""
    if content.lstrip()[:1] in ("[", "{"):
        try:
            found = orjson.loads(content)
        except ValueError:
            found = None
        one = found[0] if isinstance(found, list) and found else found
        if found == [] or (isinstance(one, dict) and "type" in one):
            return found if isinstance(found, list) else [found]
    return [{"type": "text", "text": content}] if content else []


def _attached(message: Mapping[str, Any]) -> list[tuple[int, str, Mapping[str, Any]]]:
    """Each file once, as (its number among all that is listed, the list, the file).

    A file stands in `attachments` where its text was extracted, in `files` and in `files_v2` too;
    the name is what the three share. The number counts all: it is part of an id.
    """
    found: list[tuple[int, str, Mapping[str, Any]]] = []
    seen: Counter[str] = Counter()  # name → how many the lists before this one have
    number = 0
    for kind in ("attachments", "files", "files_v2"):
        here: Counter[str] = Counter()
        for item in _items(message.get(kind)):
            if not isinstance(item, dict):
                continue
            name = item.get("file_name")
            if isinstance(name, str) and name:
                here[name] += 1
            if not (isinstance(name, str) and here[name] <= seen[name] and name):
                found.append((number, kind, item))
            number += 1
        seen |= here
    return found


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a tool call ended: its result where that is known, and whether it failed; None where the
    export does not say.
    """

    result: Mapping[str, Any] | None
    failed: bool | None


def _outcomes(blocks: Sequence[Mapping[str, Any]]) -> list[_Outcome]:
    """One for each tool call. A result names its call by id; in older exports by the tool's name,
    or by following it. Of several calls that it may belong to none is said.
    """
    calls = [block for block in blocks if block.get("type") == "tool_use"]
    results: dict[int, Mapping[str, Any]] = {}
    waiting: list[int] = []
    unclear: list[tuple[Mapping[str, Any], set[int]]] = []
    at = 0
    for block in blocks:
        if block.get("type") == "tool_use":
            waiting.append(at)
            at += 1
        elif block.get("type") == "tool_result":
            meant = _meant(block, calls, waiting)
            if len(meant) == 1:
                results[meant[0]] = block
                waiting.remove(meant[0])
            elif meant:
                unclear.append((block, set(meant)))
                if sum(one == set(meant) for _, one in unclear) == len(meant):
                    waiting = [at for at in waiting if at not in meant]  # each has one of these
    outcomes = []
    for number in range(len(calls)):
        if number in results:
            failed: bool | None = results[number].get("is_error") is True
        else:
            said = {one.get("is_error") is True for one, meant in unclear if number in meant}
            failed = None if len(said) > 1 or said == {True} else False
        outcomes.append(_Outcome(results.get(number), failed))
    return outcomes


def _meant(
    result: Mapping[str, Any], calls: Sequence[Mapping[str, Any]], waiting: Sequence[int]
) -> list[int]:
    """The calls without a result yet that this one may belong to."""
    for key in ("tool_use_id", "name"):
        wanted = result.get(key)
        found = [at for at in waiting if calls[at].get("id" if key != "name" else key) == wanted]
        if wanted is not None and found:
            return found
    if any(result.get(key) is not None for key in ("tool_use_id", "name")):
        # It names another: it belongs to none of those that could have been named so.
        waiting = [at for at in waiting if calls[at].get("id") is None]
        if result.get("name") is not None:
            waiting = [at for at in waiting if calls[at].get("name") is None]
    return list(waiting)


class _Maker:
    """Makes the records of one conversation."""

    def __init__(self, session_id: str, *, customer: str, tally: Tally) -> None:
        self._session_id = session_id
        self._customer = customer
        self.tally = tally
        self._tag = "cdesk_" + uuid.uuid5(NAMESPACE, json.dumps(["tag", session_id])).hex[:8]

    def event(
        self,
        activity: str,
        key: tuple[object, ...],
        ts: str,
        features: Mapping[str, Any],
        where: str,
    ) -> Iterator[Record]:
        """One record; none, and an entry in the tally, where a value is beyond the contract."""
        name = json.dumps([self._session_id, activity, *key])
        try:
            yield make_event(
                f"cdesk.{activity}",
                features,
                id=str(uuid.uuid5(NAMESPACE, name)),
                ts=ts,
                customer=self._customer,
                session_id=self._session_id,
                query_tag=self._tag,
                source_system="claude_export",
            )
        except InvalidField as error:
            self.tally.leave_out(where, str(error))

    def text(self, text: str) -> str:
        """The text, cut with a marker where a record could not hold it."""
        kept = fit_text(text, MAX_TEXT_BYTES)
        self.tally.cut += kept is not text
        return kept


MOST_BYTES_A_CHARACTER: Final = 6
"""In JSON: a control character, as \\u0000."""


def fit_text(text: str, limit: int) -> str:
    """`text` itself when it takes at most `limit` bytes as JSON in UTF-8 and can be encoded, else
    the longest start that fits (to within an eighth), with a marker that says how long the whole
    was."""
    try:
        if len(text) * MOST_BYTES_A_CHARACTER + 2 <= limit or len(orjson.dumps(text)) <= limit:
            text.encode("utf-8")
            return text
    except (TypeError, UnicodeEncodeError):
        pass
    whole = text.encode("utf-8", "replace").decode("utf-8")
    marker = f" … [cut: {len(text):,} characters in all]"
    room = limit - len(orjson.dumps(marker))
    kept = whole[: max(room, 0)]
    while (taken := len(orjson.dumps(kept))) > room and kept:
        kept = kept[: min(int(len(kept) * room / taken), len(kept) * 7 // 8)]
    return kept + marker if len(kept) < len(whole) else kept


def _file(item: Mapping[str, Any], include_text: bool) -> dict[str, Any]:
    given, size = item.get("file_name"), item.get("file_size")
    name = last_part(given) if isinstance(given, str) else None
    extension = PurePosixPath(name or "").suffix.removeprefix(".").lower()[:16]
    features: dict[str, Any] = {
        "source": "claude_export",
        "kind": _label(item.get("file_type")) or extension or None,
        "bytes": size if _is_size(size) else None,
        "content_length": _length(item.get("extracted_content")),
    }
    if include_text and name is not None:
        features["path"] = fit_text(name, 4 * _MAX_LABEL)
    return features


def last_part(path: str) -> str:
    """The name at the end of a path, of Windows or another system; never where it lies."""
    name = path.rpartition("/")[2]
    if name not in ("", ".") and "\\" not in path:
        return name  # what the libraries say, at a tenth of the time
    windows = "\\" in path or path[1:3] in (":/", ":\\")
    return (PureWindowsPath(path) if windows else PurePosixPath(path)).name


def _with_model(features: dict[str, Any], model: object) -> dict[str, Any]:
    name = _label(model)
    return features | {"model": name} if name else features


def _joined(blocks: Sequence[Mapping[str, Any]], kind: str) -> str:
    texts = (block.get(kind) for block in blocks if block.get("type") == kind)
    return "\n\n".join(text for text in texts if isinstance(text, str) and text)


def _items(value: object) -> list[Any]:
    """A list, or one that is JSON in text; nothing where it is neither."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except ValueError:
            return []
    return value if isinstance(value, list) else []


def _label(value: object) -> str:
    """A short technical name, or an empty text for what is none."""
    return fit_text(value, 4 * _MAX_LABEL)[:_MAX_LABEL] if isinstance(value, str) else ""


def _length(value: object) -> int:
    return len(value) if isinstance(value, str) else 0


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _json_length(value: object) -> int | None:
    """Characters of a value as JSON; None for one nested too deep to say."""
    try:
        return len(json.dumps(value, default=str, ensure_ascii=False))
    except RecursionError:
        return None


def _timestamp(value: object) -> str | None:
    """The contract's form of an RFC 3339 timestamp, or None for what is none."""
    if not isinstance(value, str):
        return None
    try:
        return format_ts(to_ns(parse_ts(value)))
    except (ValueError, OverflowError, OSError):
        return None


def _short(value: object) -> str:
    text = repr(value)
    return "missing" if value is None else text if len(text) <= 40 else text[:39] + "…"
