"""From what is known of an activity to the lines that tell of it."""

from __future__ import annotations

from functools import lru_cache

from cdesk.contract.events import event_record, make_event, make_revision
from cdesk.contract.plain import is_known_plain
from cdesk.contract.records import encode
from cdesk.core.checks import check_customer
from cdesk.core.errors import InvalidField
from uploader.capture_store import CaptureStore, Known, told_content
from uploader.sources.facts import Ids, Made, digest


class Telling:
    """Makes lines of `customer`'s records, and notes in what is known what they told."""

    def __init__(self, customer: str, store: CaptureStore) -> None:
        try:
            check_customer(customer)
        except ValueError as error:
            raise InvalidField("customer", *error.args) from None
        self._customer = customer
        self._store = store
        self._ids = Ids(customer)

    def line(self, known: Known, made: Made) -> bytes | None:
        """The line that tells of `made`: an event, a revision of it, or None where it is told.

        Raises:
            InvalidField: a value beyond the contract.
        """
        content = told_content(made.session_id, made.features)
        id_ = self._ids.of(made.name, known.fact.key)
        before = known.made.get(made.name) or self._store.told(id_)
        if before is None:
            line = self._event(id_, made)
            known.made[made.name] = [content, 0, made.ts, made.source_system]
            return line
        known.made[made.name] = before
        if before[0] == content:
            return None
        revision = int(before[1]) + 1
        original = make_event(
            f"cdesk.{made.activity}",
            made.features,
            id=id_,
            ts=before[2],
            customer=self._customer,
            session_id=made.session_id,
            query_tag=_query_tag(made.session_id),
            source_system=before[3],  # a revision counts for an activity of its own source alone
        )
        line = encode(
            make_revision(original, made.features, revision=revision),
            ours=is_known_plain(made.features),
        )
        known.made[made.name] = [content, revision, *before[2:]]
        return line

    def _event(self, id_: str, made: Made) -> bytes:
        is_plain = is_known_plain(made.features)
        # What is short and flat, made here of names and counts, is within the contract.
        make = event_record if is_plain and _is_sound(made.session_id) else make_event
        record = make(
            f"cdesk.{made.activity}",
            made.features,
            id=id_,
            ts=made.ts,
            customer=self._customer,
            session_id=made.session_id,
            query_tag=_query_tag(made.session_id),
            source_system=made.source_system,
        )
        return encode(record, ours=is_plain)


@lru_cache(maxsize=4_096)
def _query_tag(session_id: str) -> str:
    return "cdesk_" + digest([session_id])[:8]


def _is_sound(session_id: str) -> bool:
    return 0 < len(session_id) <= 255
