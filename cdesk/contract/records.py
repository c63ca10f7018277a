"""The record contract: how a record is made, written as a line, and read back
(docs/contracts.md).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, get_args

import orjson

from cdesk.contract.redaction import redact_fields
from cdesk.core.checks import CONTROL, check_customer, check_text, fail
from cdesk.core.errors import Drift, InvalidField, shown

Kind = Literal["event", "revision", "insight", "artifact", "query_run"]
Record: TypeAlias = dict[str, Any]

VERSION: Final = 1
SourceSystem = Literal["claude_desktop", "claude_code", "cowork", "claude_export", "import"]
"""Where a record comes from: this server, a history that was brought in, or a file of records."""
SOURCE_SYSTEM: Final[SourceSystem] = "claude_desktop"
SOURCE_VERSION: Final = "2.0"
REDACTED: Final = "[secret:"
"""How a text begins that stands for a credential."""
MAX_LINE_BYTES: Final = 256 * 1024
MAX_FEATURE_BYTES: Final = 64 * 1024
MAX_FEATURE_DEPTH: Final = 32
MAX_LINK: Final = 2_000
MAX_NAME: Final = 255
MAX_VALUE: Final = 4_096
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

ACTIVITY_PATTERN: Final = r"^cdesk\.[a-z][a-z0-9_]{0,63}$"
HASH_PATTERN: Final = r"^[0-9a-f]{16}$"
TAG_PATTERN: Final = r"^cdesk_[0-9a-f]{8}$"
LINK_PATTERN: Final = r"^(https?|s3|cdesk)://[^\s\x00-\x1f\x7f]+$"

_ACTIVITY = re.compile(ACTIVITY_PATTERN[:-1] + r"\Z")
_HASH = re.compile(HASH_PATTERN[:-1] + r"\Z")
_TAG = re.compile(TAG_PATTERN[:-1] + r"\Z")
_LINK = re.compile(LINK_PATTERN[:-1] + r"\Z")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
_TS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")


# -- checks: each takes the value and raises ValueError(problem, allowed)


def _matches(pattern: re.Pattern[str], allowed: str) -> Callable[[object], None]:
    def check(value: object) -> None:
        if not isinstance(value, str) or not pattern.match(value):
            fail(f"{shown(value)} does not match", allowed)

    return check


check_activity_name = _matches(_ACTIVITY, f"text that matches {ACTIVITY_PATTERN}")
_check_hash = _matches(_HASH, "16 lower-case hex digits")
_check_tag = _matches(_TAG, f"text that matches {TAG_PATTERN}")
check_record_id = _matches(_ID, "a UUID in 36 lower-case characters")


def _check_name(value: object) -> None:
    allowed = f"1 to {MAX_NAME} characters, no control characters"
    check_text(value, low=1, high=MAX_NAME, allowed=allowed)
    if CONTROL.search(str(value)):
        fail("holds a control character", allowed)


def _check_ts(value: object) -> None:
    allowed = "a UTC timestamp as 2026-01-31T12:00:00.123456Z"
    if not isinstance(value, str) or not _TS.match(value):
        fail(f"{shown(value)} is none", allowed)
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        fail(f"{shown(value)} is none", allowed)


def _check_number(value: object) -> None:
    allowed = "a finite number, an integer within 64 bits (send larger ones as text)"
    if isinstance(value, bool) or not isinstance(value, int | float):
        fail(f"{shown(value)} is {type(value).__name__}", allowed)
    elif isinstance(value, float) and not math.isfinite(value):
        fail(f"{value} is not finite", allowed)
    elif isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
        fail("an integer beyond 64 bits", allowed)


def _check_count(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= INT64_MAX:
        fail(f"{shown(value)} is none", "an integer of 0 or more")


def _check_bool(value: object) -> None:
    if not isinstance(value, bool):
        fail(f"{shown(value)} is {type(value).__name__}", "true or false")


def _check_link(value: object) -> None:
    allowed = f"an http, https, s3 or cdesk URI of at most {MAX_LINK:,} characters"
    check_text(value, low=1, high=MAX_LINK, allowed=allowed)
    if not _LINK.match(str(value)):
        fail(f"{shown(value)} is none", allowed)


def _check_insight_value(value: object) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        check_text(
            value,
            low=0,
            high=MAX_VALUE,
            allowed=f"text of at most {MAX_VALUE:,} characters, a finite number, a boolean or null",
        )
    elif isinstance(value, int | float):
        _check_number(value)
    else:
        fail(
            f"{type(value).__name__}",
            f"text of at most {MAX_VALUE:,} characters, a finite number, a boolean or null",
        )


def check_feature_json(value: object) -> None:
    """An object of at most 64 KiB as UTF-8 JSON, nested at most 32 deep, its numbers finite and
    within 64 bits.
    """
    allowed = (
        f"an object of at most {MAX_FEATURE_BYTES // 1024} KiB, "
        f"nested at most {MAX_FEATURE_DEPTH} deep"
    )
    if not isinstance(value, dict):
        fail(f"is {type(value).__name__}", allowed)
    level: list[object] = [value]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_FEATURE_DEPTH:
            fail(f"nested more than {MAX_FEATURE_DEPTH} deep", allowed)
        deeper: list[object] = []
        for node in level:
            for item in node.values() if isinstance(node, dict) else node:  # type: ignore[attr-defined]
                if isinstance(item, str):
                    continue
                if isinstance(item, dict | list):
                    deeper.append(item)
                elif isinstance(item, float):
                    if not math.isfinite(item):
                        fail(f"holds {item}", "finite numbers")
                elif isinstance(item, int) and not INT64_MIN <= item <= INT64_MAX:
                    fail(
                        "holds an integer beyond 64 bits",
                        "integers within 64 bits (send larger ones as text)",
                    )
        level = deeper
    try:
        size = len(orjson.dumps(value))
    except (orjson.JSONEncodeError, TypeError) as error:
        fail(f"is no JSON ({error})", allowed)
    else:
        if size > MAX_FEATURE_BYTES:
            fail(f"{size:,} bytes", allowed)


def _check_params(value: object) -> None:
    allowed = "an object as JSON text"
    if not isinstance(value, str):
        fail(f"is {type(value).__name__}", allowed)
        return
    try:
        params = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        fail(f"is no JSON ({error.msg})", allowed)
    else:
        if not isinstance(params, dict):
            fail(f"is {type(params).__name__}", allowed)


def _check_evidence(value: object) -> None:
    allowed = "an array of objects of column, basis, type and values"
    if not isinstance(value, list):
        fail(f"is {type(value).__name__}", allowed)
        return
    for item in value:
        if not isinstance(item, dict) or item.keys() != _EVIDENCE.keys():
            fail(f"holds {shown(item)}", allowed)
        for name, check in _EVIDENCE.items():
            check(item[name])


def _check_texts(value: object) -> None:
    allowed = f"an array of texts of at most {MAX_VALUE:,} characters"
    if not isinstance(value, list):
        fail(f"is {type(value).__name__}", allowed)
        return
    for item in value:
        check_text(item, low=0, high=MAX_VALUE, allowed=allowed)


def _one_of(*names: str) -> Callable[[object], None]:
    def check(value: object) -> None:
        if value not in names:
            fail(f"{shown(value)} is none", ", ".join(names))

    return check


def _or_null(check: Callable[[object], None]) -> Callable[[object], None]:
    def inner(value: object) -> None:
        if value is not None:
            check(value)

    return inner


def _bounded(high: int, *, low: int = 0) -> Callable[[object], None]:
    return lambda value: check_text(
        value, low=low, high=high, allowed=f"{low} to {high:,} characters"
    )


_EVIDENCE: Final[dict[str, Callable[[object], None]]] = {
    "column": _bounded(255, low=1),
    "basis": _one_of("system", "reported"),
    "type": _one_of("number", "text", "boolean"),
    "values": _check_texts,
}

_Checks: TypeAlias = dict[str, Callable[[object], None]]

_ENVELOPE: Final[_Checks] = {
    "v": _check_count,
    "kind": _bounded(16, low=1),
    "id": check_record_id,
    "ts": _check_ts,
    "customer": check_customer,
    "session_id": _or_null(_bounded(255, low=1)),
    "query_tag": _check_tag,
    "source_system": _one_of(*get_args(SourceSystem)),
    "source_version": _one_of(SOURCE_VERSION),
}
_EVENT: Final[_Checks] = _ENVELOPE | {
    "anonymous_customer_id": _or_null(check_customer),
    "activity": check_activity_name,
    "feature_json": check_feature_json,
    "link": _or_null(_check_link),
    "revenue_impact": _or_null(_check_number),
}
FIELDS: Final[dict[str, _Checks]] = {
    "event": _EVENT,
    "revision": _EVENT | {"replaces": check_record_id, "revision": _check_count},
    "insight": _ENVELOPE
    | {
        "subject": _check_name,
        "metric": _check_name,
        "value": _check_insight_value,
        "provenance_query_hash": _or_null(_check_hash),
    },
    "artifact": _ENVELOPE
    | {
        "uri": _bounded(MAX_LINK, low=1),
        "format": _one_of("parquet", "csv", "json"),
        "rows": _check_count,
        "bytes": _check_count,
        "sampled": _check_bool,
        "query_hash": _check_hash,
        "expires_at": _check_ts,
        "legal_hold": _check_bool,
    },
    "query_run": _ENVELOPE
    | {
        "ticket_id": check_record_id,
        "template": _bounded(255, low=1),
        "sql": _bounded(MAX_LINE_BYTES),
        "params": _check_params,
        "query_hash": _check_hash,
        "rows": _check_count,
        "bytes": _check_count,
        "sampled": _check_bool,
        "status": _one_of("succeeded", "failed", "cancelled", "expired"),
        "error_code": _or_null(_bounded(255, low=1)),
        "elapsed_ms": _check_number,
        "as_of": _or_null(_check_ts),
        "artifact_id": _or_null(check_record_id),
        "evidence": _check_evidence,
        "evidence_complete": _check_bool,
    },
}
"""kind → field → check: the whole contract. A record has exactly these fields."""


def proof_hash(sql: str, params: str) -> str:
    """The `query_hash` of a `query_run`: `sql` normalised, `params` canonical JSON text."""
    return hashlib.sha256(f"{sql}\n{params}".encode()).hexdigest()[:16]


def _check_proof(record: Record) -> None:
    """Whether a run's hash is that of the SQL and the parameters that it names.

    Where a credential among the parameters was redacted it can't be told; the warehouse takes such
    a run for no evidence.
    """
    if (
        proof_hash(record["sql"], record["params"]) != record["query_hash"]
        and REDACTED not in record["params"]
    ):
        fail("is not that of sql and params", "the hash of both (docs/contracts.md)")


# -- birth


def make_record(
    kind: Kind,
    *,
    id: str,
    ts: str,
    customer: str,
    session_id: str | None,
    query_tag: str,
    fields: Mapping[str, Any],
    source_system: SourceSystem = SOURCE_SYSTEM,
    is_envelope_known: bool = False,
) -> Record:
    """A whole, checked record of `kind`; `fields` are the kind's own. `is_envelope_known`: what is
    not among them was made, or has been checked, by the caller.

    Raises:
        InvalidField: a value outside its limits, naming field, problem and what is allowed.
    """
    record: Record = {
        "v": VERSION,
        "kind": kind,
        "id": id,
        "ts": ts,
        "customer": customer,
        "session_id": session_id,
        **fields,
        "query_tag": query_tag,
        "source_system": source_system,
        "source_version": SOURCE_VERSION,
    }
    checks = FIELDS[kind]
    if record.keys() != checks.keys():
        odd = sorted(record.keys() ^ checks.keys())
        raise InvalidField(odd[0], "unknown or missing", ", ".join(checks))
    name = ""
    try:
        for name in fields:
            checks[name](record[name])
        if not is_envelope_known:
            for name in ("id", "ts", "customer", "session_id", "query_tag"):
                checks[name](record[name])
    except ValueError as error:
        raise InvalidField(name, *error.args) from None
    return record


def _run(check: Callable[[object], None], name: str, value: object) -> None:
    try:
        check(value)
    except ValueError as error:
        problem, allowed = error.args
        raise InvalidField(name, problem, allowed) from None


WRITTEN_BY_CALLERS: Final[Mapping[str, tuple[str, ...]]] = {
    "event": ("feature_json", "link"),
    "revision": ("feature_json", "link"),
    "insight": ("subject", "metric", "value"),
    "query_run": ("params", "evidence"),
}
"""kind → fields that hold what somebody wrote, and so may hold a credential. A session id does too
where another program made it.
"""
_LEAST_CODE: Final = 1_000
"""Numbers from here on may be a PIN."""


def without_credentials(kind: str, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record, or its own fields alone, with credentials replaced by what they were; the same
    object where there are none.

    Raises:
        InvalidField: a field is beyond its limits with what stands in for a credential.
    """
    given = {name: record[name] for name in WRITTEN_BY_CALLERS.get(kind, ())}
    if not is_own_session(record.get("session_id")):
        given["session_id"] = record["session_id"]
    redacted = redact_fields(given)
    if kind == "insight" and (value := _named_value(record)) is not record["value"]:
        redacted = {**redacted, "value": value}
    if redacted is given:
        return record
    for name in given:
        if redacted[name] is not given[name]:
            _run(FIELDS[kind][name], name, redacted[name])
    return {**record, **redacted}


