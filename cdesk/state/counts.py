"""What the processes of a state directory have counted: each keeps its own counts in memory and
hands them over as one small file, `metrics/<id>.json`; whoever is asked sums all of them.

A lock beside each file tells whether its process still lives. The worker folds what dead processes
left into `metrics/ended.json`, so that no count is lost or counted twice and files do not pile up.
Standard library and orjson only: this stands on the turn path.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from cdesk.core.home import StateDirectory, make_private_folder, replacing
from cdesk.core.locks import FileLock, is_held
from cdesk.core.metrics import (
    METRICS,
    MOST_SERIES,
    OTHER,
    RECORDS_QUEUED,
    REDACTIONS,
    Metric,
)

logger = logging.getLogger(__name__)

ENDED: Final = "ended.json"
FOLDED_KEPT: Final = 1_000
"""Names of folded files that are remembered, for readers that have seen such a file just before."""
REDACTION_MARK: Final = b"[secret:"
"""What stands where a credential was taken out (cdesk/contract/redaction)."""
Labels = tuple[str, ...]
_BY_NAME: Final = {metric.name: metric for metric in METRICS}


@dataclass(slots=True)
class Series:
    """A counter's value, or what a histogram has seen: `buckets` counts values up to each bound and
    beyond the last one (not cumulated), `value` is their sum.
    """

    value: float = 0.0
    buckets: list[int] | None = None

    def add(self, other: Series) -> None:
        """Add another's to this one; a histogram of other bounds is left out."""
        if self.buckets is not None:
            if other.buckets is None or len(other.buckets) != len(self.buckets):
                return
            self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.value += other.value


Table = dict[Metric, dict[Labels, Series]]


