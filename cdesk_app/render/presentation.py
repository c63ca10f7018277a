"""The worker's presenter: an answer gets its headline, the link to its card, and the chart's
picture.

The words are there before the answer is given; the picture is painted after it, in a pause. An
answer that is given again has both already. None of it decides whether there is an answer: what
fails here is logged, and the answer goes out without.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cdesk.artifacts.store import ArtifactStore
from cdesk.core.config import Settings
from cdesk.core.errors import CdeskError
from cdesk.core.home import StateDirectory
from cdesk.query.request import QueryRequest
from cdesk_app.render import start
from cdesk_app.render.painting import PaintingProcess
from cdesk_app.worker.presentation import Presented

if TYPE_CHECKING:
    from cdesk_app.render.chart import Chart

log = logging.getLogger(__name__)

WORDS: Final = ("duckdb", "pyarrow")
KEPT: Final = 200
"""Answers whose words are remembered."""

_Key: TypeAlias = tuple[str, str, str | None, bool]


class CardPresenter:
    """Presents answers of one state directory. Safe to use from several threads.

    starts: whether the renderer is started on demand, as a worker that stays does.
    """

    def __init__(
        self, settings: Settings, home: StateDirectory, store: ArtifactStore, starts: bool
    ) -> None:
        self._settings = settings
        self._home = home
        self._store = store
        self._starts = starts and start.is_ours_to_start(settings)
        self._lock = threading.Lock()
        self._painter = PaintingProcess(settings.environ)
        self._known: OrderedDict[_Key, Chart] = OrderedDict()
        """The charts of the latest answers, without their drawing once that is painted."""

    def present(self, request: QueryRequest, answer: Mapping[str, Any]) -> Presented:
        """The answer with `headline`, `finding`, `alt`, `chart` (its kind) and `card` (url,
        expires_at), as far as they can be had.
        """
        if answer.get("dry_run") or not answer.get("artifact"):
            return Presented(dict(answer))
        key = _key(request, answer)
        chart = self._kept(key) or self._chart(request, answer)
        if chart is not None:
            self._keep(key, chart)
        words = (
            {}
            if chart is None
            else {
                "headline": chart.headline,
                "finding": chart.finding,
                "alt": chart.alt,
                "chart": chart.kind,
            }
        )
        artifact_id = answer["artifact"]["artifact_id"]
        presented = {**answer, **words, "card": self._card(request, artifact_id)}
        if chart is None or chart.spec is None or self._settings.render == "off":
            return Presented(presented)
        paint = functools.partial(
            self._paint, request.caller.customer, artifact_id, key, chart, chart.spec
        )
        return Presented(presented, paint)

    def clean_up(self) -> int:
        """Forget painted charts past their time; how many."""
        from cdesk_app.render.pictures import forget_pictures

        with self._lock:  # what has no picture any more is drawn again
            self._known.clear()
        return forget_pictures(self._home)

    def close(self) -> None:
        """End what paints."""
        self._painter.close()

    def _kept(self, key: _Key) -> Chart | None:
        with self._lock:
            chart = self._known.get(key)
            if chart is not None:
                self._known.move_to_end(key)
            return chart

    def _keep(self, key: _Key, chart: Chart) -> None:
        with self._lock:
            self._known[key] = chart
            while len(self._known) > KEPT:
                self._known.popitem(last=False)

    def _chart(self, request: QueryRequest, answer: Mapping[str, Any]) -> Chart | None:
        if start.missing(WORDS):
            return None
        from cdesk_app.render.charts import chart_of
        from cdesk_app.render.table import Table
        from cdesk_app.render.words import zone_asked

        try:
            table = Table(self._store.source(answer["artifact"]["uri"]))
            trend = answer.get("trend")
            series = Table(self._store.source(trend["uri"])) if trend else None
            zone = zone_asked(request.params, self._settings.zone)
            return chart_of(
                table, request.params, zone, sampled=bool(answer.get("sampled")), series=series
            )
        except CdeskError as error:
            log.warning("an answer has no headline", extra={"facts": {"code": error.code}})
            return None

    def _card(self, request: QueryRequest, artifact_id: str) -> dict[str, str] | None:
        if start.missing() or self._settings.render == "off":
            return None
        try:
            if self._starts:
                start.start(self._settings, self._home)
            link = start.card_link(
                self._settings,
                self._home,
                artifact_id=artifact_id,
                customer=request.caller.customer,
            )
        except (CdeskError, OSError) as error:
            reason = type(error).__name__
            log.warning("an answer has no card", extra={"facts": {"reason": reason}})
            return None
        return asdict(link)

    def _paint(
        self, customer: str, artifact_id: str, key: _Key, chart: Chart, spec: dict[str, Any]
    ) -> None:
        if start.missing():
            return
        from cdesk_app.render.pictures import keep_pictures

        try:
            keep_pictures(self._home, customer, artifact_id, spec, self._painter)
        except (OSError, ValueError) as error:
            reason = type(error).__name__
            log.warning("a chart was not painted", extra={"facts": {"reason": reason}})
        else:
            self._keep(key, replace(chart, spec=None))


def _key(request: QueryRequest, answer: Mapping[str, Any]) -> _Key:
    """What the chart of an answer goes by: the question and what is stored of it."""
    trend = answer.get("trend")
    return (
        request.query_hash,
        answer["artifact"]["uri"],
        trend["uri"] if trend else None,
        bool(answer.get("sampled")),
    )
