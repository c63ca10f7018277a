"""`cdesk doctor`: looks at every part that has to be right, and says what to do about what
is not.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from cdesk.core.errors import CdeskError, WarehouseNotBuilt, WarehouseUnavailable
from cdesk_app.cli.extras import EXTRAS
from cdesk_app.cli.output import age, size, to_json, waiting

if TYPE_CHECKING:
    from cdesk.core.config import Settings
    from cdesk.core.home import StateDirectory
    from cdesk.queue.overview import Overview
    from cdesk.state.status import LastBackup
    from cdesk.warehouse.protocol import Warehouse

EXAMPLE = "cdesk doctor"
Level = Literal["ok", "note", "failed"]

LOW_DISK_BYTES: Final = 1024**3
FULL_DISK_BYTES: Final = 100 * 1024**2
DEEP_QUEUE: Final = 10_000
OLD_SNAPSHOT_SECONDS: Final = 24 * 3600
LOCK_WAIT_SECONDS: Final = 2.0
EXPIRY_DAYS: Final = 14


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `todo` says what to do; None where there is nothing to do."""

    check: str
    level: Level
    found: str
    todo: str | None = None


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    with waiting("looking"):
        findings = list(examine(dict(os.environ)))
    if args.json:
        print(to_json([asdict(finding) for finding in findings]))
    else:
        marks = {"ok": "ok    ", "note": "note  ", "failed": "FAILED"}
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            print(f"{marks[finding.level]}  {finding.check:<{width}}  {finding.found}")
            if finding.todo:
                print(f"{'':<8}{'':<{width}}  → {finding.todo}")
    return 1 if any(finding.level == "failed" for finding in findings) else 0


def examine(environ: dict[str, str]) -> Iterator[Finding]:
    """All findings, in the order in which one depends on another; what cannot be looked at any more
    is left out.
    """
    from cdesk.core.config import load_settings
    from cdesk.core.home import StateDirectory

    yield _python()
    try:
        settings = load_settings(environ)
    except CdeskError as error:
        yield Finding(
            "settings", "failed", str(error), "mend that setting; all others are not looked at"
        )
        return
    yield Finding("settings", "ok", f"customer {settings.customer}, warehouse {settings.target}")
    yield from _parts(settings)
    yield _sdk()
    home = StateDirectory(settings.home)
    yield _disk(settings.home)
    if not settings.home.exists():
        yield Finding(
            "state directory",
            "note",
            f"{settings.home} is not there yet",
            "nothing: the first command makes it",
        )
    else:
        directory = _directory(home)
        yield directory
        if directory.level != "failed":
            yield _state(settings, home)
            yield from _erasures(home)
            yield from _backups(home)
            yield from _overview(settings, home)
            warehouse = _warehouse(settings, home)
            yield warehouse
            for check in (_catalog, _snapshot):
                yield check(settings, home)
            yield _clock(settings, home, answers=warehouse.level == "ok")
            yield _logs(home)
            yield from _folders(home)
        yield from _monitoring(settings, home)
        yield from _capture(settings, home)
    yield _claude_desktop(settings)
    yield _roles(settings)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"{version} ({sys.executable})")


_WITHOUT: Final = {
    "worker": "nothing lands from this computer",
    "snowflake": "nothing lands from this computer",
    "render": "no cards, charts or dashboard",
    "http": "no service over HTTP",
    "s3": "results cannot be stored in S3",
    "ops": "no metrics for Prometheus",
}
"""Extra → what is not there without it."""


def _parts(settings: Settings) -> Iterator[Finding]:
    needed = "snowflake" if settings.target == "snowflake" else "worker"
    for extra, modules in EXTRAS.items():
        if extra in ("worker", "snowflake") and extra != needed:
            continue
        if extra == "s3" and not settings.artifacts_url:
            continue
        missing = [name for name in modules if not _installed(name)]
        if not missing:
            yield Finding(f"part {extra}", "ok", "installed")
        elif extra == "http" or (extra == "ops" and not settings.metrics_address):
            # nobody needs it for themselves
            yield Finding(f"part {extra}", "ok", f"not installed: {_WITHOUT[extra]}")
        elif extra in ("snowflake", "s3", "ops") or settings.worker == "auto":
            yield Finding(
                f"part {extra}",
                "failed" if extra in ("snowflake", "s3", "ops") else "note",
                f"not installed ({', '.join(missing)}): {_WITHOUT[extra]}",
                f"pip install 'cdesk[{extra}]'",
            )
        else:
            yield Finding(f"part {extra}", "ok", "not installed, and the worker is off here")


