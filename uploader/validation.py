"""From a queue line to a row of `landing`: a record of the contract lands as its kind, anything
else as `quarantine` with its reason.

The contract has one definition, `cdesk.contract.records.parse_line`. Nearly all lines are events as
`cdesk.contract.records.encode` writes them, and these have a fast way: one pattern over the whole
line, field by field in the order of writing, and for `feature_json` decoding and encoding again,
which must give the same bytes (so no key stands twice). Where the pattern is narrower than the
contract, that is on purpose: whatever it does not take, `parse_line` decides. A property test holds
that the fast way never takes what `parse_line` refuses.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Final

import msgspec
import orjson

from cdesk.contract.records import (
    INT64_MAX,
    INT64_MIN,
    MAX_FEATURE_BYTES,
    MAX_FEATURE_DEPTH,
    MAX_LINE_BYTES,
    parse_line,
)
from cdesk.core.errors import Drift

QUARANTINE: Final = "quarantine"

_TEXT = r"[ !#-\[\]-~]"  # ASCII that JSON writes as it is
_DAY = (
    r"[12]\d{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_EVENT = re.compile(
    (
        r'\{"v":1,"kind":"event",'
        r'"id":"([0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})",'
        rf'"ts":"{_DAY}T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{{6}}Z",'
        rf'"customer":"{_TEXT}{{1,255}}",'
        rf'"session_id":(?:null|"{_TEXT}{{1,255}}"),'
        rf'"anonymous_customer_id":(?:null|"{_TEXT}{{1,255}}"),'
        r'"activity":"cdesk\.[a-z][a-z0-9_]{0,63}",'
        r'"feature_json":(\{.*\}),'
        r'"link":(?:null|"(?:https?|s3|cdesk)://[!#-\[\]-~]{1,1990}"),'
        r'"revenue_impact":(?:null|-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?),'
        r'"query_tag":"cdesk_[0-9a-f]{8}",'
        r'"source_system":"(?:claude_desktop|claude_code|cowork|claude_export|import)","source_version":"2\.0"\}'
    ).encode("ascii")
).fullmatch
_Integer = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
_decode_flat = msgspec.json.Decoder(dict[str, str | _Integer | float | bool | None]).decode
_decode_any = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_MOST_FEATURES: Final = (
    MAX_FEATURE_BYTES // 2
)  # numbers may be written a little longer or shorter by another encoder
_DIGITS = bytes(0x30 if 0x30 <= byte <= 0x39 else byte for byte in range(256))
_LONG_NUMBER = b"0" * 19


def fast_check(line: bytes) -> str | None:
    """The id of a line that is surely an event of the contract; None when `parse_line` has to
    decide.
    """
    match = _EVENT(line)
    if match is None:
        return None
    id, features = match.groups()
    if len(features) > _MOST_FEATURES:
        return None
    try:
        same = _encode(_decode_flat(features)) == features
    except (msgspec.MsgspecError, UnicodeDecodeError):
        same = _is_sound(features)
    return id.decode("ascii") if same else None


def _is_sound(features: bytes) -> bool:
    """Whether nested features surely keep the contract: shallow, no integer near 64 bits, no
    doubled key.
    """
    if features.count(b"{") + features.count(
        b"["
    ) > MAX_FEATURE_DEPTH or _LONG_NUMBER in features.translate(_DIGITS):
        return False
    try:
        return _encode(_decode_any(features)) == features
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


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
    """The payload of a quarantined line. `raw` is kept up to the longest line there can be, invalid
    UTF-8 shown as `\\xff`.
    """
    text = raw[:MAX_LINE_BYTES].decode("utf-8", "backslashreplace")
    shown = detail.encode("utf-8", "backslashreplace").decode("utf-8")
    return orjson.dumps({"raw": text, "reason": reason, "detail": shown[:1000]})


def overlong(length: int) -> Drift:
    return Drift("too_long", f"{length:,} bytes, at most {MAX_LINE_BYTES:,}")


def torn() -> Drift:
    return Drift("torn", "the writer died or was stopped in the middle of this line")
