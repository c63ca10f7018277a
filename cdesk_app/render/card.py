"""What a card shows of one stored result: from state.db, the catalog, and the file itself."""

from __future__ import annotations

import hmac
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from threading import Lock, local
from typing import Any, Final

import orjson

from cdesk.artifacts.ranges import Source
from cdesk.artifacts.records import Artifact, get_artifact
from cdesk.artifacts.store import ArtifactStore
from cdesk.core.clock import NowNs, format_ts
from cdesk.core.errors import (
    ArtifactUnreadable,
    CatalogError,
    CdeskError,
    NotFound,
    StateDirectoryError,
)
from cdesk.core.home import StateDirectory
from cdesk.core.identity import customer_key
from cdesk.state.catalog import open_catalog
from cdesk.state.database import open_state, require_known_version
from cdesk_app.render.chart import Chart
from cdesk_app.render.charts import chart_of
from cdesk_app.render.links import Grant
from cdesk_app.render.table import Table
from cdesk_app.render.words import cell, moment, plural, shown_text, title, zone_asked

KEPT: Final = 64


class Gone(CdeskError):
    """A result that was there: past its retention, or its file removed."""

    code = "gone"


@dataclass(frozen=True, slots=True)
class Card:
    """One stored result, opened. `answer` is what get_result answered, empty where that is
    forgotten.
    """

    artifact: Artifact
    table: Table
    answer: Mapping[str, Any]
    params: Mapping[str, Any]
    template: str | None
    description: str | None
    asked_at: str | None
    finished_at: str | None

    @property
    def artifact_id(self) -> str:
        return self.artifact.artifact_id

    def preview(self, zone: tzinfo) -> list[list[str | None]]:
        """The first rows as the page shows them; none where the answer is forgotten."""
        kinds = [column.type for column in self.table.columns]
        rows = self.answer.get("rows") or []
        if any(len(row) != len(kinds) for row in rows):
            return []
        return [[cell(v, k, zone) for v, k in zip(row, kinds, strict=True)] for row in rows]

    def asked(self) -> list[tuple[str, str]]:
        """The parameters of the question, in words."""
        return [
            (
                title(name),
                ", ".join(map(str, value))
                if isinstance(value, list)
                else shown_text(str(value), limit=200),
            )
            for name, value in self.params.items()
            if value is not None
        ]

    def _basis(self) -> str | None:
        """Whether the figures come from what the system recorded or from what was reported."""
        found = {column.get("basis") for column in self.answer.get("columns") or []} - {None}
        return " and ".join(sorted(map(str, found))) or None

    def sampling_note(self) -> str | None:
        note = self.answer.get("sampling_note")
        if not self.artifact.sampled and not note:
            return None
        text = str(note) if note else f"a sample of {plural(self.artifact.rows, 'row')}"
        return text[:1].upper() + text[1:]

    def provenance(self, zone: tzinfo) -> list[tuple[str, str]]:
        """Where the figures come from."""
        answer, artifact = self.answer, self.artifact
        rows = answer.get("row_count", artifact.rows)
        trend = answer.get("trend")
        pairs = (
            ("template", self.template),
            ("query_hash", artifact.query_hash),
            ("query_tag", answer.get("query_tag")),
            ("as of", moment(answer["as_of"], zone) if answer.get("as_of") else None),
            ("asked by", artifact.customer),
            ("stored", moment(artifact.created_at, zone)),
            ("kept until", "on hold" if artifact.legal_hold else moment(artifact.expires_at, zone)),
            ("rows", f"{rows:,}"),
            ("trend", f"by {trend['period']}, {trend['query_hash']}" if trend else None),
            ("basis", self._basis()),
            ("artifact", artifact.artifact_id),
        )
        return [(name, str(value)) for name, value in pairs if value is not None]