def _sdk() -> Finding:
    from mcp_shim.lazy_sdk import KNOWN_VERSIONS, unmeasured

    reason = unmeasured()
    if reason is None:
        return Finding("MCP SDK", "ok", "of a version whose quick start was measured")
    pins = " ".join(f"'{name}=={version}*'" for name, version in KNOWN_VERSIONS.items())
    return Finding(
        "MCP SDK",
        "note",
        f"{reason}: it is imported in full, and the server starts some three times as slowly",
        f"nothing is wrong; for the quick start, pip install {pins}",
    )


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False


def _disk(folder: Path) -> Finding:
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    level: Level = "failed" if free < FULL_DISK_BYTES else "note" if free < LOW_DISK_BYTES else "ok"
    todo = (
        None
        if level == "ok"
        else f"free space on the disk of {nearest}, or set CDESK_HOME to another one"
    )
    return Finding("disk", level, f"{size(free)} free", todo)


def _directory(home: StateDirectory) -> Finding:
    check = "state directory"
    try:
        home.ensure()
    except CdeskError as error:
        return Finding(
            check, "failed", str(error), "mend its permissions, or set CDESK_HOME to another folder"
        )
    mode = stat.S_IMODE(home.root.stat().st_mode)
    if sys.platform != "win32" and mode & 0o077:
        return Finding(
            check,
            "failed",
            f"{home.root} has mode {mode:04o}: other users of this computer can look in",
            f"chmod 700 '{home.root}'",
        )
    return Finding(check, "ok", str(home.root))


def _state(settings: Settings, home: StateDirectory) -> Finding:
    from cdesk.core.errors import NewerVersion
    from cdesk.state.database import open_state
    from cdesk.state.kill_switch import read_switch

    del settings
    try:
        with closing(open_state(home.state_db)) as state:
            switch = read_switch(state, home.kill_switch)
    except NewerVersion as error:
        return Finding("state.db", "failed", str(error), "pip install --upgrade cdesk")
    except (CdeskError, sqlite3.Error) as error:
        return Finding(
            "state.db",
            "failed",
            str(error),
            f"stop the worker and remove {home.state_db}: it is made anew from the queue",
        )
    if switch.on:
        return Finding(
            "state.db",
            "note",
            f"the kill switch is on since {age(switch.since)}",
            "cdesk kill-switch off",
        )
    return Finding("state.db", "ok", "can be read and written")


def _erasures(home: StateDirectory) -> Iterator[Finding]:
    """Those that have begun and not ended; nothing lands before they have."""
    if not home.erasing.exists():
        return
    try:
        from cdesk_app.worker.erasure import pending_erasures

        pending = pending_erasures(home)
    except ModuleNotFoundError as error:
        found = f"one has not ended, and cannot be looked at without {error.name}"
        yield Finding("erasure", "failed", found, "pip install 'cdesk[worker]'")
        return
    except CdeskError as error:
        yield Finding("erasure", "failed", str(error), f"cat {home.erasing}")
        return
    for one in pending:
        yield Finding(
            "erasure",
            "failed",
            f"of {one.customer}, begun {age(one.erased_at)}, has not ended: nothing lands "
            "before it has",
            "cdesk worker --once goes on with it, and so does whatever worker starts next; if it "
            f"fails, the reason stands in {home.worker_log}",
        )


CHECKED_BACKUP_BYTES: Final = 256 * 1024**2
"""A backup of no more than this, unpacked, is read from end to end."""


def _backups(home: StateDirectory) -> Iterator[Finding]:
    """The last backup, and what one or a restore left that broke off."""
    from cdesk.state.database import open_state
    from cdesk.state.facts import read_status
    from cdesk.state.status import LastBackup

    if all((home.root / name).exists() for name in ("manifest.json", "seal")):
        yield Finding(
            "restore",
            "failed",
            f"a backup was unpacked over {home.root} by another program than cdesk: its files may "
            "not belong together",
            "cdesk worker --stop, move the directory away, then cdesk restore FILE "
            "--with-queue-of the one that was moved",
        )
    for path in (home.restoring, home.restoring_beside):
        if path.exists():
            yield Finding(
                "restore",
                "note",
                f"one broke off; what it had unpacked is {path}, and nothing uses it",
                f"if none runs now: rm -r '{path}', and restore again",
            )
    if home.backing_up.exists():
        yield _begun(home)
    try:
        with closing(open_state(home.state_db)) as state:
            last = read_status(state, LastBackup)
    except (CdeskError, sqlite3.Error):
        return  # told above
    if last.at is None:
        yield Finding("backup", "ok", "none was made yet; 'cdesk backup FILE' makes one")
    elif last.file is not None:
        yield _backup(last)


