"""What capture brought in can be taken out again: not a byte of it stays, nor what was drawn from
it, and what other sources brought is as if it had never been there.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from cdesk.core.identity import customer_key
from cdesk.core.locks import FileLock
from cdesk_app.worker.forgetting import forget_histories
from tests.integration.queries.conftest import ADA, Living
from tests.integration.queries.test_erasure import files_with
from uploader.histories import histories_in, import_histories
from uploader.sources.sample import write_history


def standing(living: Living) -> dict[str, list[Any]]:
    """What a person can ask for, but for their own questions about it."""
    with contextlib.closing(duckdb.connect(living.home.warehouse, read_only=True)) as engine:
        return {
            name: engine.execute(sql).fetchall()
            for name, sql in {
                "events": "select * exclude (_landed_at) from activities.events "
                "where activity not in ('cdesk.context_refreshed', 'cdesk.artifact_created', "
                "'cdesk.sql_executed', 'cdesk.sql_completed') order by customer, ts, _activity_id",
                "atoms": "select insight_id, subject, metric, value, verified, is_current "
                "from activities.insight_atoms order by insight_id",
                "context": "select customer, cast(context as json) -> '$.insights', "
                "cast(context as json) -> '$.recent_questions' from activities.context_cache "
                "order by customer",
            }.items()
        }


def test_what_was_captured_goes_with_all_that_rests_on_it(living: Living, tmp_path: Path) -> None:
    home = living.home
    before = standing(living)
    user = tmp_path / "user"
    end = datetime.now(UTC) - timedelta(days=1)
    write_history(user, responses=30, days=3, end=end)
    source = histories_in(user)
    assert source is not None
    report = import_histories(source, home=home, customer=ADA.customer)
    living.land_and_build()
    usage = living.query("token_usage", {"period": "model"})
    asked = living.query("activity_counts", {"days_back": 30})
    with living.recorder_of() as recorder:
        total = usage["rows"][0][[one["name"] for one in usage["columns"]].index("total_tokens")]
        recorder.insight("tokens", "by_model", total, usage["query_hash"])
        recorder.insight("activity", "most_frequent", asked["rows"][0][1], asked["query_hash"])
    marks = [path.stem.encode() for path in user.rglob("projects/**/*.jsonl")]
    marks = [mark for mark in marks if len(mark) == 36]
    assert len(files_with(home.root, *marks)) >= 2
    living.land_and_build()
    with living.recorder_of() as recorder:
        recorder.insight("tokens", "waiting", total, usage["query_hash"])
    late = living.query("token_usage", {"period": "day"})
    total = late["rows"][0][[one["name"] for one in late["columns"]].index("total_tokens")]
    with living.recorder_of() as recorder:  # the run itself has not landed yet
        recorder.insight("tokens", "late", total, late["query_hash"])
    write_history(user, responses=10, days=3, end=end, seed=8)
    assert import_histories(source, home=home, customer=ADA.customer).added, "it waits"

    result = usage["artifact"]["artifact_id"]
    reading: set[bool] = set()

    def tell(_step: str) -> None:
        with FileLock(home.root / "capture.lock") as is_free:
            reading.add(is_free)

    builder = living.pipeline._builder
    done = forget_histories(living.settings, home, builder=builder, tell=tell)
    assert reading == {False}, "no import begins meanwhile"
    living.land_and_build()
    assert done.counts["events"] == sum(
        count for activity, count in report.records.items() if activity != "revision"
    )
    assert done.counts["lines of histories that wait"] > 0
    assert (done.counts["insight_atoms"], done.left) == (4, [])
    assert standing(living) == before
    assert files_with(home.root, *marks) == []
    assert list(home.root.glob("capture.db*")) == []
    assert not list((home.artifacts / customer_key(ADA.customer)).rglob(f"{result}*"))
