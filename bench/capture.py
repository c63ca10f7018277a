"""Capture against a bare pass of orjson over the same bytes, and against ccusage.

    python -m bench capture [SHARE [short]]   of 200,000 responses 1 (default), 10 or 100 per cent

Lines are as long as those of histories that people have published (docs/capture.md), a third of
that with `short`.
Floor: orjson over each line, nothing kept, before and after all else; the lesser counts. Cold: all
histories brought in as `cdesk import` does it, into files of the backlog, by the clock and in
processor time of all processes, each as a ratio to the same of the floor. One process: the same
with one that reads. Contract: what one process needs for what comes in, were there no rules: lines
decoded into what is read of them, each record encoded and hashed twice, its lines and rows written.
Landed: those files brought into DuckDB by the uploader (bench.ingest has more
on that). A build's time is measured by bench.incremental.
Again: after one line more, the total of its day, by capture and the lines that came of it, against
ccusage, which reads everything again (`npm install ccusage@15.9.7`, found on PATH or named by
CCUSAGE; left out where it is not there).
Idle: what following 5,000 files that nobody writes to costs of a processor. Live: from a line's
writing until its record stands in the queue, by the follower in its own thread (the worker lands it
within half a second of being woken; bench.ingest has that part).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import msgspec
import orjson

from cdesk.core.config import load_settings
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from uploader.backlog import BacklogWriter
from uploader.capture import Capture
from uploader.capture_pool import processors
from uploader.capture_store import CaptureStore
from uploader.histories import import_histories, local_histories
from uploader.sources.lines import decode_known
from uploader.sources.sample import Truth, write_history

# Each reading process imports this module: what one part alone needs is imported by it.

RESPONSES = 200_000


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by the clock, and of processor time in this process and those it has ended, and in
    this one alone.
    """

    clock: float
    processor: float
    own: float

    def over(self, floor: Spent) -> str:
        clock, processor = self.clock / floor.clock, self.processor / floor.processor
        return (
            f"{self.clock:8.2f} s, {clock:5.1f} × the floor; "
            f"processor {self.processor:8.2f} s, {processor:5.1f} ×"
        )


@contextmanager
def measured() -> Iterator[Callable[[], Spent]]:
    def processor() -> float:
        ended = os.times()
        return time.process_time() + ended.children_user + ended.children_system

    began, spent, own = time.perf_counter(), processor(), time.process_time()
    yield lambda: Spent(time.perf_counter() - began, processor() - spent, time.process_time() - own)


def floor(root: Path) -> Spent:
    """A bare pass."""
    with measured() as spent:
        for path in root.rglob("*.jsonl"):
            with path.open("rb") as file:
                for line in file:
                    orjson.loads(line)
        return spent()


def cold(root: Path, home: StateDirectory) -> Spent:
    """Bring in all histories of a home."""
    source = local_histories({"HOME": str(root)})
    with measured() as spent:
        import_histories(source, home=home, customer="ada")
        return spent()


def by_one_process(root: Path, home: StateDirectory) -> Spent:
    """The same without other processes."""
    with patch("uploader.histories.processors", lambda: 1):
        return cold(root, home)


def contract(root: Path, home: StateDirectory, other: StateDirectory) -> Spent:
    """Decode all lines, and make and keep once more what `home` came to, in `other`."""
    with closing(sqlite3.connect(home.capture)) as known:
        rows = known.execute("select activity, key, state, made, due from facts").fetchall()
    records = [
        orjson.loads(line)
        for path in home.backlog.glob("*.ndjson")
        for line in path.read_bytes().splitlines()
    ]
    with (
        measured() as spent,
        closing(CaptureStore(other.capture)) as store,
        closing(BacklogWriter(other)) as writer,
    ):
        for path in root.rglob("*.jsonl"):
            for line in path.read_bytes().splitlines():
                with suppress(msgspec.DecodeError):
                    decode_known(line)
        lines = []
        for record in records:
            hashlib.sha1(record["id"].encode(), usedforsecurity=False).hexdigest()
            said = orjson.dumps(record["feature_json"], option=orjson.OPT_SORT_KEYS)
            hashlib.sha256(said).hexdigest()
            lines.append(orjson.dumps(record) + b"\n")
        writer.write(lines)
        with store.transaction():
            store.put(rows)
        return spent()


def landed(home: StateDirectory) -> Spent:
    """Bring the backlog into DuckDB."""
    from bench.ingest import make_landing
    from cdesk.warehouse.duckdb import DuckDBWarehouse
    from uploader.uploader import Uploader

    make_landing(home.warehouse)
    for path in home.backlog.glob("*.ndjson"):
        path.rename(home.queue / path.name)
    with measured() as spent:
        Uploader(home, DuckDBWarehouse(home.warehouse)).drain()
        return spent()