def _begun(home: StateDirectory) -> Finding:
    import orjson

    try:
        begun = orjson.loads(home.backing_up.read_bytes())
        file, since = Path(begun["file"]), age(begun["at"])
    except (OSError, ValueError, KeyError, TypeError):
        file, since = Path("a file"), "some time ago"
    return Finding(
        "backup begun",
        "note",
        f"one to {file} began {since} and has not ended",
        f"if none runs now: remove '.{file.name}.*' and '.cdesk-*' in {file.parent}, and "
        f"{home.backing_up}; then make another",
    )


def _backup(last: LastBackup) -> Finding:
    """Whether the last backup is what was written, where it still stands there."""
    from cdesk_app.ops.backup import check_backup, read_manifest

    file, todo = Path(str(last.file)), "make another: cdesk backup, to a new file"
    try:
        there = file.stat().st_size
        if there != last.bytes:
            found = f"{file} has {there:,} bytes, and {last.bytes:,} were written"
            return Finding("backup", "failed", f"{found}: it was cut short or edited", todo)
        if read_manifest(file).bytes <= CHECKED_BACKUP_BYTES:
            check_backup(file)
    except CdeskError as error:
        return Finding("backup", "failed", str(error), todo)
    except OSError as error:
        found = f"the last one was made {age(last.at)}; {file} is not to be seen ({error.strerror})"
        return Finding("backup", "ok", found)
    return Finding("backup", "ok", f"made {age(last.at)}: {file}")


def _worker(overview: Overview, settings: Settings) -> Finding:
    from cdesk_app.cli.status import worker_told
    from cdesk_app.worker.version import running_version

    worker = overview.worker
    if worker.running and worker.version not in (None, running_version()):
        found = f"{worker_told(worker)}, while this command is version {running_version()}"
        return Finding("worker", "note", found, "cdesk worker --stop; the server starts a new one")
    if worker.running:
        return Finding("worker", "ok", worker_told(worker))
    if worker.problem:
        return Finding(
            "worker",
            "failed",
            worker_told(worker),
            "upgrade the cdesk that Claude Desktop starts, then restart Claude Desktop",
        )
    if settings.worker == "off":
        return Finding(
            "worker",
            "note",
            "none runs, and CDESK_WORKER=off keeps the server from starting one",
            "cdesk worker --once",
        )
    return Finding("worker", "ok", "none runs now; the server starts one when it is needed")


def _queue(overview: Overview, home: StateDirectory) -> Finding:
    queue = overview.queue
    found = f"{queue.records:,} records not landed yet" + (
        f", the oldest from {age(queue.oldest)}" if queue.oldest else ""
    )
    if queue.held:
        shown = "; ".join(f"{name} ({why})" for name, why in list(queue.held.items())[:3])
        return Finding(
            "queue",
            "failed",
            f"{len(queue.held):,} in {home.queue} cannot be read and are held: {shown}; all else "
            f"lands",
            "mend the permissions, or move what is no file away",
        )
    if queue.foreign:
        names, first = ", ".join(queue.foreign[:3]), home.queue / queue.foreign[0]
        return Finding(
            "queue",
            "note",
            f"{names} in {home.queue} is no file of the queue, so nothing lands it",
            f"move it away, and bring its records in with cdesk import {first}",
        )
    if queue.records > DEEP_QUEUE:
        return Finding(
            "queue",
            "note",
            found,
            f"cdesk worker --once; if they stay, the reason stands in {home.worker_log}",
        )
    return Finding("queue", "ok", found)


def _quarantine(overview: Overview) -> Finding:
    from cdesk_app.cli.status import quarantined

    found = quarantined(overview.quarantine)
    if overview.quarantine.lines:
        return Finding("quarantine", "note", found, "cdesk quarantine list")
    return Finding("quarantine", "ok", found)