@lru_cache(maxsize=4_096)
def is_own_session(session_id: str | None) -> bool:
    """Whether a session's id is one as this server gives them, or none."""
    return session_id is None or _ID.match(session_id) is not None


def _named_value(insight: Mapping[str, Any]) -> Any:
    """An insight's value, replaced where its metric or its subject names it as a credential, as a
    key of a document would. A small number is a count of them.
    """
    value = insight["value"]
    if isinstance(value, int | float) and abs(value) < _LEAST_CODE:
        return value
    *_, value = redact_fields({"name": insight["subject"], insight["metric"]: value}).values()
    return value


def encode(record: Record, *, ours: bool = False) -> bytes:
    """The record as one line, `\\n` included, without credentials. `ours`: what callers
    write in records of this kind was made here of ids, names and numbers, or has been looked at.

    Raises:
        InvalidField: the line would be longer than 256 KiB, or holds what JSON cannot carry.
    """
    try:
        if not ours or not is_own_session(record.get("session_id")):
            record = dict(without_credentials(record["kind"], record))
        # What orjson gives occupies 4 KB however short it is; joined it is as long as it says.
        line = orjson.dumps(record) + b"\n"
    except (orjson.JSONEncodeError, TypeError) as error:
        raise InvalidField("record", str(error), "values that JSON can carry") from None
    if len(line) > MAX_LINE_BYTES:
        raise InvalidField(
            "record", f"{len(line):,} bytes", f"at most {MAX_LINE_BYTES:,} bytes a line"
        )
    return line


