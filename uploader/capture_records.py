"""From what is known of an activity to the lines that tell of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson
from msgspec import Struct, field

from cdesk.contract.events import event_line, make_event, make_revision
from cdesk.contract.plain import is_known_plain
from cdesk.contract.records import encode, is_own_session
from cdesk.contract.redaction.document import redact_fields, redact_value
from cdesk.core.checks import check_customer
from cdesk.core.clock import format_ts, to_ns
from cdesk.core.errors import InvalidField
from uploader.capture_store import Known, Row, fact_of, told_content, told_content_of
from uploader.sources.facts import AFTERTHOUGHT, Fact, Ids, Made, digest, made_of

HELD_SECONDS: Final = 60.0
"""How long a tool call waits for its result before it is told without."""
ENDED_SECONDS: Final = 3_600.0
"""A conversation has ended when it has been quiet for so long; it may go on all the same."""


class Told(Struct, array_like=True, gc=False):
    """What is told of one activity: lines, each with its activity and time, and what cannot be."""

    lines: list[tuple[str, str, bytes]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Finished(Struct, array_like=True, gc=False):
    """An activity told by who read of it first, ready to be stored where nothing else is known of
    it.
    """

    row: Row
    told: Told
    request: str | None

    @property
    def is_nameless(self) -> bool:
        """Whether it may be told by another as well, which is to be seen first."""
        return self.row[1].startswith("r:")

    def fact(self) -> Fact:
        """What is known of it."""
        return fact_of(*self.row[:3])


def named_request(fact: Fact) -> str | None:
    """The request of an answer that has an id of its own."""
    return fact.request if fact.key.startswith("m:") else None


class Telling:
    """Makes lines of `customer`'s records, and notes in what is known what they told. `told`: what
    was noted of an id elsewhere (`CaptureStore.told`).
    """

    def __init__(
        self, customer: str, told: Callable[[str], list[Any] | None] = lambda _id: None
    ) -> None:
        try:
            check_customer(customer)
        except ValueError as error:
            raise InvalidField("customer", *error.args) from None
        self._customer = customer
        self._told = told
        self._ids = Ids(customer)

    def finished(self, fact: Fact, *, now: datetime) -> Finished:
        """All that is told of an activity of which nothing else is known; nothing is waited for."""
        known = Known(fact)
        told = self.tell(known, now=now, patient=False)
        return Finished(known.row(), told, named_request(fact))

    def tell(self, known: Known, *, now: datetime, patient: bool) -> Told:
        """What is new of a fact, and when it is to be looked at again."""
        fact, found = known.fact, Told()
        known.due = None
        if fact.activity == "tool_called" and "answered" not in fact.features and patient:
            until = _later(fact.ts.lstrip(AFTERTHOUGHT), HELD_SECONDS)
            if until is not None and until > now:
                known.due = format_ts(to_ns(until))
                return found
        for made in made_of(fact):
            if made.activity == "session_ended":
                until = _later(made.ts, ENDED_SECONDS)
                if until is not None and until > now:
                    known.due = format_ts(to_ns(until))
                    continue
            try:
                line = self.line(known, made)
            except InvalidField as error:
                found.left_out.append(f"{made.activity}: {error}"[:200])
                continue
            if line is not None:
                found.lines.append((made.activity, made.ts, line))
        return found

    def line(self, known: Known, made: Made) -> bytes | None:
        """The line that tells of `made`: an event, a revision of it, or None where it is told.

        Raises:
            InvalidField: a value beyond the contract.
        """
        conversation = _conversation(made.session_id)
        body = orjson.dumps(made.features, option=orjson.OPT_SORT_KEYS)
        content = told_content_of(conversation.as_json, body)
        id_ = self._ids.of(made.name, known.fact.key)
        before = known.made.get(made.name)
        is_noted_anew = before is None
        if before is None:
            before = self._told(id_)
        if before is None:
            line = self._event(id_, made, conversation, body)
            known.made[made.name] = [content, 0, made.ts, made.source_system]
            return line
        known.made[made.name] = before
        if before[0] == content:
            return None
        if is_noted_anew and before[0] in _shown_contents(made):
            before[0] = content
            return None
        revision = int(before[1]) + 1
        original = make_event(
            f"cdesk.{made.activity}",
            made.features,
            id=id_,
            ts=before[2],
            customer=self._customer,
            session_id=made.session_id,
            query_tag=conversation.query_tag,
            source_system=before[3],  # a revision counts for an activity of its own source alone
        )
        line = encode(
            make_revision(original, made.features, revision=revision),
            ours=is_known_plain(made.features),
        )
        known.made[made.name] = [content, revision, *before[2:]]
        return line

    def _event(self, id_: str, made: Made, conversation: _Conversation, body: bytes) -> bytes:
        activity = f"cdesk.{made.activity}"
        is_plain = is_known_plain(made.features)
        # What is short and flat, made here of names and counts, is within the contract.
        if is_plain and conversation.is_sound:
            return event_line(
                activity,
                body,
                id=id_,
                ts=made.ts,
                customer=self._customer,
                session_id=made.session_id,
                query_tag=conversation.query_tag,
                source_system=made.source_system,
            )
        record = make_event(
            activity,
            made.features,
            id=id_,
            ts=made.ts,
            customer=self._customer,
            session_id=made.session_id,
            query_tag=conversation.query_tag,
            source_system=made.source_system,
        )
        return encode(record, ours=is_plain)


def _shown_contents(made: Made) -> set[str]:
    """`told_content` of what was written of a record, and of what Snowflake shows its readers."""
    written = redact_fields([made.session_id, made.features])
    shown = redact_value(written, personal=True)
    return {told_content(*written), told_content(*shown)}


class _Conversation(NamedTuple):
    """What of a session's id stands in each of its records, or is made of it."""

    query_tag: str
    as_json: bytes
    is_sound: bool


@lru_cache(maxsize=4_096)
def _conversation(session_id: str) -> _Conversation:
    tag = "cdesk_" + digest([session_id])[:8]
    return _Conversation(tag, orjson.dumps(session_id), is_own_session(session_id))


def _later(ts: str, seconds: float) -> datetime | None:
    try:
        return datetime.fromisoformat(ts) + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None