def _overview(settings: Settings, home: StateDirectory) -> Iterator[Finding]:
    """What `cdesk status` shows, judged."""
    from cdesk.queue.overview import gather
    from cdesk_app.cli.http_service import examine_service

    try:
        overview = gather(settings, home)
    except CdeskError as error:
        yield Finding("queue", "failed", f"cannot be counted ({error})", "mend what is said above")
        return
    except OSError as error:
        todo = f"mend the permissions of {home.queue}"
        yield Finding("queue", "failed", f"cannot be counted ({error})", todo)
        return
    yield _worker(overview, settings)
    yield _queue(overview, home)
    yield _quarantine(overview)
    yield _costs(overview)
    yield from examine_service(settings, overview.http)


def _costs(overview: Overview) -> Finding:
    from cdesk_app.cli.status import used_told

    spent = overview.spent
    found = used_told(spent)
    if spent.problem is not None:
        return Finding(
            "cost guard",
            "failed",
            found,
            "give the worker's role what reads the meter: grant database role "
            "snowflake.usage_viewer to role CDESK_TRANSFORMER, then 'cdesk refresh'",
        )
    if spent.tripped is not None:
        todo = "'cdesk kill-switch off' allows as much again; the next day (UTC) does by itself"
        return Finding("cost guard", "note", spent.tripped, todo)
    return Finding("cost guard", "ok", found)


def _warehouse(settings: Settings, home: StateDirectory) -> Finding:
    check = f"warehouse ({settings.target})"
    if settings.target == "duckdb" and not home.warehouse.exists():
        return Finding(check, "note", "not built yet", "cdesk worker --once")
    try:
        _impatient(settings, home).data_version()
    except ModuleNotFoundError as error:
        return Finding(
            check,
            "note",
            f"cannot be looked at without {error.name}",
            "pip install 'cdesk[worker]'",
        )
    except WarehouseNotBuilt as error:
        return Finding(check, "note", str(error), "cdesk worker --once")
    except WarehouseUnavailable as error:
        return Finding(
            check,
            "note",
            str(error),
            "end the program that holds it, or wait for the worker's build to end",
        )
    except CdeskError as error:
        return Finding(
            check,
            "failed",
            str(error),
            "cdesk worker --once; if that fails too, restore the file from a backup",
        )
    if aside := sorted(home.root.glob("warehouse.duckdb.wal.damaged-*")):
        return Finding(
            check,
            "note",
            f"built, and answers; its log was damaged and stands in {aside[-1].name}, what it held "
            "has landed again from the archive of the last 14 days",
            f"look at what is older (docs/runbooks/corrupt_warehouse.md), then remove {aside[-1]}",
        )
    return Finding(check, "ok", "built, and answers")


def _impatient(settings: Settings, home: StateDirectory) -> Warehouse:
    """The warehouse, not waiting long for somebody who holds its file."""
    from cdesk.warehouse.factory import open_warehouse

    if settings.target != "duckdb":
        return open_warehouse(settings, home)
    from cdesk.warehouse.duckdb import DuckDBWarehouse

    return DuckDBWarehouse(home.warehouse, read_wait=LOCK_WAIT_SECONDS)


def _catalog(settings: Settings, home: StateDirectory) -> Finding:
    from cdesk.core.errors import CatalogError, NewerVersion
    from cdesk.state.catalog import read_seal, sealed_catalog

    if not home.catalog.exists():
        return Finding("catalog", "note", "no query templates yet", "cdesk worker --once")
    try:
        seal = read_seal(home)
    except (CatalogError, NewerVersion) as error:
        return Finding("catalog", "failed", str(error), f"mend {home.state_db}")
    if seal.digest is None:
        told = "compiled by an earlier version, or state.db was made anew: it answers no query yet"
        return Finding("catalog", "note", told, "cdesk refresh")
    try:
        found = sealed_catalog(home)
    except CatalogError as error:
        aside = home.catalog.with_name(f"{home.catalog.name}.refused")
        home.catalog.replace(aside)
        return Finding(
            "catalog",
            "failed",
            f"{error}. It stands now in {aside}; no query runs until it is compiled anew",
            "cdesk refresh",
        )
    installed = _project_fingerprint(settings, home)
    if installed is not None and seal.project not in (None, installed):
        return Finding(
            "catalog",
            "note",
            f"{len(found.templates)} templates, of another version than the one installed",
            "cdesk refresh",
        )
    return Finding("catalog", "ok", f"{len(found.templates)} templates, as installed")


