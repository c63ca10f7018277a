"""The sources of this computer, or of a folder that somebody names, put together."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from cdesk.contract.records import Record
from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from uploader.backlog import BacklogWriter
from uploader.capture import Capture, Look
from uploader.capture_pool import LEAST_BYTES, OneReader, Readers, ReadingPool, processors
from uploader.capture_store import CaptureStore
from uploader.sources import claude_desktop, cowork
from uploader.sources.claude_code import NO_SESSIONS, ClaudeCode
from uploader.sources.cowork import Cowork
from uploader.sources.folders import files_under
from uploader.sources.places import platform_places
from uploader.sources.protocol import Findings, HistoryFile, Source

_DEEPEST: Final = 6
_AT_ONCE: Final = 20_000
_PATIENCE: Final = 10.0
_LOOKED_AT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Histories:
    """All sources as one, which looks at Claude Desktop's descriptions each time anew."""

    code: tuple[Path, ...]
    desktop: tuple[Path, ...]
    name: str = "all"

    def discover(self, findings: Findings) -> Iterator[HistoryFile]:
        titles = claude_desktop.code_tab_titles(*self.desktop, findings=findings)
        sources: list[Source] = [ClaudeCode(*self.code, titles=titles), Cowork(*self.desktop)]
        for source in sources:
            yield from source.discover(findings)


def local_histories(environ: Mapping[str, str]) -> Histories:
    """Those of this computer."""
    places = platform_places(environ)
    return Histories(places.code, places.desktop)


@dataclass(frozen=True, slots=True)
class OneFile:
    """A transcript by itself."""

    path: Path
    name: str = "file"

    def discover(self, findings: Findings) -> Iterator[HistoryFile]:
        del findings
        is_audit = self.path.name == "audit.jsonl"
        system, client = ("cowork", "cowork") if is_audit else ("claude_code", "claude_code")
        yield HistoryFile(self.path, system, client, audit=is_audit)  # type: ignore[arg-type]


def histories_in(path: Path) -> Histories | OneFile | None:
    """The sources that a folder holds, at whatever depth, or that a file is; None where it holds
    none.
    """
    if path.is_file():
        return OneFile(path) if is_transcript(path) else None
    desktop = _holders(path, (claude_desktop.FOLDER, cowork.FOLDER))
    skip = NO_SESSIONS | {cowork.FOLDER}
    found = next(files_under(path, Findings(), suffix=".jsonl", skip=skip), None)
    if not desktop and found is None:
        return None
    return Histories((path,), tuple(desktop))


def _holders(path: Path, names: Sequence[str]) -> list[Path]:
    """Folders that hold one of these folders; the path itself may be one of them, or lie in one."""
    if path.name in names:
        return [path.parent]
    found: list[Path] = []
    level = [path]
    for _ in range(_DEEPEST):
        deeper: list[Path] = []
        for folder in level:
            try:
                inside = [entry for entry in folder.iterdir() if entry.is_dir()]
            except OSError:
                continue
            if any(entry.name in names for entry in inside):
                found.append(folder)
            deeper += [
                entry for entry in inside if entry.name not in names and not entry.is_symlink()
            ]
        level = deeper
    return found


@dataclass(frozen=True, slots=True)
class FolderReport:
    """What `import_histories` did. `records` counts what was new by activity, revisions of earlier
    ones included; `left_out` and `unknown` say what is not in the stream, and why.
    """

    files: int
    records: Mapping[str, int]
    first_ts: str | None
    last_ts: str | None
    unknown: Mapping[str, int]
    bad_lines: Mapping[str, int]
    left_out: Mapping[str, int]
    unreadable: Mapping[str, str]
    passed_by: Mapping[str, str]

    @property
    def added(self) -> int:
        return sum(self.records.values())


def import_histories(
    source: Histories | OneFile,
    *,
    home: StateDirectory,
    customer: str,
    include_text: bool = False,
    exclude: Sequence[str] = (),
    earlier: Callable[[], Iterable[Record]] = tuple,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> FolderReport:
    """Bring in what the files of `source` hold, through the backlog; nothing comes in twice,
    whatever was brought in before and from where.

    Raises:
        StateDirectoryError: another look is under way, or what is known can't be kept.
        QueueWriteError: a line could not be stored; what was stored before stays.
    """
    unknown: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    records: Counter[str] = Counter()
    files, first, last = 0, None, None
    with (
        reading_alone(home),
        closing(CaptureStore(home.capture)) as store,
        closing(BacklogWriter(home)) as writer,
        _without_looking_for_cycles(),
    ):
        store.note_keys()
        capture = Capture(
            store,
            [source],
            customer=customer,
            include_text=include_text,
            exclude=exclude,
            earlier=earlier,
        )
        found = capture.discover()
        total = sum(_size(file.path) for file in found)
        done = 0

        def told(size: int) -> None:
            nonlocal done
            done += size
            progress(min(done, total), total)

        for look in _looks(capture, found, writer.write, told):
            files += look.files
            records.update(look.records)
            left_out.update(look.left_out)
            unknown.update(look.unknown)
            bad.update(look.bad_lines)
            first = min(filter(None, (first, look.first_ts)), default=None)
            last = max(filter(None, (last, look.last_ts)), default=None)
        unreadable = dict(capture.findings.unreadable)
        passed_by = dict(capture.findings.passed_by)
    return FolderReport(
        files, dict(records.most_common()), first, last, dict(unknown), dict(bad), dict(left_out),
        unreadable, passed_by,
    )  # fmt: skip


@contextmanager
def reading_alone(home: StateDirectory, *, patience: float = _PATIENCE) -> Iterator[None]:
    """Nobody else reads histories during the block: no follower, and no import.

    Raises:
        StateDirectoryError: somebody still does after `patience` seconds.
    """
    lock = FileLock(home.root / "capture.lock")
    deadline = time.monotonic() + patience
    while not lock.acquire():
        if time.monotonic() > deadline:
            raise StateDirectoryError("histories are being read just now; try again in a moment")
        time.sleep(0.1)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _without_looking_for_cycles() -> Iterator[None]:
    """What reading makes refers to nothing that refers back; looking for that takes a tenth."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _looks(
    capture: Capture,
    files: Sequence[HistoryFile],
    write: Callable[[Sequence[bytes]], None],
    told: Callable[[int], None],
) -> Iterator[Look]:
    """Look until everything is read, with several processes where there is much of it."""
    is_much = processors() > 1 and capture.behind(files) >= LEAST_BYTES
    readers: Readers = ReadingPool() if is_much else OneReader()
    yield from capture.look_with(readers, files, write=write, most_records=_AT_ONCE, told=told)
    more = True
    while more:
        look = capture.look(files, write=write, most_records=_AT_ONCE, told=told, patient=False)
        more = look.more
        yield look


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def is_transcript(path: Path) -> bool:
    """Whether a file's first line that is one looks like a transcript's, and not like a record of
    ours.
    """
    try:
        with path.open("rb") as file:
            for _ in range(5):
                line = file.readline(_LOOKED_AT * 64)
                if not line.strip():
                    continue
                value = orjson.loads(line)
                return isinstance(value, dict) and "type" in value and "v" not in value
    except (OSError, ValueError):
        return False
    return False
