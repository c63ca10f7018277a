"""Cards and the dashboard: first byte against an empty page of the same server, chart, deep pages,
a hundred cards at once; the same card from a bucket (moto's server, on loopback) beside local.

    python -m bench.cards [--rows 1000000] [--deep-rows 10000000] [--rounds 20]

The renderer is a process of its own, as a person has it; results are written as the worker writes
them. Prints ratios within the run, and writes them to bench/results/cards.json.
"""

from __future__ import annotations

import argparse
import http.client
import json
import logging
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import orjson
import psutil
import pyarrow as pa

from cdesk.artifacts.addresses import WHOLE_BYTES
from cdesk.artifacts.factory import open_artifacts
from cdesk.artifacts.formats import store
from cdesk.artifacts.records import Artifact, keep_artifact
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.state.catalog import write_catalog
from cdesk.state.database import open_state
from cdesk_app.render.start import card_link, dashboard_link

RESULTS = Path(__file__).resolve().parent / "results"
ADA = "ada@example.com"
FIRST_BYTE_AIM, CHART_SECONDS_AIM, DEEP_AIM, DASHBOARD_SECONDS_AIM = 3.0, 1.0, 3.0, 0.5
_BATCH = 100_000
_IDS = IdSource()


def batches(rows: int) -> Iterator[pa.RecordBatch]:
    """Twelve columns: a moment, a category, texts and numbers."""
    rng = np.random.default_rng(7)
    start = np.datetime64("2025-01-01T00:00:00", "us")
    names = np.array(["user asked", "tool called", "file read", "answered"])
    for first in range(0, rows, _BATCH):
        count = min(_BATCH, rows - first)
        place = np.arange(first, first + count)
        columns: dict[str, object] = {
            "ts": start + (place * 30).astype("timedelta64[s]"),
            "activity": names[rng.integers(0, 4, count)],
            "session": [f"s{n}" for n in rng.integers(0, 5_000, count)],
        }
        columns |= {f"value_{n}": rng.normal(100, 20, count) for n in range(6)}
        columns |= {f"count_{n}": rng.integers(0, 1_000, count) for n in range(3)}
        yield pa.record_batch(columns)


def put(home: StateDirectory, rows: int, settings: Settings | None = None) -> str:
    """Store a result of so many rows where the settings say; its artifact_id."""
    id = _IDS.uuid7()
    folder = open_artifacts(settings or Settings(home=home.root, customer=ADA), home)
    first = next(batches(min(rows, 10)))
    with folder.write(ADA, id) as draft:
        stored = store(first.schema, batches(rows), draft.path, query_hash="0" * 16, byte_cap=2**40)
    now = time.time_ns()
    artifact = Artifact(
        artifact_id=id,
        customer=ADA,
        uri=draft.uri,
        format="parquet",
        query_hash=id.replace("-", "")[-16:],
        rows=stored.kept_rows,
        bytes=stored.file_bytes,
        sampled=False,
        created_at=format_ts(now),
        expires_at=format_ts(now + 86_400 * 10**9),
    )
    answer = {
        "template": "activity_by_period",
        "params": {"activity": "cdesk.user_asked", "period": "day"},
        "columns": stored.columns,
        "rows": stored.preview,
        "row_count": stored.row_count,
        "artifact": {"artifact_id": id, "uri": draft.uri},
    }
    with closing(open_state(home.state_db)) as state:
        keep_artifact(state, artifact)
        state.execute(
            "insert into query_runs (customer, query_hash, ticket_id, template, values_complete, "
            "finished_at, result) values (?, ?, ?, 'activity_by_period', 1, ?, ?)",
            (ADA, artifact.query_hash, id, artifact.created_at, json.dumps(answer)),
        )
    return id


def catalog(home: StateDirectory) -> None:
    """A catalog as large as the project's, so that a page costs what it does with one."""
    entry = {
        "scope": "customer",
        "parameters": [],
        "sql": "select 1 -- " + "x" * 5_000,
        "binds": [],
        "example": {},
        "hash": "0" * 16,
        "reuse": True,
        "evidence_columns": {},
    }
    names = ("activity_by_period", *(f"template_{n}" for n in range(60)))
    now = format_ts(time.time_ns())
    document = {
        "v": 1,
        "dialect": "duckdb",
        "content_hash": "0" * 16,
        "generated_at": now,
        "templates": {
            name: {"name": name, "description": "How often, by day.", **entry} for name in names
        },
    }
    with closing(open_state(home.state_db)) as state:
        write_catalog(home, state, document, now=now)