def _project_fingerprint(settings: Settings, home: StateDirectory) -> str | None:
    from cdesk.core.errors import ConfigurationError
    from cdesk_app.worker.dbt.project import locate_project

    try:
        return locate_project(settings, home).fingerprint()
    except ConfigurationError:  # a small installation has no project
        return None


def _snapshot(settings: Settings, home: StateDirectory) -> Finding:
    from cdesk.core.clock import parse_ts
    from cdesk.state.snapshot import SnapshotReader

    if not home.context_db.exists():
        return Finding(
            "snapshot", "note", "get_context has nothing to answer from yet", "cdesk worker --once"
        )
    with closing(SnapshotReader(home.context_db)) as reader:
        try:
            _, refreshed_at = reader.read(settings.customer)
        except CdeskError as error:
            return Finding("snapshot", "failed", str(error), "cdesk refresh")
    if refreshed_at is None:
        return Finding("snapshot", "note", "never refreshed", "cdesk refresh")
    found = f"refreshed {age(refreshed_at)}"
    if (datetime.now(UTC) - parse_ts(refreshed_at)).total_seconds() > OLD_SNAPSHOT_SECONDS:
        return Finding("snapshot", "note", found, "cdesk refresh")
    return Finding("snapshot", "ok", found)


def _roles(settings: Settings) -> Finding:
    """What Claude may ask, and to a single person the offer to let it ask everything."""
    if settings.roles:
        found = (
            f"Claude has the role {', '.join(settings.roles)}: it may ask over all customers "
            "of this "
            "warehouse"
        )
        return Finding("roles", "ok", found)
    found = f"Claude sees the data of {settings.customer} alone"
    if settings.target == "duckdb":
        found += (
            "; where all that is recorded here is yours, 'cdesk connect --roles analyst' lets "
            "it ask "
            "over all customers too, and see every row here that anybody records under another name"
        )
    return Finding("roles", "ok", found)


FUTURE_SECONDS: Final = 600.0


_SET_CLOCK: Final = (
    "set the clock by the network (timedatectl set-ntp true, or the system's date settings); "
    "records keep the times that they were born with"
)


def _clock(settings: Settings, home: StateDirectory, *, answers: bool) -> Finding:
    """Against the account's clock, where one `answers`; and what was written here in the future of
    this clock: it is behind now, or was ahead then.
    """
    now = datetime.now(UTC).timestamp()
    if answers and settings.target == "snowflake":
        ahead = _account_ahead(settings)
        if abs(ahead) > FUTURE_SECONDS:
            way = "behind" if ahead > 0 else "ahead of"
            found = f"this computer's clock is {abs(ahead) / 3600:.1f} hours {way} the account's"
            return Finding("clock", "failed", found, _SET_CLOCK)
    newest = ("", now)
    for path in (home.state_db, home.context_db, home.warehouse, home.catalog, home.worker_log):
        with contextlib.suppress(OSError):
            newest = max(newest, (path.name, path.stat().st_mtime), key=lambda one: one[1])
    for path in home.queue.glob("*.ndjson"):
        with contextlib.suppress(OSError):
            newest = max(newest, (path.name, path.stat().st_mtime), key=lambda one: one[1])
    ahead = newest[1] - now
    if ahead > FUTURE_SECONDS:
        return Finding(
            "clock",
            "failed",
            f"{newest[0]} was written {ahead / 3600:.1f} hours from now: the clock of this "
            "computer is behind, or was ahead then",
            _SET_CLOCK,
        )
    return Finding("clock", "ok", "nothing here is of the future")


def _account_ahead(settings: Settings) -> float:
    """Seconds by which the account's clock is ahead of this computer's; 0 where it does not say."""
    from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse

    try:
        with closing(SnowflakeWarehouse.from_settings(settings)) as warehouse:
            return warehouse.clock_distance().total_seconds()
    except CdeskError:
        return 0.0


def _logs(home: StateDirectory) -> Finding:
    """Whether the processes can write what they have to say."""
    for path in (home.worker_log, home.render_log):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            found = f"{path} is no file: the log goes to standard error, and nobody keeps that"
            return Finding("log", "failed", found, f"move it away: mv '{path}' '{path}.old'")
        if path.exists() and not os.access(path, os.W_OK):
            found = f"{path} cannot be written: the log goes to standard error"
            return Finding("log", "failed", found, f"chmod 600 '{path}'")
    return Finding("log", "ok", str(home.worker_log))


