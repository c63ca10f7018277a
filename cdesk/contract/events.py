"""Where event records are made: the server's, the executor's, the worker's and an importer's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdesk.contract.records import (
    FIELDS,
    SOURCE_SYSTEM,
    SOURCE_VERSION,
    VERSION,
    Record,
    SourceSystem,
    make_record,
)
from cdesk.contract.vocabulary import check_recordable
from cdesk.core.errors import InvalidField

_EVENT: Final = FIELDS["event"]
_GIVEN: Final = tuple(
    (name, _EVENT[name]) for name in ("activity", "feature_json", "link", "revenue_impact")
)


def check_event(activity: Any, feature_json: Any, link: Any, revenue_impact: Any) -> None:
    """Check an event's own fields, as a caller gave them; the system's activities are none of its.

    Raises:
        InvalidField: a value outside its limits, naming field, problem and what is allowed.
    """
    given = (activity, feature_json, link, revenue_impact)
    for (name, check), value in zip(_GIVEN, given, strict=True):
        try:
            check(value)
            if name == "activity":
                check_recordable(value)
        except ValueError as error:
            raise InvalidField(name, *error.args) from None


def event_record(
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
        "source_system": SOURCE_SYSTEM,
        "source_version": SOURCE_VERSION,
    }


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
