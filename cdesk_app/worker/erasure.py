"""Erasing a customer: everything that is kept of them in a state directory, its warehouse and its
store of results.

An erasure is noted (`erasing.json`) before it begins and struck out when it has ended: one that
died goes on at the worker's next start, with the time that it began with. Each step can be done
again. No worker may run meanwhile: whoever calls holds its lock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from cdesk.artifacts.factory import open_artifacts
from cdesk.artifacts.local import erase_folder
from cdesk.artifacts.ranges import Source, opened
from cdesk.artifacts.records import is_held
from cdesk.artifacts.store import ArtifactStore
from cdesk.core.checks import check_customer
from cdesk.core.clock import NowNs, format_ts
from cdesk.core.config import Settings
from cdesk.core.errors import (
    ArtifactUnreadable,
    BuildError,
    InvalidField,
    LegalHold,
    NotFound,
    StateDirectoryError,
)
from cdesk.core.home import StateDirectory, write_private
from cdesk.core.identity import customer_key
from cdesk.core.locks import FileLock
from cdesk.core.mentions import Mentions
from cdesk.state.database import open_state
from cdesk.state.erasing import (
    erase_access,
    erase_capture,
    erase_snapshot,
    erase_state,
    held_artifacts,
)
from cdesk_app.worker.dbt.build import Builder, BuildReport
from cdesk_app.worker.dbt.project import dbt_environment, locate_project
from uploader.erasing import (
    ErasedLines,
    Wanted,
    erase_log,
    erase_queue,
    is_theirs,
    of_customer,
)
from uploader.histories import reading_alone

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

Step = Callable[[str], None]
"""Called with the name of a step before it begins."""

_COUNTS: Final = re.compile(r"erased: (\{.*\})")
_HOLD: Final = re.compile(r"erase: (.* is under legal hold[^;]*; lift the hold first)")
_CHUNK: Final = 1 << 20
_SET_ASIDE: Final = (
    *("*.damaged*", "*.refused*", ".*.part", "*.corrupt*", ".*.erasing"),
    *("*.db.old*", "*.duckdb.broken*", "*.log.old*"),  # as runbooks and doctor move them away
)
_JOURNAL: Final = "what services wrote to standard error (the system's journal, a container's log)"
_BEYOND: Final = {
    "duckdb": (
        "backups of this directory (cdesk backup, Time Machine and the like)",
        "blocks that the file system has freed and not yet overwritten",
        "Claude's own histories and logs, and files that somebody exported",
        _JOURNAL,
        "what other customers wrote about them, which is those customers' own",
    ),
    "snowflake": (
        "Time Travel (1 day, as set up) and Fail-safe (7 days) of the warehouse's tables",
        "clones of the schema (made before an upgrade): erase there as well, or drop them",
        "QUERY_HISTORY of the account, which keeps statements without bound values for a year",
        "the seed customer_access.csv of the project, where it names the customer",
        "state directories of other computers: run 'cdesk erase' there as well",
        "backups, and blocks that the file system has freed and not yet overwritten",
        _JOURNAL,
        "what other customers wrote about them, which is those customers' own",
    ),
}


@dataclass(slots=True)
class ErasureReport:
    """What an erasure did. counts: what went, by what it was. left: files that still name the
    customer. mentioned: files of which the customer's own is gone, and that name them in what
    others recorded, in what came since, or as a setting. beyond: where an erasure does not reach.
    """

    customer: str
    erased_at: str
    counts: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    mentioned: list[str] = field(default_factory=list)
    beyond: tuple[str, ...] = ()

    def count(self, what: str, number: int) -> None:
        self.counts[what] = self.counts.get(what, 0) + number


@dataclass(frozen=True, slots=True)
class Pending:
    """An erasure that has begun. counts: what had gone when its last step ended."""

    customer: str
    erased_at: str
    local_only: bool = False
    counts: dict[str, int] = field(default_factory=dict)


def pending_erasures(home: StateDirectory) -> list[Pending]:
    """Erasures that have not ended.

    Raises:
        StateDirectoryError: the note of them cannot be read.
    """
    try:
        return [Pending(**one) for one in orjson.loads(home.erasing.read_bytes())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise StateDirectoryError(
            f"{home.erasing} cannot be read ({error}): it names who is being erased; run "
            "'cdesk erase CUSTOMER' again and remove the file first"
        ) from None


def erase_customer(
    settings: Settings,
    home: StateDirectory,
    customer: str,
    *,
    local_only: bool = False,
    builder: Builder | None = None,
    now_ns: NowNs = time.time_ns,
    tell: Step = lambda _: None,
) -> ErasureReport:
    """Erase a customer. The caller holds the worker's lock.

    local_only: leave the warehouse to its administrator (`dbt run-operation erase`).
    builder: runs dbt; one of its own, if not given.

    Raises:
        InvalidField: no customer can be called so. LegalHold: it must be kept; nothing was touched.
        Other CdeskErrors: it did not come to its end, and goes on at the next start.
    """
    try:
        check_customer(customer)
    except ValueError as error:
        raise InvalidField("customer", *error.args) from None
    others = [one for one in pending_erasures(home) if one.customer != customer]
    own = [one for one in pending_erasures(home) if one.customer == customer]
    one = own[0] if own else Pending(customer, format_ts(now_ns()))
    one = dataclasses.replace(one, local_only=local_only)
    held = held_artifacts(home.state_db, customer)
    if held:
        if own:
            _note(home, others)  # held since it began: given up
        raise LegalHold(f"{customer} is under legal hold ({held} stored results); lift it first")
    _note(home, [*others, one])
    report = ErasureReport(
        customer, one.erased_at, dict(one.counts), beyond=_BEYOND[settings.target]
    )
    erasure = _Erasure(settings, home, report, local_only, builder)
    try:
        with reading_alone(home):  # an import would write what this has passed by
            for name, step in erasure.steps():
                tell(name)
                step()
                _note(home, [*others, dataclasses.replace(one, counts=report.counts)])
    except LegalHold:
        _note(home, others)
        raise
    except BuildError as error:
        if settings.target == "duckdb" or own:
            raise
        # The shared warehouse did not take it, and comes first: nothing waits for another try.
        _note(home, others)
        raise BuildError(
            f"{error}; nothing was erased: run 'dbt run-operation erase' as CDESK_TRANSFORMER, and "
            "this with --local"
        ) from None
    _note(home, others)
    for named, is_left in _naming(home, customer):
        (report.left if is_left else report.mentioned).append(named)
    if local_only:
        report.left.append("the warehouse: dbt run-operation erase takes it out there")
    return report


def finish_erasures(
    settings: Settings, home: StateDirectory, *, builder: Builder | None = None
) -> list[ErasureReport]:
    """Go on with what has begun. The caller holds the worker's lock.

    Raises:
        CdeskError: it cannot be ended now; nothing may land before.
    """
    reports = []
    for one in pending_erasures(home):
        logger.warning("erasure goes on", extra={"facts": {"since": one.erased_at}})
        try:
            reports.append(
                erase_customer(
                    settings, home, one.customer, local_only=one.local_only, builder=builder
                )
            )
        except LegalHold as error:
            logger.error("erasure given up", extra={"facts": {"code": error.code}})
    return reports


def erase_lines(home: StateDirectory, is_wanted: Wanted) -> tuple[ErasedLines, ErasedLines]:
    """Blank lines in the queue with its archive, and in what waits to come into it.

    Raises:
        StateDirectoryError: a file cannot be cleaned, or another process drains the queue.
    """
    lock = FileLock(home.queue / "uploader.lock")
    with lock as taken:
        if not taken:
            raise StateDirectoryError("another process drains the queue; end it and try again")
        lock.claim(os.urandom(16))  # whoever drains next asks the warehouse what has landed
        try:
            return erase_queue(home.queue, is_wanted), erase_queue(home.backlog, is_wanted)
        except OSError as error:
            raise StateDirectoryError(
                f"{error.filename} cannot be cleaned ({error.strerror}); mend its permissions"
            ) from None


def erase_in_warehouse(
    settings: Settings,
    home: StateDirectory,
    report: ErasureReport,
    operation: str,
    arguments: Mapping[str, object],
    *,
    build_first: Sequence[str] = (),
    builder: Builder | None = None,
) -> BuildReport:
    """Run an operation that takes rows out of the warehouse, count into `report` what went, and
    rewrite a DuckDB file so that no freed page keeps it; what the operation said.

    Raises:
        LegalHold: the operation refused. BuildError: it failed.
    """
    builder = builder or Builder(locate_project(settings, home), dbt_environment(settings.environ))
    try:
        if build_first:
            builder.build(select=build_first)
        operated = builder.operate(operation, arguments)
    except BuildError as error:
        if match := _HOLD.search(str(error)):
            raise LegalHold(match[1]) from None
        raise
    finally:
        builder.close()  # its log is cleaned afterwards
    for line in operated.told:
        if match := _COUNTS.search(line):
            for table, count in orjson.loads(match[1]).items():
                report.count(table, count)
    if settings.target == "duckdb":
        from cdesk.warehouse.duckdb import DuckDBWarehouse

        DuckDBWarehouse(home.warehouse, land_wait=30.0).rewrite()
    return operated


class _Erasure:
    """The steps of one erasure, in order: what refuses it comes first."""

    def __init__(
        self,
        settings: Settings,
        home: StateDirectory,
        report: ErasureReport,
        local_only: bool,
        builder: Builder | None,
    ) -> None:
        self._settings = settings
        self._home = home
        self._report = report
        self._customer = report.customer
        self._local_only = local_only
        self._builder = builder
        self._changed: set[str] = set()
        self._mentions = Mentions(report.customer)

    def steps(self) -> Iterator[tuple[str, Callable[[], None]]]:
        if not self._local_only:
            yield "warehouse", self._warehouse
        yield "queue", self._queue
        yield "results", self._results
        yield "state", self._state
        yield "logs", self._logs

    def _warehouse(self) -> None:
        erase_in_warehouse(
            self._settings,
            self._home,
            self._report,
            "erase",
            {"customer": self._customer, "erased_at": self._report.erased_at},
            # before the operation: the table in which it notes whom it keeps out
            build_first=("erasures",) if self._settings.target == "duckdb" else (),
            builder=self._builder,
        )

    def _queue(self) -> None:
        shutil.rmtree(self._home.root / "importing", ignore_errors=True)
        erased, waiting = erase_lines(self._home, of_customer(self._customer))
        self._changed = erased.files
        self._report.count("queue lines", erased.lines)
        self._report.count("lines of histories that wait", waiting.lines)
        for suffix in ("", "-journal", "-wal", "-shm"):
            path = self._home.import_index.with_name(self._home.import_index.name + suffix)
            self._report.count("import index", int(path.exists() and not suffix))
            path.unlink(missing_ok=True)

    def _results(self) -> None:
        store = open_artifacts(self._settings, self._home)
        self._report.count("stored results", store.erase(self._customer))
        self._report.count("results of others", self._results_of_others(store))
        for folder in (self._home.charts, self._home.artifacts_cache):
            self._report.count("pages and charts", erase_folder(folder, self._customer))

    def _results_of_others(self, store: ArtifactStore) -> int:
        """Remove the stored results of analysts in which the customer stands, and damaged ones: of
        these nobody can tell. One under legal hold stays, and is named.
        """
        removed = 0
        for artifact_id, uri in list(store.artifact_ids()):
            try:
                names = _names(store.source(uri), self._mentions)
            except NotFound:
                continue
            except ArtifactUnreadable:
                names = True
            if not names:
                continue
            if self._is_held(uri):
                self._report.left.append(f"result {artifact_id} of somebody else, under legal hold")
                continue
            removed += store.purge(uri)
            for folder in self._home.charts.glob("*"):
                for path in folder.glob(f"{artifact_id}*"):
                    path.unlink(missing_ok=True)
        return removed

    def _is_held(self, uri: str) -> bool:
        with contextlib.closing(open_state(self._home.state_db)) as state:
            return is_held(state, uri)

    def _state(self) -> None:
        home, customer = self._home, self._customer
        # Set aside when they were damaged: nobody can tell whose rows they hold.
        for pattern in _SET_ASIDE:
            for path in home.root.glob(pattern):
                if path.is_file():
                    path.unlink()
                    self._report.count("damaged copies", 1)
        # The running worker's copy for questions: the next question makes it anew. And what the
        # engine put out of memory, where its process was killed.
        # And what a restore that died had unpacked (cdesk_app/ops/backup.py).
        for folder in (
            home.copies,
            home.warehouse.with_suffix(".duckdb.tmp"),
            home.restoring,
            home.restoring_beside,
        ):
            shutil.rmtree(folder, ignore_errors=True)
        self._report.count("contexts in the snapshot", erase_snapshot(home.context_db, customer))
        self._report.count("tokens and sessions", erase_access(home.access_db, customer))
        self._report.count(
            "captured activities",
            erase_capture(home.capture, customer, is_captured=customer == self._settings.customer),
        )
        if home.kill_switch.is_file() and self._mentions.in_bytes(home.kill_switch.read_bytes()):
            write_private(home.kill_switch, orjson.dumps(_without_reason(home.kill_switch)))
        counts = erase_state(home.state_db, customer, changed_files=sorted(self._changed))
        for what, number in counts.items():
            self._report.count(what.replace("_", " "), number)
        home.dashboard.unlink(missing_ok=True)

    def _logs(self) -> None:
        for path in (*self._home.root.glob("*.log*"), *(self._home.dbt / "logs").glob("*")):
            if path.is_file():
                with contextlib.suppress(OSError):
                    self._report.count("log lines", erase_log(path, self._customer))
        for path in (self._home.dbt / "target").glob("*.json"):
            if path.is_file() and self._mentions.in_bytes(path.read_bytes()):
                path.unlink()


def _note(home: StateDirectory, pending: list[Pending]) -> None:
    try:
        if pending:
            rows = [dataclasses.asdict(one) for one in pending]
            write_private(home.erasing, orjson.dumps(rows))
        else:
            home.erasing.unlink(missing_ok=True)
    except OSError as error:
        raise StateDirectoryError(f"{home.erasing} cannot be written ({error.strerror})") from None


def _without_reason(switch: Path) -> dict[str, object]:
    """The kill switch of a file as it stands there, but for why; one that cannot be read is on."""
    try:
        value = orjson.loads(switch.read_bytes())
    except ValueError:
        value = None
    return {**value, "reason": None} if isinstance(value, dict) else {"reason": None}


def _names(content: Source, mentions: Mentions) -> bool:
    """Whether a value of a Parquet file names the customer, as text or within one of JSON.

    Raises:
        ArtifactUnreadable: it is damaged.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(opened(content)) as file:
            return any(
                mentions.in_text(text)
                for batch in file.iter_batches(batch_size=65_536)
                for column in batch.columns
                for text in _texts(column, mentions)
            )
    except (pa.ArrowException, OSError) as error:
        raise ArtifactUnreadable(f"a stored result is damaged ({type(error).__name__})") from None