def _monitoring(settings: Settings, home: StateDirectory) -> Iterator[Finding]:
    """Metrics and traces, as far as they are configured."""
    from cdesk.core.features import METRICS, TRACES

    if settings.otlp_endpoint:
        if not settings.features.has(TRACES):
            yield Finding(
                "traces",
                "note",
                "an endpoint is set, and the feature is off",
                "traces = true under [features] in config.toml, or take otlp_endpoint out",
            )
        elif not _installed("opentelemetry.sdk"):
            yield Finding(
                "traces", "failed", "an endpoint is set, and nothing can send to it",
                "pip install 'cdesk[ops]'",
            )  # fmt: skip
        else:
            yield _traces(settings.otlp_endpoint)
    for path in settings.metrics_certificates:
        yield _certificate(path)
    if settings.target == "snowflake" and settings.snowflake_key_expires:
        yield _expiry(
            "snowflake key", "the key", date.fromisoformat(settings.snowflake_key_expires)
        )
    if not settings.metrics_address:
        found = "the worker serves none; 'cdesk metrics' prints them"
        yield Finding("metrics", "ok", found)
    elif not settings.features.has(METRICS):
        yield Finding(
            "metrics",
            "note",
            f"{settings.metrics_address} is set, and the feature is off",
            "metrics = true under [features] in config.toml, or take metrics_address out",
        )
    else:
        yield _metrics(settings, home)


def _capture(settings: Settings, home: StateDirectory) -> Iterator[Finding]:
    """Whether Claude's own histories come in, where they are to."""
    if not settings.capture.enabled:
        return
    from cdesk_app.cli.status import capture_told
    from uploader.capture_status import capture_status

    try:
        found = capture_status(settings, home)
    except CdeskError as error:
        yield Finding(
            "capture",
            "failed",
            str(error),
            f"remove {home.capture}: everything is read anew, and nothing comes in twice",
        )
        return
    told = capture_told(found)
    if found.error:
        todo = f"mend what it says; {home.worker_log} tells more"
        yield Finding("capture", "failed", told, todo)
    elif not found.folders:
        yield Finding(
            "capture", "note", "on, and no history of Claude is on this computer", "cdesk capture"
        )
    elif found.unreadable:
        path, why = next(iter(found.unreadable.items()))
        yield Finding(
            "capture", "failed", f"{path} cannot be read ({why})", f"chmod -R u+rX '{path}'"
        )
    elif found.passed_by:
        path, what = next(iter(found.passed_by.items()))
        yield Finding(
            "capture",
            "note",
            f"{path} is passed by ({what})",
            f"cdesk import '{path}', where histories that are wanted lie behind a link",
        )
    elif found.unknown:
        yield Finding("capture", "note", told, "pip install --upgrade cdesk; all else comes in")
    else:
        yield Finding("capture", "ok", told)


def _certificate(path: str) -> Finding:
    from mcp_shim.transports.http_metrics import certificate_end

    check = "certificate"
    try:
        end = datetime.fromtimestamp(certificate_end(Path(path)), UTC)
    except ModuleNotFoundError:
        return Finding(check, "failed", f"{path} cannot be read", "pip install 'cdesk[http]'")
    except (OSError, ValueError) as error:
        todo = "name a readable PEM file under CDESK_METRICS_CERTIFICATES"
        return Finding(check, "failed", f"{path}: {error}", todo)
    return _expiry(check, path, end.date())


def _expiry(check: str, what: str, end: date) -> Finding:
    left = (end - datetime.now(UTC).date()).days
    if left < 0:
        todo = "exchange it: docs/runbooks has key_rotation"
        return Finding(check, "failed", f"{what} was good until {end}", todo)
    found = f"{what} is good until {end}"
    if left < EXPIRY_DAYS:
        return Finding(check, "note", found, "renew it: docs/runbooks has key_rotation")
    return Finding(check, "ok", found)


def _traces(endpoint: str) -> Finding:
    """Whether somebody would take them."""
    from urllib.parse import urlsplit

    url = urlsplit(endpoint)
    port = url.port or (443 if url.scheme == "https" else 80)
    if _answers(url.hostname or "", port):
        return Finding("traces", "ok", f"to {endpoint}")
    found = f"nothing answers at {endpoint}: what happens is not traced"
    return Finding("traces", "failed", found, "start the collector, or take otlp_endpoint out")