def year_of_figures(home: StateDirectory) -> None:
    """What the worker exports for the dashboard, of a year."""
    today = datetime.now(UTC).date()
    rows = [
        [(today - timedelta(days=n)).isoformat(), f"{metric}_{name}_{unit}", part, 10.0 + n % 9]
        for n in range(366)
        for metric, unit, part in (
            ("turn_latency.latency", "ms", ""),
            ("tool_latency.latency", "ms", "get_context"),
            ("ingestion_lag.lag", "seconds", ""),
            ("card_ready.ready", "seconds", ""),
        )
        for name in ("p50", "p95", "p99")
    ]
    rows += [[(today - timedelta(days=n)).isoformat(), "adoption.activity_count", "", n % 50] for n in range(366)]  # fmt: skip
    document = {
        "as_of": format_ts(time.time_ns()),
        "metrics": {"columns": ["day", "metric", "of_what", "metric_value"], "rows": rows},
    }
    home.dashboard.write_bytes(orjson.dumps(document))


@dataclass
class Server:
    """A running renderer."""

    settings: Settings
    home: StateDirectory
    pid: int
    cookie: str = ""

    def get(self, path: str) -> tuple[int, float, float, dict[str, str]]:
        """Status, seconds to the first byte and to the last, headers."""
        address = urlsplit(json.loads(self.home.render_json.read_bytes())["url"])
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
        try:
            begun = time.perf_counter()
            connection.request("GET", path, headers={"Cookie": self.cookie})
            answer = connection.getresponse()
            first = time.perf_counter() - begun
            answer.read()
            whole = time.perf_counter() - begun
            return answer.status, first, whole, {k.lower(): v for k, v in answer.getheaders()}
        finally:
            connection.close()

    def link(self, id: str, part: str = "", more: str = "") -> str:
        url = urlsplit(card_link(self.settings, self.home, artifact_id=id, customer=ADA).url)
        return f"{url.path}{part}?{url.query}{more}"

    @property
    def memory(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)


@contextmanager
def bucket() -> Iterator[dict[str, str]]:
    """A bucket on loopback, as settings of the environment; its keys are made up."""
    from boto3 import client
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    keys = {
        "AWS_ACCESS_KEY_ID": secrets.token_hex(8),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
    }
    os.environ.update(keys)
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    made = client("s3", endpoint_url=endpoint, region_name="us-east-1")
    made.create_bucket(Bucket="results")
    made.close()
    try:
        yield {
            "CDESK_ARTIFACTS_URL": "s3://results",
            "CDESK_ARTIFACTS_ENDPOINT": endpoint,
            "CDESK_ARTIFACTS_REGION": "us-east-1",
        }
    finally:
        server.stop()


def from_a_bucket(
    folder: Path, rows: int, rounds: int, local: dict[str, float]
) -> dict[str, float]:
    """The card of a result in a bucket, on a computer that has no copy of it."""
    with bucket() as more:
        writer = StateDirectory(folder / "writer").ensure()
        settings = Settings(
            home=writer.root,
            customer=ADA,
            artifacts_url=more["CDESK_ARTIFACTS_URL"],
            artifacts_endpoint=more["CDESK_ARTIFACTS_ENDPOINT"],
            artifacts_region=more["CDESK_ARTIFACTS_REGION"],
        )
        id = put(writer, rows, settings)
        reader = StateDirectory(folder / "reader").ensure()
        (reader.root / "state.db").write_bytes(_database(writer))
        with serving(reader, **more) as server:
            before = server.memory
            first = server.get(server.link(id, "/rows"))[2]
            page = statistics.median(
                measured(lambda: server.get(server.link(id, "/rows"))[2], rounds)
            )
            chart = server.get(server.link(id, "/chart.svg", "&theme=light"))[2]
            far = f"&offset={max(rows // 2, 0)}"
            deep = statistics.median(
                measured(lambda: server.get(server.link(id, "/rows", far))[2], rounds)
            )
            if next(writer.artifacts_cache.rglob("*.parquet")).stat().st_size > WHOLE_BYTES:
                assert not list(reader.artifacts_cache.rglob("*.parquet")), (
                    "it is read where it lies"
                )
            return {
                "bucket_first_page_ratio": first / local["page_1_of_large"],
                "bucket_page_ratio": page / local["page_1_of_large"],
                "bucket_deep_page_ratio": deep / page,
                "bucket_chart_ratio": chart / local["chart_seconds_worst"],
                "bucket_memory_grown_mib": (server.memory - before) / 2**20,
            }


def _database(home: StateDirectory) -> bytes:
    with closing(open_state(home.state_db)) as state:
        state.execute("pragma wal_checkpoint(truncate)")
    return home.state_db.read_bytes()


