"""A state directory as its user has it after a while: two customers, every kind of record, landed
and built by the worker itself.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdesk.contract.catalog import Catalog, Parameter, Template, load_catalog
from cdesk.contract.records import Kind, encode, make_record
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.core.identity import ANALYST, Caller
from cdesk.query.direct import run_now
from cdesk.queue.writer import QueueWriter
from cdesk_app.worker.cycle import run_cycle
from cdesk_app.worker.pipeline import Pipeline, open_pipeline
from tests.kept_open import kept_open

ADA = Caller("ada@example.com", frozenset((ANALYST,)))
BOB = Caller("bob@example.com", frozenset())
SECRET = "only-bob-knows"
"""Stands in everything of Bob's that a template could show."""

DAY_NS = 86_400 * 1_000_000_000
FEATURES: dict[str, Any] = {
    "user_asked": {"length": 12, "question": "how many?", "project": "atlas"},
    "claude_responded": {
        "model": "large",
        "length": 99,
        "input_tokens": 10,
        "output_tokens": 20,
        "latency_ms": 812.5,
    },
    "llm_called": {"model": "small", "input_tokens": 1, "output_tokens": 2, "latency_ms": 88.25},
    "tool_called": {"tool": "get_context", "latency_ms": 0.4, "outcome": "ok"},
    "file_read": {"kind": "pdf", "$.kind": "path-like", "*": "star", 'quo"te': "quoted"},
    "error_encountered": {"error_code": "invalid_argument", "message": "-"},
}


@dataclass
class CallerRecorder:
    """Writes records of one customer into the queue, as a shim does."""

    writer: QueueWriter
    customer: str
    ids: IdSource

    def record(
        self, kind: Kind, fields: dict[str, Any], *, ago_ns: int = 0, session: str | None = None
    ) -> str:
        id = self.ids.uuid7()
        record = make_record(
            kind,
            id=id,
            ts=format_ts(time.time_ns() - ago_ns),
            customer=self.customer,
            session_id=session,
            query_tag=self.ids.query_tag(),
            fields=fields,
        )
        self.writer.append(encode(record))
        return id

    def event(self, activity: str, features: dict[str, Any], **options: Any) -> str:
        fields = {
            "anonymous_customer_id": None,
            "activity": f"cdesk.{activity}",
            "feature_json": features,
            "link": None,
            "revenue_impact": 1.5,
        }
        return self.record("event", fields, **options)

    def insight(self, subject: str, metric: str, value: Any, query_hash: str | None) -> str:
        fields = {
            "subject": subject,
            "metric": metric,
            "value": value,
            "provenance_query_hash": query_hash,
        }
        return self.record("insight", fields)


@functools.lru_cache(maxsize=8)
def _catalog(path: Path, mtime_ns: int) -> Catalog:
    """Read again when it was written again."""
    del mtime_ns
    return load_catalog(path)


@dataclass
class Built:
    """The state directory and who it is asked by."""

    home: StateDirectory
    settings: Settings

    @property
    def catalog(self) -> Catalog:
        return _catalog(self.home.catalog, self.home.catalog.stat().st_mtime_ns)

    def query(
        self,
        template: str,
        params: dict[str, Any] | None = None,
        caller: Caller = ADA,
        **options: Any,
    ) -> dict[str, Any]:
        return run_now(self.settings, template, params or {}, caller, **options)

    @contextlib.contextmanager
    def recorder_of(self, caller: Caller = ADA) -> Iterator[CallerRecorder]:
        """To write records as a shim of `caller` does."""
        writer = QueueWriter(self.home.queue)
        try:
            yield CallerRecorder(writer, caller.customer, IdSource())
        finally:
            writer.close()


def fill(recorder: CallerRecorder, *, seed: int, mark: str) -> None:
    """Two hundred activities over ten days in five sessions."""
    rng = random.Random(seed)
    for _ in range(200):
        activity = rng.choice(list(FEATURES))
        recorder.event(
            activity,
            {**FEATURES[activity], "note": mark},
            ago_ns=rng.randrange(10 * DAY_NS),
            session=f"{mark}-{rng.randrange(5)}",
        )


@pytest.fixture(scope="session")
def original(first_round: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Built once; not to be changed (`built` is a copy)."""
    root = tmp_path_factory.mktemp("queries") / "home"
    shutil.copytree(first_round, root)
    home = StateDirectory(root).ensure()
    settings = Settings(
        home=home.root, customer=ADA.customer, worker="off", environ=dict(os.environ)
    )
    built = Built(home, settings)
    for seed, (caller, mark) in enumerate(((ADA, "ada-knows"), (BOB, SECRET))):
        with built.recorder_of(caller) as recorder:
            fill(recorder, seed=seed, mark=mark)
            recorder.insight("revenue", "weekly_total", mark, None)
    with contextlib.closing(
        open_pipeline(settings, home, stop=threading.Event())
    ) as pipeline:  # one dbt process for both cycles
        run_cycle(pipeline)
        for caller in (ADA, BOB):
            counts = built.query("activity_counts", {"days_back": 30}, caller)
            with built.recorder_of(caller) as recorder:
                recorder.insight(
                    "activity", "most_frequent", counts["rows"][0][1], counts["query_hash"]
                )
                recorder.insight("activity", "made_up", 123_456, counts["query_hash"])
        run_cycle(pipeline)
    return built


@pytest.fixture(scope="module")
def asked(original: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """A state directory in which nothing lands: each test of the module asks for what none of the
    others does.
    """
    made = copy(original, tmp_path_factory.mktemp("asked") / "home", without=("dbt",))
    with kept_open(made.home.warehouse):
        yield made


@pytest.fixture
def built(original: Built, tmp_path: Path) -> Built:
    """A state directory of the test's own, queue and results included."""
    return copy(original, tmp_path / "own", without=("dbt",))


def copy(original: Built, root: Path, *, without: Sequence[str] = ()) -> Built:
    """without: what a test of questions alone does not need, dbt's own state."""
    shutil.copytree(original.home.root, root, ignore=shutil.ignore_patterns(*without))
    return Built(
        StateDirectory(root),
        Settings(home=root, customer=ADA.customer, worker="off", environ=dict(os.environ)),
    )


@dataclass
class Living(Built):
    """A state directory with its worker's work at hand, dbt kept warm."""

    pipeline: Pipeline

    def land_and_build(self) -> None:
        """Land what is queued, and build."""
        self.pipeline.drain()
        self.pipeline.build()


@pytest.fixture(scope="session")
def living(original: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """One for all modules: their tests each ask questions of their own, and take nothing out."""
    with alive(original, tmp_path_factory.mktemp("living") / "home") as living:
        yield living


@contextlib.contextmanager
def alive(original: Built, root: Path) -> Iterator[Living]:
    """A copy at `root` with its worker's work at hand."""
    built = copy(original, root)
    with contextlib.closing(
        open_pipeline(built.settings, built.home, stop=threading.Event())
    ) as pipeline:
        yield Living(built.home, built.settings, pipeline)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`template_name`: every template of the project, found as files so that none is missed."""
    if "template_name" in metafunc.fixturenames:
        folder = Path(__file__).resolve().parents[3] / "analyses" / "safesql"
        metafunc.parametrize("template_name", sorted(path.stem for path in folder.glob("*.sql")))


def texts(parameter: Parameter) -> bool:
    """Whether a parameter takes text of any kind."""
    return parameter.type.removeprefix("list[").removesuffix("]") not in (
        "integer",
        "number",
        "boolean",
    )


def example(template: Template) -> dict[str, Any]:
    return dict(template.example)