class Counts:
    """One process's counters and histograms. Safe to use from several threads.

        counts.add(RECORDS_SHED, "75")
        counts.observe(TOOL_CALL_SECONDS, 0.004, "get_context", "stdio")
        counts.flush()      # now and then, off the turn path

    Without a state directory it counts for nobody.
    """

    def __init__(self, home: StateDirectory | None = None, name: str = "") -> None:
        """`name`: 32 hex digits that no other process has."""
        self._folder = home.metrics if home is not None else None
        self._name = name
        self._table: Table = {}
        self._turn = threading.Lock()
        self._file_turn = threading.Lock()
        self._changed = False
        self._lock: FileLock | None = None

    def add(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """Count `by` more; `labels` are values in the order of the metric's."""
        with self._turn:
            self._series(metric, labels).value += by
            self._changed = True

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Put one value into a histogram."""
        with self._turn:
            series = self._series(metric, labels)
            assert series.buckets is not None, f"{metric.name} is no histogram"
            series.buckets[bisect_left(metric.buckets, value)] += 1
            series.value += value
            self._changed = True

    def counter(self, metric: Metric, *labels: str) -> Callable[[float], None]:
        """`add` of one series, for what is counted again and again."""
        series: Series | None = None

        def add(by: float) -> None:
            nonlocal series
            with self._turn:
                if series is None:
                    series = self._series(metric, labels)
                series.value += by
                self._changed = True

        return add

    def timer(
        self, histogram: Metric, labels: Labels, counter: Metric, counted: Labels
    ) -> Callable[[float], None]:
        """`observe` of one series and `add` of another, for what happens again and again."""
        with self._turn:
            seen, often = self._series(histogram, labels), self._series(counter, counted)

        def observe(value: float) -> None:
            with self._turn:
                assert seen.buckets is not None, f"{histogram.name} is no histogram"
                seen.buckets[bisect_left(histogram.buckets, value)] += 1
                seen.value += value
                often.value += 1
                self._changed = True

        return observe

    def _series(self, metric: Metric, labels: Labels) -> Series:
        table = self._table.get(metric)
        if table is None:
            table = self._table[metric] = {}
        series = table.get(labels)
        if series is None:
            assert len(labels) == len(metric.labels), f"{metric.name} takes {metric.labels}"
            if len(table) >= MOST_SERIES:
                labels = (OTHER,) * len(labels)
            series = table.setdefault(labels, empty(metric))
        return series

    def flush(self) -> None:
        """Hand over what has been counted since the last time. A disk that does not take it costs
        nothing: the next one hands over all of it.
        """
        with self._turn:
            if self._folder is None or not self._changed:
                return
            data = encode(self._table)
            self._changed = False
        try:
            with self._file_turn:
                self._write(self._folder, data)
        except OSError as error:
            self._changed = True
            logger.warning("counts put off", extra={"facts": {"reason": error.strerror}})

    def _write(self, folder: Path, data: bytes) -> None:
        if self._lock is None:
            make_private_folder(folder)
            lock = FileLock(folder / f"{self._name}.lock")
            lock.acquire()
            self._lock = lock
        with replacing(folder / f"{self._name}.json", sync=False) as file:
            file.write(data)

    def close(self) -> None:
        """Hand over the rest. From here on the counts are those of a process that has ended."""
        self.flush()
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def counting(counts: Counts, component: str) -> Callable[[bytes], None]:
    """What a queue writer tells of what it has written: how many lines, and what was taken out of
    them.
    """

    queued = counts.counter(RECORDS_QUEUED, component)

    def appended(lines: bytes) -> None:
        queued(lines.count(b"\n"))
        if marks := lines.count(REDACTION_MARK):
            counts.add(REDACTIONS, component, by=marks)

    return appended


def empty(metric: Metric) -> Series:
    """A series of the metric in which nothing has been counted."""
    if metric.kind != "histogram":
        return Series()
    return Series(buckets=[0] * (len(metric.buckets) + 1))


def encode(table: Table, **more: object) -> bytes:
    """The table as JSON: `{"series": [[name, [label, …], value, [bucket, …] or null], …]}`."""
    series = [
        (metric.name, labels, one.value, one.buckets)
        for metric, found in table.items()
        for labels, one in found.items()
    ]
    return orjson.dumps({"series": series, **more})


def decode(document: Any) -> Table:
    """What `encode` wrote. Series that this version does not know, or that are of another form, are
    left out.
    """
    table: Table = {}
    listed = document.get("series") if isinstance(document, dict) else None
    for item in listed if isinstance(listed, list) else ():
        try:
            name, labels, value, buckets = item
            metric = _BY_NAME[name]
            series = Series(
                float(value), None if buckets is None else [int(one) for one in buckets]
            )
            key = tuple(str(label) for label in labels)
        except (KeyError, TypeError, ValueError):
            continue
        if len(key) == len(metric.labels):
            merge(table, {metric: {key: series}})
    return table


def merge(into: Table, other: Table) -> None:
    """Add all series of `other` to those of `into`."""
    for metric, found in other.items():
        mine = into.setdefault(metric, {})
        for labels, series in found.items():
            mine.setdefault(labels, empty(metric)).add(series)


def read_counts(home: StateDirectory) -> Table:
    """The sums over all processes, dead ones included."""
    # The files first: one that is folded meanwhile is named in ended.json and left out.
    files = list(_files(home))
    ended = _read(home.metrics / ENDED)
    folded = frozenset(_names(ended))
    table = decode(ended)
    for path, document in files:
        if path.stem not in folded:
            merge(table, decode(document))
    return table


def fold_ended(home: StateDirectory) -> int:
    """Add what dead processes left to `ended.json` and remove their files; how many. For one
    process at a time, the worker.

    Raises:
        OSError: it cannot be written; the files stay.
    """
    dead = [
        (path, document)
        for path, document in _files(home)
        if not is_held(path.with_suffix(".lock"))
    ]
    if not dead:
        return 0
    target = home.metrics / ENDED
    ended = _read(target)
    folded = _names(ended)
    table = decode(ended)
    for path, document in dead:
        if path.stem not in folded:  # else it was folded before, and could not be removed
            merge(table, decode(document))
    with replacing(target) as file:
        names = dict.fromkeys((*folded, *(path.stem for path, _ in dead)))
        file.write(encode(table, folded=list(names)[-FOLDED_KEPT:]))
    for path, _ in dead:
        for file_of_it in (path, path.with_suffix(".lock")):
            with contextlib.suppress(OSError):
                file_of_it.unlink()
    return len(dead)


def _files(home: StateDirectory) -> Iterable[tuple[Path, Any]]:
    with contextlib.suppress(OSError):
        for path in sorted(home.metrics.glob("*.json")):
            if path.name != ENDED and (document := _read(path)) is not None:
                yield path, document


def _read(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, ValueError):  # gone meanwhile, or damaged: nothing to count
        return None


def _names(ended: Any) -> list[str]:
    names = ended.get("folded") if isinstance(ended, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []
