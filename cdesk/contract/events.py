"""Where event records are made: the server's, the executor's, the worker's and an importer's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import orjson

from cdesk.contract.activity_features import ACTIVITY_FEATURES, FeatureType
from cdesk.contract.records import (
    FIELDS,
    SOURCE_SYSTEM,
    SOURCE_VERSION,
    VERSION,
    Record,
    SourceSystem,
    check_activity_name,
    check_feature_json,
    make_record,
)
from cdesk.contract.vocabulary import check_recordable
from cdesk.core.errors import InvalidField, shown

_EVENT: Final = FIELDS["event"]
_REVISIONS: Final = "3f1d7f0e-52a5-5d0c-8f0b-6b7f3c1f9a61"
"""The namespace of revisions' ids."""


PYTHON_TYPES: Final[dict[FeatureType, tuple[type, ...]]] = {
    "string": (str, type(None)),
    "integer": (int, type(None)),
    "number": (float, int, type(None)),
    "boolean": (bool, type(None)),
    "object": (dict, type(None)),
}
"""Declared type → what a value may be, to the letter (a boolean is no integer)."""
_JSON_TYPES: Final = {
    str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array",
}  # fmt: skip


def check_features(activity: str, feature_json: Mapping[str, Any]) -> None:
    """Check the keys that an activity declares (docs/feature_json.md); others are free, and any
    may be missing or null.

    Raises:
        InvalidField: a value of another type, naming key, value, its type and the one that is
        declared.
    """
    declared = ACTIVITY_FEATURES.get(activity)
    if declared is None:
        return
    for key, value in feature_json.items():
        kind = declared.get(key)
        if kind is not None and type(value) not in PYTHON_TYPES[kind]:
            raise InvalidField(
                f"feature_json.{key}",
                f"{shown(value)} is of type {_JSON_TYPES.get(type(value), type(value).__name__)}",
                f"a value of type {kind} ({activity} declares it), or leave it out",
            )


def check_event(activity: Any, feature_json: Any, link: Any, revenue_impact: Any) -> None:
    """Check an event's own fields, as a caller gave them; the system's activities are none of its.

    Raises:
        InvalidField: a value outside its limits, naming field, problem and what is allowed.
    """
    name = "activity"
    try:
        check_activity_name(activity)
        check_recordable(activity)
        name = "feature_json"
        check_feature_json(feature_json)
        for name, value in (("link", link), ("revenue_impact", revenue_impact)):
            if value is not None:
                _EVENT[name](value)
    except ValueError as error:
        raise InvalidField(name, *error.args) from None
    check_features(activity, feature_json)


def event_record(
    activity: str,
    feature_json: Mapping[str, Any] | orjson.Fragment,
    *,
    id: str,
    ts: str,
    customer: str,
    session_id: str | None,
    query_tag: str,
    link: str | None = None,
    revenue_impact: float | None = None,
    source_system: SourceSystem = SOURCE_SYSTEM,
) -> Record:
    """A whole event record of values that are known to be good: nothing is checked (the turn path
    checks what a caller gave with `check_event`, and makes the rest itself).
    """
    return {
        "v": VERSION,
        "kind": "event",
        "id": id,
        "ts": ts,
        "customer": customer,
        "session_id": session_id,
        "anonymous_customer_id": None,
        "activity": activity,
        "feature_json": feature_json,
        "link": link,
        "revenue_impact": revenue_impact,
        "query_tag": query_tag,
        "source_system": source_system,
        "source_version": SOURCE_VERSION,
    }


def event_line(
    activity: str,
    features: bytes,
    *,
    id: str,
    ts: str,
    customer: str,
    session_id: str | None,
    query_tag: str,
    source_system: SourceSystem,
) -> bytes:
    """The line of `event_record`, of `features` that are JSON already and hold nothing to redact:
    most of it is the same from one event of a session to the next.
    """
    begin, end = _around(activity, customer, session_id, query_tag, source_system)
    return b'%b%b","ts":"%b",%b%b%b' % (_BEGIN, id.encode(), ts.encode(), begin, features, end)


_BEGIN: Final = orjson.dumps({"v": VERSION, "kind": "event"})[:-1] + b',"id":"'


@lru_cache(maxsize=4_096)
def _around(
    activity: str,
    customer: str,
    session_id: str | None,
    query_tag: str,
    source_system: SourceSystem,
) -> tuple[bytes, bytes]:
    """What stands before and behind the features of an event, but for its id and time."""
    record = event_record(
        activity, {}, id="", ts="", customer=customer, session_id=session_id, query_tag=query_tag,
        source_system=source_system,
    )  # fmt: skip
    names = list(record)
    place = names.index("feature_json")
    before = orjson.dumps({name: record[name] for name in names[4:place]})
    behind = orjson.dumps({name: record[name] for name in names[place + 1 :]})
    return before[1:-1] + b',"feature_json":', b"," + behind[1:] + b"\n"


def make_event(
    activity: str,
    feature_json: Mapping[str, Any],
    *,
    id: str,
    ts: str,
    customer: str,
    session_id: str | None,
    query_tag: str,
    link: str | None = None,
    revenue_impact: float | None = None,
    source_system: SourceSystem = SOURCE_SYSTEM,
) -> Record:
    """A whole event record, every field checked. `source_system` says where it comes from.

    Raises:
        InvalidField: a value outside its limits, naming field, problem and what is allowed.
    """
    return make_record(
        "event",
        id=id,
        ts=ts,
        customer=customer,
        session_id=session_id,
        query_tag=query_tag,
        source_system=source_system,
        fields={
            "anonymous_customer_id": None,
            "activity": activity,
            "feature_json": feature_json,
            "link": link,
            "revenue_impact": revenue_impact,
        },
    )


def make_revision(
    event: Record,
    feature_json: Mapping[str, Any],
    *,
    revision: int,
    session_id: str | None = None,
) -> Record:
    """What a source has learnt of an `event` that it brought in before: the whole row anew, with
    another `feature_json` (and `session_id`, where given), under the event's customer, activity and
    ts.

    `revision` counts from 1; of several the highest counts, however they arrive. The id follows
    from the content, so that the same revision made again is the same record.

    Raises:
        InvalidField: a value outside its limits, naming field, problem and what is allowed.
    """
    import uuid  # not before there is a revision: a start of the server costs less

    said = orjson.dumps(
        [event["id"], revision, feature_json, session_id], option=orjson.OPT_SORT_KEYS
    )
    own = {
        name: event[name]
        for name in ("anonymous_customer_id", "activity", "link", "revenue_impact")
    }
    return make_record(
        "revision",
        id=str(uuid.uuid5(uuid.UUID(_REVISIONS), said.decode())),
        ts=event["ts"],
        customer=event["customer"],
        session_id=session_id or event["session_id"],
        query_tag=event["query_tag"],
        source_system=event["source_system"],
        fields={
            **own,
            "feature_json": feature_json,
            "replaces": event["id"],
            "revision": revision,
        },
    )