class Cards:
    """Opens the cards of one state directory; charts made lately are kept. For several threads."""

    def __init__(
        self,
        home: StateDirectory,
        store: ArtifactStore,
        zone: tzinfo,
        *,
        now_ns: NowNs = time.time_ns,
    ) -> None:
        self._home = home
        self._catalog = open_catalog(home)
        self._store = store
        self._zone = zone
        self._now_ns = now_ns
        self._charts: OrderedDict[str, Chart] = OrderedDict()
        self._tables: OrderedDict[tuple[str, str, int], Table] = OrderedDict()
        self._threads = local()
        self._lock = Lock()

    def open(self, artifact_id: str, grant: Grant) -> Card:
        """The card that `grant` is for.

        Raises:
            NotFound: there is no such result for this link's customer.
            Gone: it is past its retention, or its file is gone.
            ArtifactUnreadable: its file is damaged. StateDirectoryError: state.db is unusable.
        """
        with self._reading() as state:
            artifact = self._artifact(state, artifact_id, grant)
            answer, params, asked_at, finished_at = _answer(state, artifact)
        if artifact.expires_at <= format_ts(self._now_ns()) and not artifact.legal_hold:
            raise Gone(f"it was kept until {artifact.expires_at}; run its query again")
        template = answer.get("template")
        return Card(
            artifact=artifact,
            table=self._table(self._source(artifact)),
            answer=answer,
            params=params,
            template=template,
            description=self._description(template),
            asked_at=asked_at,
            finished_at=finished_at,
        )

    def chart(self, card: Card) -> Chart:
        """The card's chart, made once.

        Raises:
            ArtifactUnreadable, QueryTimedOut: as chart_of.
        """
        if (known := self.known_chart(card)) is not None:
            return known
        zone = zone_asked(card.params, self._zone)
        made = chart_of(
            card.table,
            card.params,
            zone,
            sampled=card.artifact.sampled,
            series=self._series(card),
        )
        with self._lock:
            self._charts[card.artifact_id] = made
            while len(self._charts) > KEPT:
                self._charts.popitem(last=False)
        return made

    def _series(self, card: Card) -> Table | None:
        """The stored result over time that stands behind one value; None where it is gone."""
        if not (trend := card.answer.get("trend")):
            return None
        try:
            with self._reading() as state:
                customer = card.artifact.customer
                artifact = get_artifact(state, trend["artifact_id"], customer=customer)
            return self._table(self._store.source(artifact.uri))
        except (NotFound, ArtifactUnreadable):
            return None

    def path(self, card: Card) -> Path:
        """The whole result as a local file, fetched where it lies elsewhere."""
        return self._store.path(card.artifact.uri)

    def download_url(self, card: Card, filename: str) -> str | None:
        """Where the store itself hands the file out; None where it does not."""
        return self._store.download_url(card.artifact.uri, filename=filename)

    def known_chart(self, card: Card) -> Chart | None:
        """The chart where it was made already."""
        with self._lock:
            return self._charts.get(card.artifact_id)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to state.db, kept for this thread as long as the file is the same."""
        path = self._home.state_db
        kept: tuple[int, sqlite3.Connection] | None = getattr(self._threads, "state", None)
        file = path.stat().st_ino if path.exists() else None
        if kept is None or kept[0] != file:
            self._threads.state = kept = None
            connection = open_state(path)
            self._threads.state = kept = (path.stat().st_ino, connection)
        try:
            require_known_version(kept[1])
            yield kept[1]
        except sqlite3.Error as error:
            self._threads.state = None
            kept[1].close()
            raise StateDirectoryError(f"{path} cannot be read ({error})") from None

    def _source(self, artifact: Artifact) -> Source:
        """Where the result is read; a bucket is asked once."""
        gone = Gone("its file was removed; run its query again with --fresh")
        try:
            source = self._store.source(artifact.uri)
        except NotFound:
            raise gone from None
        if isinstance(source, Path) and not source.is_file():
            raise gone
        return source

    def _table(self, source: Source) -> Table:
        """The table of a file, whose footer is read again only when the file has changed."""
        if isinstance(source, bytes):
            return Table(source)
        if isinstance(source, Path):
            try:
                status = source.stat()
            except OSError:
                return Table(source)
            key = (str(source), str(status.st_mtime_ns), status.st_size)
        else:
            key = (source.name, source.version, source.size)
        with self._lock:
            if (known := self._tables.get(key)) is not None:
                self._tables.move_to_end(key)
                return known
        table = Table(source)
        with self._lock:
            self._tables[key] = table
            while len(self._tables) > KEPT:
                self._tables.popitem(last=False)
        return table

    def _artifact(self, state: sqlite3.Connection, artifact_id: str, grant: Grant) -> Artifact:
        row = state.execute(
            "select customer from artifacts where artifact_id = ?", (artifact_id,)
        ).fetchone()
        key = customer_key(row[0]) if row else ""
        if not hmac.compare_digest(key.encode(), grant.customer_key.encode()):
            raise NotFound("there is no such result; run its query again")
        return get_artifact(state, artifact_id, customer=row[0])

    def _description(self, template: str | None) -> str | None:
        if template is None:
            return None
        try:
            found = self._catalog.get().templates.get(template)
        except CatalogError:
            return None
        return found.description if found else None


_SHOWN: Final[Mapping[str, type]] = {
    **dict.fromkeys(
        (
            *("template", "query_hash", "query_tag", "as_of", "sampling_note"),
            *("headline", "finding", "alt"),
        ),
        str,
    ),
    "row_count": int,
    "params": dict,
    "trend": dict,
    "columns": list,
    "rows": list,
}
"""What a card shows of an answer, and what it is."""


def _understood(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of an answer that are what this version knows them as: another may have left it."""
    known = {name: answer[name] for name, kind in _SHOWN.items() if type(answer.get(name)) is kind}
    for name, kind in (("columns", dict), ("rows", list)):
        if not all(isinstance(one, kind) for one in known.get(name, ())):
            del known[name]
    trend = known.get("trend")
    if trend and not all(isinstance(trend.get(one), str) for one in _TREND):
        del known["trend"]
    return known


_TREND: Final = ("period", "query_hash", "artifact_id")


def _answer(
    state: sqlite3.Connection, artifact: Artifact
) -> tuple[dict[str, Any], dict[str, Any], str | None, str | None]:
    """The answer that the artifact belongs to, its parameters, when it was asked and answered."""
    ticket = state.execute(
        "select params, submitted_at, finished_at, result from tickets where customer = ? and "
        "query_hash = ? "
        "and json_extract(result, '$.artifact.artifact_id') = ? order by finished_at limit 1",
        (artifact.customer, artifact.query_hash, artifact.artifact_id),
    ).fetchone()
    kept = state.execute(
        "select result, finished_at from query_runs where customer = ? and query_hash = ? "
        "and json_extract(result, '$.artifact.artifact_id') = ?",
        (artifact.customer, artifact.query_hash, artifact.artifact_id),
    ).fetchone()
    answer = _understood(
        {
            **(orjson.loads(kept[0]) if kept else {}),
            **(orjson.loads(ticket[3]) if ticket else {}),
        }
    )
    params = answer.get("params") or (orjson.loads(ticket[0]) if ticket else {})
    return (
        answer,
        params,
        ticket[1] if ticket else None,
        ticket[2] if ticket else (kept[1] if kept else None),
    )