def _folders(home: StateDirectory) -> Iterator[Finding]:
    """Folders of which something cannot be used, and what comes of that."""
    for folder, without in (
        (home.metrics, "what is counted stays with its process"),
        (home.artifacts, "no result can be stored"),
        (home.backlog, "no history can be brought in"),
        (home.dbt, "nothing can be built"),
        (home.charts, "no chart is painted ahead"),
    ):
        check = f"{folder.name} folder"
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            found = f"{folder} is no folder: {without}"
            yield Finding(check, "failed", found, f"move it away: mv '{folder}' '{folder}.old'")
        elif folder.exists() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            found = f"{folder} cannot be read and written: {without}"
            yield Finding(check, "failed", found, f"chmod 700 '{folder}'")


def _metrics(settings: Settings, home: StateDirectory) -> Finding:
    """Whether Prometheus would get an answer where the settings say."""
    import time

    from cdesk.core.clock import format_ts
    from cdesk.core.identity import ADMIN, METRICS_ROLE
    from cdesk.core.locks import is_held
    from cdesk.state.access import AccessStore
    from mcp_shim.transports.http_metrics import is_local

    host, _, port = settings.metrics_address.rpartition(":")
    address = f"http://{settings.metrics_address}/metrics"
    if not is_local(host.strip("[]")):
        known = False
        if home.access_db.exists():
            now = format_ts(time.time_ns())
            with closing(AccessStore(home.access_db)) as store:
                known = any(
                    token.state(now) == "valid" and {METRICS_ROLE, ADMIN} & set(token.roles)
                    for token in store.tokens()
                )
        if not known:
            return Finding(
                "metrics",
                "failed",
                f"{address} is reached from elsewhere, and nobody has a token for it: every scrape "
                "is refused",
                f"cdesk token add prometheus --role {METRICS_ROLE}, or listen on 127.0.0.1",
            )
    if not is_held(home.worker_lock):
        return Finding("metrics", "note", f"{address}: no worker runs", "cdesk worker --stay")
    if not _answers(host.strip("[]"), int(port)):
        return Finding(
            "metrics",
            "failed",
            f"{address}: nothing answers; the worker began before the setting, or another program "
            "has the port",
            f"'cdesk worker --stop' starts it anew; else choose another port, {home.worker_log} "
            "says why",
        )
    return Finding("metrics", "ok", address)


def _answers(host: str, port: int) -> bool:
    import socket

    wild = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    try:
        with socket.create_connection((wild.get(host, host), port), timeout=1.0):
            return True
    except OSError:
        return False


def _claude_desktop(settings: Settings) -> Finding:
    from cdesk.core.errors import ConfigurationError
    from cdesk_app.ops.clients.desktop import read_configuration
    from cdesk_app.ops.clients.entry import config_path, differences, find_entry, settings_of

    check = "Claude Desktop"
    connect = "run 'cdesk connect', then restart Claude Desktop"
    path = config_path(settings)
    try:
        configuration = read_configuration(path)
    except ConfigurationError as error:
        return Finding(
            check, "failed", str(error), "mend it, run 'cdesk connect', restart Claude Desktop"
        )
    if configuration.raw is None:
        return Finding(check, "note", "no configuration found", connect)
    found = find_entry(configuration.values)
    if found is None:
        return Finding(check, "note", "its configuration does not name cdesk", connect)
    if configuration.marked:
        return Finding(check, "failed", f"{path} begins with a byte order mark", connect)
    name, server = found
    command = str(server.get("command", ""))
    if shutil.which(command) is None:
        return Finding(
            check, "failed", f"its entry {name!r} starts {command}, which is not there", connect
        )
    try:
        others = differences(settings, settings_of(server, settings.environ))
    except ConfigurationError as error:
        return Finding(check, "failed", f"its entry {name!r} cannot start: {error}", connect)
    if others:
        # Another customer, directory or warehouse: what is recorded or imported here never
        # reaches Claude, and all else looks well.
        apart = any(setting in ("home", "customer", "target") for setting, _, _ in others)
        told = "; ".join(f"{setting} is {there}, here {here}" for setting, here, there in others)
        return Finding(
            check,
            "failed" if apart else "note",
            f"its entry {name!r} has other settings than this terminal: {told}",
            connect + ", or give this terminal the settings of the entry",
        )
    return Finding(check, "ok", f"starts cdesk (entry {name!r} in {path})")