class Following:
    """Capture that has read everything, with a day's total of what it wrote."""

    def __init__(self, root: Path, home: StateDirectory, store: CaptureStore) -> None:
        self.capture = Capture(store, [local_histories({"HOME": str(root)})], customer="ada")
        self.outputs: dict[str, tuple[str, int]] = {}
        for path in home.backlog.glob("*.ndjson"):
            self.write(path.read_bytes().splitlines())

    def write(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            record = orjson.loads(line)
            if record["activity"] == "cdesk.claude_responded":
                said = (record["ts"][:10], record["feature_json"].get("output_tokens", 0))
                self.outputs[record.get("replaces") or record["id"]] = said

    def total(self, day: str) -> int:
        return sum(tokens for at, tokens in self.outputs.values() if at == day)


def one_line_more(root: Path, number: int) -> tuple[Path, str]:
    """Append a response to the newest file; the file and the day."""
    path = max(root.joinpath(".claude").rglob("*.jsonl"), key=lambda one: one.stat().st_mtime)
    now = datetime.now(UTC)
    usage = {"input_tokens": 1, "output_tokens": 5}
    line = {
        "type": "assistant",
        "timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "sessionId": path.stem,
        "requestId": f"req_more{number}",
        "message": {"id": f"msg_more{number}", "model": "claude-sonnet-4-5", "usage": usage},
    }
    with path.open("ab") as file:
        file.write(orjson.dumps(line) + b"\n")
    return path, now.strftime("%Y-%m-%d")


def ccusage(root: Path) -> float | None:
    """Seconds that ccusage takes for its totals by day; None where it is not installed."""
    program = os.environ.get("CCUSAGE") or shutil.which("ccusage")
    if program is None:
        return None
    environ = {**os.environ, "HOME": str(root), "CLAUDE_CONFIG_DIR": str(root / ".claude")}
    started = time.perf_counter()
    ran = subprocess.run(
        [program, "daily", "--offline", "--json"], env=environ, capture_output=True, check=True
    )
    json.loads(ran.stdout)
    return time.perf_counter() - started


IDLE_FILES = 5_000
IDLE_SECONDS = 20.0
LIVE_LINES = 20


def idle_and_live(folder: Path) -> tuple[float, list[float]]:
    """Share of a processor while nothing happens, and seconds from line to queue."""
    from cdesk_app.worker.following import Follower

    root, home = folder / "idle", StateDirectory(folder / "state").ensure()
    project = root / ".claude" / "projects" / "p"
    project.mkdir(parents=True)
    for number in range(IDLE_FILES):  # one for each hour of the last 30 weeks
        old = time.time() - 3_600 * (number + 1)
        path = project / f"s{number}.jsonl"
        path.write_bytes(b'{"type":"mode"}\n')
        os.utime(path, (old, old))
    environ = {"CDESK_HOME": str(home.root), "HOME": str(root), "USER": "ada"}
    settings = load_settings({**environ, "CDESK_CAPTURE": "on"})
    woken = threading.Event()
    with closing(QueueWriter(home.queue)) as queue:
        follower = Follower(settings, home, queue, depth=lambda: 0, notify=woken.set)
        follower.start()
        time.sleep(30.0)  # everything is read, and looked at again by all turns
        started, spent = time.monotonic(), time.process_time()
        time.sleep(IDLE_SECONDS)
        idle = (time.process_time() - spent) / (time.monotonic() - started)
        waits = []
        for number in range(LIVE_LINES):
            time.sleep(0.37 * (number % 4))
            woken.clear()
            began = time.monotonic()
            one_line_more(root, number)
            if not woken.wait(30.0):
                raise RuntimeError("a line was not seen within 30 s")
            waits.append(time.monotonic() - began)
        follower.close()
    return idle, sorted(waits)


def main(share: float, *, published_lengths: bool = True) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "home"
        truth: Truth = write_history(
            root,
            responses=int(RESPONSES * share / 100),
            days=300,
            published_lengths=published_lengths,
        )
        print(
            f"{truth.responses:,} responses in {truth.lines:,} lines, "
            f"{truth.bytes / 2**20:.0f} MiB, {processors()} processors"
        )
        bare = floor(root)
        home, other = (StateDirectory(Path(folder) / name).ensure() for name in ("one", "other"))
        read, alone = cold(root, home), by_one_process(root, other)
        least = contract(root, other, StateDirectory(Path(folder) / "least").ensure())
        into = landed(other)
        bare = min(bare, floor(root), key=lambda spent: spent.processor)
        print(f"floor     {bare.clock:8.2f} s; processor {bare.processor:.2f} s")
        print(f"cold      {read.over(bare)}, who writes {read.own / bare.processor:.1f} ×")
        print(f"one proc. {alone.over(bare)}")
        print(f"contract  {least.over(bare)}")
        print(f"landed    {into.over(bare)}")
        with closing(CaptureStore(home.capture)) as store:
            following = Following(root, home, store)
            files = following.capture.discover()
            again = []
            for number in range(5):
                _, day = one_line_more(root, number)
                started_at = time.perf_counter()
                following.capture.look(files, write=following.write)
                following.total(day)
                again.append(time.perf_counter() - started_at)
            ours = sorted(again)[2]
        theirs = ccusage(root)
        told = "ccusage is not installed"
        if theirs is not None:
            told = f"ccusage {theirs:.2f} s, {theirs / ours:.0f} × as long"
        print(f"one more  {ours * 1000:8.1f} ms; {told}")
        if share > 1:
            return  # the rest does not depend on the size of a history
        idle, waits = idle_and_live(Path(folder))
        print(f"idle      {idle:8.2%} of a processor, {IDLE_FILES:,} files")
        print(f"live      {waits[int(len(waits) * 0.95)]:8.2f} s from line to queue, p95")


if __name__ == "__main__":
    main(float([*sys.argv, "1"][1]), published_lengths="short" not in sys.argv)