@contextmanager
def serving(home: StateDirectory, **more: str) -> Iterator[Server]:
    environ = {**os.environ, "CDESK_HOME": str(home.root), "CDESK_CUSTOMER": ADA, **more}
    settings = Settings(home=home.root, customer=ADA)
    with subprocess.Popen(
        [sys.executable, "-m", "cdesk_app.render.server"], env=environ
    ) as process:
        try:
            while not home.render_json.exists():
                time.sleep(0.05)
            time.sleep(2)  # the chart engine starts beside
            yield Server(settings, home, process.pid)
        finally:
            process.terminate()


def measured(ask: Callable[[], float], rounds: int) -> list[float]:
    ask()
    return sorted(ask() for _ in range(rounds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--deep-rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = StateDirectory(Path(folder) / "home").ensure()
        large, deep = put(home, args.rows), put(home, args.deep_rows)
        many = [put(home, 5_000) for _ in range(100)]
        charts = [put(home, args.rows) for _ in range(3)]
        year_of_figures(home)
        catalog(home)
        with serving(home) as server:
            facts = measure(server, args.rounds, large, deep, many, charts, args.deep_rows)
        facts |= from_a_bucket(Path(folder), args.rows, args.rounds, facts)
    facts |= {"rows": args.rows, "deep_rows": args.deep_rows, "rounds": args.rounds}
    report(facts)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cards.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(
    server: Server,
    rounds: int,
    large: str,
    deep: str,
    many: list[str],
    charts: list[str],
    deep_rows: int,
) -> dict[str, float]:
    before = server.memory
    # The lower quartile: a page takes a millisecond, which whatever else runs here disturbs.
    empty = measured(lambda: server.get("/nowhere")[1], 4 * rounds)[rounds]
    page = server.link(large)
    first = measured(lambda: server.get(page)[1], 4 * rounds)[rounds]
    painted = [server.get(server.link(id, "/chart.svg", "&theme=light"))[2] for id in charts]
    of_large = server.link(large, "/rows")
    page_1_of_large = statistics.median(measured(lambda: server.get(of_large)[2], rounds))
    rows = server.link(deep, "/rows")
    page_1 = statistics.median(measured(lambda: server.get(rows)[2], rounds))
    offset = min(5_000 * 100, deep_rows - 100)
    far = f"{rows}&offset={offset}"
    page_5000 = statistics.median(measured(lambda: server.get(far)[2], rounds))
    with ThreadPoolExecutor(100) as pool:
        at_once = list(pool.map(lambda id: server.get(server.link(id))[0], many))
    opened = urlsplit(dashboard_link(server.settings, server.home, customer=ADA).url)
    server.cookie = server.get(f"/?{opened.query}")[3]["set-cookie"].partition(";")[0]
    dashboard = statistics.median(measured(lambda: server.get("/")[2], rounds))
    return {
        "empty_page_ms": empty * 1000,
        "first_byte_ratio": first / empty,
        "chart_seconds_worst": max(painted),
        "deep_page_ratio": page_5000 / page_1,
        "page_1_ms": page_1 * 1000,
        "page_1_of_large": page_1_of_large,
        "failed_of_100_at_once": float(sum(status != 200 for status in at_once)),
        "dashboard_seconds": dashboard,
        "memory_grown_mib": (server.memory - before) / 2**20,
    }


def report(facts: dict[str, float]) -> None:
    print(f"card of {facts['rows']:,} rows × 12 columns, {facts['deep_rows']:,} for the deep page")
    for name, key, aim, form in (
        ("first byte of a card : empty page", "first_byte_ratio", FIRST_BYTE_AIM, ".2f"),
        ("chart in the page, worst of 3, s", "chart_seconds_worst", CHART_SECONDS_AIM, ".2f"),
        ("page 5,000 : page 1", "deep_page_ratio", DEEP_AIM, ".2f"),
        ("of 100 cards at once failed", "failed_of_100_at_once", 0.0, ".0f"),
        ("dashboard with a year, s", "dashboard_seconds", DASHBOARD_SECONDS_AIM, ".3f"),
        ("bucket: middle page : page 1", "bucket_deep_page_ratio", DEEP_AIM, ".2f"),
    ):
        mark = "ok" if facts[key] <= aim else "over"
        print(f"  {name:<36} {facts[key]:>10{form}}   aim {aim:g}  {mark}")
    for name, key, form in (
        ("bucket: page 1 : page 1 local", "bucket_page_ratio", ".2f"),
        ("bucket: first look : page 1 local", "bucket_first_page_ratio", ".2f"),
        ("bucket: chart : chart local", "bucket_chart_ratio", ".2f"),
        ("memory grown, MiB", "memory_grown_mib", ".0f"),
        ("bucket: memory grown, MiB", "bucket_memory_grown_mib", ".0f"),
    ):
        print(f"  {name:<36} {facts[key]:>10{form}}")


if __name__ == "__main__":
    sys.exit(main())
