"""When stored results go, decided by the real warehouse."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.records import RETENTION_DAYS
from cdesk.core.clock import format_ts
from cdesk.core.identity import Caller
from cdesk.query.executor import Executor
from cdesk.query.provenance import Provenance
from cdesk.query.request import make_request
from cdesk.query.retention import hold_artifact
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import open_state
from tests.integration.queries.conftest import ADA, BOB, DAY_NS

if TYPE_CHECKING:
    from tests.integration.queries.conftest import Living


@pytest.fixture
def long_ago(living: Living) -> Iterator[Executor]:
    """Answers as they were given when a result of then is past its retention date now."""
    writer = QueueWriter(living.home.queue)
    yield Executor(
        living.home,
        living.pipeline.warehouse,
        writer,
        now_ns=lambda: time.time_ns() - (RETENTION_DAYS + 1) * DAY_NS,
    )
    writer.close()


def answer(living: Living, executor: Executor, caller: Caller) -> dict[str, Any]:
    request = make_request(
        living.catalog,
        caller,
        run_id=executor.new_id(),
        query_tag=executor.new_tag(),
        template="health",
        params={},
        fresh=True,
    )
    with contextlib.closing(open_state(living.home.state_db)) as state:
        return executor.answer(request, state)


def test_results_go_when_they_have_expired_unless_they_are_held(
    living: Living, long_ago: Executor
) -> None:
    store = LocalArtifacts(living.home.artifacts)
    goes, held, freed, of_bob = (
        answer(living, long_ago, caller)["artifact"] for caller in (ADA, ADA, ADA, BOB)
    )
    stays = living.query("health", fresh=True)["artifact"]

    def hold(artifact: dict[str, Any], *, on: bool) -> None:
        hold_artifact(
            living.pipeline.state,
            store,
            Provenance(living.pipeline.queue, time.time_ns),
            artifact["artifact_id"],
            customer=ADA.customer,
            on=on,
        )

    hold(held, on=True)
    hold(freed, on=True)
    hold(freed, on=False)
    living.pipeline.clean_up.run()
    everything = (goes, held, freed, of_bob, stays)
    assert all(store.exists(one["uri"]) for one in everything), "none of it has landed yet"
    living.land_and_build()
    living.pipeline.state.execute("delete from artifacts")  # the cache is lost: the hold counts
    living.pipeline.clean_up.run()
    assert [store.exists(one["uri"]) for one in everything] == [False, True, False, False, True]


def test_another_customers_record_makes_no_result_go(living: Living) -> None:
    result = living.query("health", fresh=True)["artifact"]
    with living.recorder_of(BOB) as recorder:
        recorder.record(
            "artifact",
            {
                "uri": result["uri"],
                "format": "parquet",
                "rows": 1,
                "bytes": 1,
                "sampled": False,
                "query_hash": "0" * 16,
                "expires_at": format_ts(time.time_ns() - DAY_NS),
                "legal_hold": False,
            },
        )
    living.land_and_build()
    living.pipeline.clean_up.run()
    assert LocalArtifacts(living.home.artifacts).exists(result["uri"])