# -- the way back


def parse_line(line: bytes) -> Record:
    """The record in one line (with or without its line feed).

    Raises:
        Drift: the line is no record of this contract. `reason` is one of `not_utf8`, `not_json`,
        `not_an_object`, `too_long`,
            `newer_version`, `unknown_version`, `unknown_kind`, `missing_field`, `unknown_field`,
            `wrong_value`.
    """
    if len(line) > MAX_LINE_BYTES:
        raise Drift("too_long", f"{len(line):,} bytes, at most {MAX_LINE_BYTES:,}")
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as unicode_error:
            raise Drift("not_utf8", f"byte {unicode_error.start}") from None
        raise Drift("not_json", error.msg) from None
    if not isinstance(record, dict):
        raise Drift("not_an_object", type(record).__name__)
    version = record.get("v")
    if version != VERSION or isinstance(version, bool):
        newer = isinstance(version, int) and version > VERSION
        raise Drift(
            "newer_version" if newer else "unknown_version",
            f"v is {shown(version)}, this reader knows {VERSION}",
        )
    kind = record.get("kind")
    checks = FIELDS.get(kind) if isinstance(kind, str) else None
    if checks is None:
        raise Drift("unknown_kind", f"kind is {shown(kind)}; known: {', '.join(FIELDS)}")
    if record.keys() != checks.keys():
        if missing := sorted(checks.keys() - record.keys()):
            raise Drift("missing_field", ", ".join(missing))
        raise Drift(
            "unknown_field",
            ", ".join(shown(name) for name in sorted(record.keys() - checks.keys())),
        )
    for name, check in checks.items():
        try:
            check(record[name])
        except ValueError as error:
            raise Drift(
                "wrong_value", f"{name}: {error.args[0]}; allowed: {error.args[1]}"
            ) from None
    if kind == "query_run":
        try:
            _check_proof(record)
        except ValueError as error:
            raise Drift(
                "wrong_value", f"query_hash: {error.args[0]}; allowed: {error.args[1]}"
            ) from None
    return record
