"""From a queue line to a row of `landing`: a record of the contract lands as its kind, anything else as `quarantine` with its reason.

The contract has one definition, `cdesk.records.parse_line`. Most lines are events as `cdesk.records.encode` writes them, and for
these there is a fast way: decode by a compiled schema, encode again, and take the line when it comes out as it was. That
proves field names, order, types and the absence of doubled keys; what the schema cannot say (depth, sizes, 64-bit integers) is asked in
a way that errs towards the slow check. Whatever the fast way does not take, `parse_line` decides. A property test holds that the fast
way never takes what `parse_line` refuses.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
import orjson

from cdesk.errors import Drift
from cdesk.records import (
    ACTIVITY_PATTERN,
    LINK_PATTERN,
    MAX_CUSTOMER,
    MAX_FEATURE_BYTES,
    MAX_FEATURE_DEPTH,
    MAX_LINE_BYTES,
    MAX_LINK,
    SOURCE_SYSTEM,
    SOURCE_VERSION,
    TAG_PATTERN,
    VERSION,
    parse_line,
)

QUARANTINE: Final = "quarantine"
_ID = r"\A[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z"
_CUSTOMER = Annotated[
    str, msgspec.Meta(min_length=1, max_length=MAX_CUSTOMER, pattern=r"\A[^\x00-\x1f\x7f-\x9f]*\Z")
]


def _whole(pattern: str) -> str:
    """`^…$` as `\\A…\\Z`: `$` would let a line feed pass."""
    return r"\A" + pattern[1:-1] + r"\Z"


class _Event(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event's fields in the order in which they are written."""

    v: Literal[1]
    kind: Literal["event"]
    id: Annotated[str, msgspec.Meta(pattern=_ID)]
    ts: datetime
    customer: _CUSTOMER
    session_id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None
    anonymous_customer_id: _CUSTOMER | None
    activity: Annotated[str, msgspec.Meta(pattern=_whole(ACTIVITY_PATTERN))]
    feature_json: dict[str, Any]
    link: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LINK, pattern=_whole(LINK_PATTERN))] | None
    revenue_impact: float | None
    query_tag: Annotated[str, msgspec.Meta(pattern=_whole(TAG_PATTERN))]
    source_system: Literal["claude_desktop"]
    source_version: Literal["2.0"]


assert (VERSION, SOURCE_SYSTEM, SOURCE_VERSION) == (1, "claude_desktop", "2.0")
_decode = msgspec.json.Decoder(_Event).decode
_encode = msgspec.json.Encoder().encode
_DIGITS = bytes(0x30 if 0x30 <= byte <= 0x39 else byte for byte in range(256))
_LONG_NUMBER = b"0" * 19


def fast_check(line: bytes) -> str | None:
    """The id of a line that is surely an event of the contract; None when `parse_line` has to decide."""
    try:
        event = _decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if (
        _encode(event) != line
        or len(line) > MAX_FEATURE_BYTES // 2
        or line.count(b"{") + line.count(b"[") > MAX_FEATURE_DEPTH
        or _LONG_NUMBER in line.translate(_DIGITS)
    ):
        return None
    return event.id


def check(line: bytes) -> tuple[str, str]:
    """The id and kind of a line that keeps the contract.

    Raises:
        Drift: it does not.
    """
    found = fast_check(line)
    if found is not None:
        return found, "event"
    record = parse_line(line)
    return record["id"], record["kind"]


def quarantine_id(source_file: str, offset: int) -> str:
    """`q-` and the first 32 hex digits of SHA-256 over `source_file:source_offset`."""
    return "q-" + hashlib.sha256(f"{source_file}:{offset}".encode()).hexdigest()[:32]


def quarantine_payload(raw: bytes, reason: str, detail: str) -> bytes:
    """The payload of a quarantined line. `raw` is kept up to the longest line there can be, invalid UTF-8 shown as `\\xff`."""
    text = raw[:MAX_LINE_BYTES].decode("utf-8", "backslashreplace")
    shown = detail.encode("utf-8", "backslashreplace").decode("utf-8")
    return orjson.dumps({"raw": text, "reason": reason, "detail": shown[:1000]})


def overlong(length: int) -> Drift:
    return Drift("too_long", f"{length:,} bytes, at most {MAX_LINE_BYTES:,}")


def torn() -> Drift:
    return Drift("torn", "the writer died or was stopped in the middle of this line")