def _texts(column: pa.Array, mentions: Mentions) -> list[str]:
    """The values of a column that may name the customer."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        may = [pc.match_substring(column, text.decode()) for text in mentions.spellings]
        found: list[str] = column.filter(functools.reduce(pc.or_, may)).to_pylist()
        return found
    if pa.types.is_primitive(column.type):
        return []
    return [json.dumps(column.to_pylist(), default=str, ensure_ascii=False)]


_RECORDS: Final = ("queue", "backlog")
_TABLES: Final = ("warehouse.duckdb", "state.db", "context.db", "access.db")


def _naming(home: StateDirectory, customer: str) -> Iterator[tuple[str, bool]]:
    """Files of the state directory that still name the customer, and whether that is their own."""
    mentions = Mentions(customer)
    for path in sorted(home.root.rglob("*")):
        # Locks and SQLite's shared memory hold nobody's data, and Windows lets nobody read them.
        if path.is_symlink() or not path.is_file() or path.name.endswith((".lock", "-shm")):
            continue
        named = path.relative_to(home.root).as_posix()
        try:
            yield from _named_in(path, named, customer, mentions)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield f"{named}: cannot be read ({error.strerror})", True


def _named_in(
    path: Path, named: str, customer: str, mentions: Mentions
) -> Iterator[tuple[str, bool]]:
    key = customer_key(customer).encode()
    if named.partition("/")[0] in _RECORDS and path.suffix == ".ndjson":
        wanted = functools.partial(is_theirs, customer=customer, mentions=mentions)
        if _holds(path, mentions.spellings):
            with path.open("rb") as lines:
                yield named, any(map(wanted, lines))
    elif named.startswith(_TABLES):  # with their logs
        # Their rows are gone, and neighbours in a row join there to longer names.
        if _holds(path, (*mentions.spellings, key)):
            yield named, False
    elif _holds(path, (key,)) or (
        _holds(path, mentions.spellings) and mentions.in_bytes(path.read_bytes())
    ):
        told = f"{named}: whose computer this is; 'cdesk connect' changes it"
        is_setting = named == "config.toml"
        yield (told if is_setting else named), not is_setting


def _holds(path: Path, texts: tuple[bytes, ...]) -> bool:
    longest = max(map(len, texts))
    with path.open("rb") as file:
        before = b""
        while data := file.read(_CHUNK):
            window = before + data
            if any(text in window for text in texts):
                return True
            before = window[-longest:]
    return False
