"""How capture stands: what it reads, how far it is, and what it could not take in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from uploader.backlog import HistoryBacklog
from uploader.capture_store import CaptureStore, LastRead, Place
from uploader.histories import local_histories
from uploader.sources.protocol import Findings, path_text


@dataclass(frozen=True, slots=True)
class CaptureStatus:
    """folders: those that exist here. sources: files by source; sessions: conversations known.
    behind_bytes: of files, not read yet; backlog_bytes: read, and not in the queue yet. records:
    written by activity; the other counts say what was not. last_read_at: when something new was
    read; error: since when and why looking fails.
    """

    enabled: bool
    include_text: bool
    exclude: Sequence[str]
    folders: Sequence[str]
    files: int
    read_bytes: int
    behind_bytes: int
    backlog_bytes: int
    records: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)
    bad_lines: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    passed_by: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    sessions: int = 0
    last_read_at: str | None = None
    error: str | None = None


def capture_status(settings: Settings, home: StateDirectory) -> CaptureStatus:
    """How it stands now; histories are listed and not read.

    Raises:
        StateDirectoryError: capture.db cannot be read.
    """
    findings = Findings()
    source = local_histories(settings.environ)
    files = list(source.discover(findings))
    counts: dict[str, dict[str, int]] = {}
    places: dict[str, Place] = {}
    sessions, last = 0, LastRead()
    path = home.capture
    if path.exists():
        with closing(CaptureStore(path)) as store:
            places = store.places()
            sessions, last = store.sessions(), store.last_read()
            kinds = ("records", "unknown", "bad_lines", "left_out")
            counts = {kind: store.counts(kind) for kind in kinds}
    behind = 0
    for file in files:
        try:
            length = file.path.stat().st_size
        except OSError:
            continue
        known = places.get(path_text(file.path))
        behind += max(length - (known.read_to if known else 0), 0)
    return CaptureStatus(
        enabled=settings.capture.enabled,
        include_text=settings.capture.include_text,
        exclude=settings.capture.exclude,
        folders=[str(folder) for folder in (*source.code, *source.desktop) if folder.exists()],
        sources=dict(Counter(file.client for file in files)),
        files=len(files),
        sessions=sessions,
        last_read_at=last.at,
        error=last.error,
        read_bytes=sum(place.read_to for place in places.values()),
        behind_bytes=behind,
        backlog_bytes=HistoryBacklog(home).waiting_bytes(),
        unreadable={**last.unreadable, **findings.unreadable},
        passed_by=findings.passed_by,
        **counts,
    )
