"""What capture brought in answers what people ask, exactly; and it can be taken out again: not a
byte of it stays, nor what was drawn from it, and what other sources brought is as if it had never
been there.
"""

from __future__ import annotations

import contextlib
import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import orjson
import pytest

from cdesk.contract.records import Record, parse_line
from cdesk.core.clock import IdSource
from cdesk.core.identity import Caller, customer_key
from cdesk.core.locks import FileLock
from cdesk.query.internal import read_rows
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk_app.worker.forgetting import forget_histories
from tests.integration.queries.conftest import ADA, Living
from tests.integration.queries.test_erasure import files_with
from uploader.histories import FolderReport, histories_in, import_histories
from uploader.sources.sample import Truth, write_history

CAROL = Caller("carol@example.com")
"""Of whom there is nothing but a history."""
DORA = Caller("dora@example.com")
"""Who logged what she asked, and had one answer of a model that no price is known of."""
ZONE = ZoneInfo("Europe/Berlin")
MODEL = "claude-sonnet-4-5-20250929"
LARGE_PROJECT, LESSER_PROJECT = "quarry", "pond"
PRICES = Path(__file__).parents[3] / "seeds" / "model_prices.csv"


OTHERS = (CAROL.customer, DORA.customer)


def standing(living: Living) -> dict[str, list[Any]]:
    """What a person can ask for, but for their own questions about it."""
    with contextlib.closing(duckdb.connect(living.home.warehouse, read_only=True)) as engine:
        return {
            name: engine.execute(sql).fetchall()
            for name, sql in {
                "events": "select * exclude (_landed_at) from activities.events "
                "where activity not in ('cdesk.context_refreshed', 'cdesk.artifact_created', "
                "'cdesk.sql_executed', 'cdesk.sql_completed') "
                f"and customer not in {OTHERS} order by customer, ts, _activity_id",
                "atoms": "select insight_id, subject, metric, value, verified, is_current "
                "from activities.insight_atoms order by insight_id",
                "context": "select customer, cast(context as json) -> '$.insights', "
                "cast(context as json) -> '$.recent_questions' from activities.context_cache "
                f"where customer not in {OTHERS} order by customer",
            }.items()
        }


@dataclass
class Captured:
    """A home into which histories came. end: of them all. before: what stood there before. records:
    Carol's.
    """

    living: Living
    end: datetime
    before: dict[str, list[Any]]
    user: Path
    report: FolderReport
    truth: Truth
    records: list[Record]

    def ask(self, template: str, caller: Caller = CAROL, **params: Any) -> list[dict[str, Any]]:
        """All rows of an answer, to Carol mostly, numbers as floats."""
        answer = read_rows(
            DuckDBWarehouse(self.living.home.warehouse),
            self.living.catalog.get(template),
            params,
            caller,
            query_tag=IdSource().query_tag(),
            timeout_seconds=60.0,
            timezone=str(ZONE),
        )
        return [
            {
                name: float(value) if isinstance(value, Decimal) else value
                for name, value in row.items()
            }
            for row in answer.rows
        ]

    def of(self, activity: str) -> list[Record]:
        return [one for one in self.records if one["activity"] == f"cdesk.{activity}"]


@pytest.fixture(scope="module")
def captured(living: Living, tmp_path_factory: pytest.TempPathFactory) -> Captured:
    """Ada's history and Carol's, landed and built."""
    before, home = standing(living), living.home
    end = datetime.now(UTC) - timedelta(days=1)

    def imported(user: Path, caller: Caller) -> FolderReport:
        source = histories_in(user)
        assert source is not None
        return import_histories(source, home=home, customer=caller.customer)

    user, carol, dora = map(tmp_path_factory.mktemp, ("ada", "carol", "dora"))
    write_history(user, end=end, responses=30, days=3)
    report = imported(user, ADA)
    truth = write_history(carol, end=end, responses=60, days=6, seed=21)
    day = truth.by_day.setdefault((end.strftime("%Y-%m-%d"), MODEL), defaultdict(int))
    for project, outputs in (
        (LARGE_PROJECT, (10, 10, 10, 900)), (LESSER_PROJECT, (10, 10, 10, 60))
    ):  # fmt: skip
        for number, output in enumerate(outputs, start=1):
            write_answer(carol, project, number, output, end)
            day["output_tokens"] += output
    imported(carol, CAROL)
    lines = [line for path in home.backlog.iterdir() for line in path.read_bytes().splitlines()]
    records = [one for one in map(parse_line, lines) if one["customer"] == CAROL.customer]
    living.pipeline.drain()  # which lets two files of the backlog in at once
    write_answer(dora, "orchard", 1, 5, end, model="claude-unheard-of")
    imported(dora, DORA)
    with living.recorder_of(DORA) as recorder:
        for topic in ("Late orders", " late orders"):
            recorder.event("user_asked", {"length": 3, "topic": topic}, session="dora-1")
        recorder.event("user_asked", {"length": 3}, session="dora-2")
        for number in (1, 2):
            recorder.event("session_started", {"title": "Refunds"}, session=f"dora-{number}")
    living.land_and_build()
    return Captured(living, end, before, user, report, truth, records)


def write_answer(
    user: Path, project: str, number: int, output: int, at: datetime, *, model: str = MODEL
) -> None:
    """A session of one answer."""
    session = f"{project}-{number}"
    usage = {"input_tokens": 1, "output_tokens": output}
    usage |= {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    line = {
        "type": "assistant",
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "sessionId": session,
        "cwd": f"/home/carol/{project}",
        "message": {"id": f"msg_{project}_{number}", "model": model, "usage": usage},
    }
    path = user / ".claude" / "projects" / project / f"{session}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(line) + b"\n")


def local(ts: str) -> datetime:
    return datetime.fromisoformat(ts).astimezone(ZONE)


def prices() -> dict[str, dict[str, float]]:
    """Model → prices, of those that a made-up history has: they never changed."""
    with PRICES.open(encoding="utf-8", newline="") as file:
        return {
            row["model_pattern"]: {
                name: float(value) for name, value in row.items() if name.endswith("_usd") and value
            }
            for row in csv.DictReader(file)
        }


def cost(features: Mapping[str, Any]) -> float:
    price = prices()[features["model"][:-9]]
    long_lived = features.get("cache_creation_1h_tokens", 0)
    return (
        features["input_tokens"] * price["input_usd"]
        + features["output_tokens"] * price["output_usd"]
        + features["cache_read_tokens"] * price["cache_read_usd"]
        + (features["cache_creation_tokens"] - long_lived) * price["cache_write_5m_usd"]
        + long_lived * price["cache_write_1h_usd"]
    ) / 1e6


def of_session(captured: Captured, activity: str, session: str) -> list[Record]:
    """The earliest first."""
    found = [one for one in captured.of(activity) if one["session_id"] == session]
    return sorted(found, key=lambda one: str(one["ts"]))


def whole_second(record: Record) -> int:
    return int(datetime.fromisoformat(record["ts"]).timestamp())


def percentile(values: list[float], share: float) -> float:
    """Between two values where it falls between them."""
    ranked = sorted(values)
    place = (len(ranked) - 1) * share
    low, high = ranked[int(place)], ranked[min(int(place) + 1, len(ranked) - 1)]
    return low + (high - low) * (place - int(place))


TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")


def summed(rows: Iterable[tuple[Any, Record]]) -> dict[str, tuple[float, ...]]:
    """Group → tokens of each kind, responses, cost."""
    found: dict[str, list[float]] = {}
    for group, record in rows:
        features = record["feature_json"]
        sums = found.setdefault(str(group), [0.0] * 6)
        for place, name in enumerate(TOKENS):
            sums[place] += features[name]
        sums[4] += 1
        sums[5] += cost(features)
    return {group: (*sums[:5], pytest.approx(sums[5])) for group, sums in found.items()}


@pytest.mark.parametrize("period", ["hour", "day", "week", "month", "session", "model", "project"])
def test_tokens_and_cost_are_exact_by_whatever_they_are_summed(
    captured: Captured, period: str
) -> None:
    group: Callable[[Record], Any] = {
        "hour": lambda one: local(one["ts"]).strftime("%Y-%m-%d %H:00"),
        "day": lambda one: local(one["ts"]).date(),
        "week": lambda one: local(one["ts"]).date() - timedelta(days=local(one["ts"]).weekday()),
        "month": lambda one: local(one["ts"]).date().replace(day=1),
        "session": lambda one: one["session_id"],
        "model": lambda one: one["feature_json"]["model"],
        "project": lambda one: one["feature_json"]["project"],
    }[period]
    told = {
        row["period_start"]: (*(row[name] for name in TOKENS), row["responses"], row["cost_usd"])
        for row in captured.ask("token_usage", period=period)
    }
    assert told == summed((group(one), one) for one in captured.of("claude_responded"))
    if period == "model":
        truth = Counter[str]()
        for (_, model), counts in captured.truth.by_day.items():
            truth[model] += counts["output_tokens"]
        assert {model: sums[1] for model, sums in told.items()} == truth, "to the token"


def test_windows_of_five_hours_hours_and_streaks(captured: Captured) -> None:
    moments = sorted(datetime.fromisoformat(one["ts"]) for one in captured.of("claude_responded"))
    blocks: list[list[datetime]] = []
    for moment in moments:
        start = blocks[-1][0].replace(minute=0, second=0, microsecond=0) if blocks else None
        if start is None or moment >= start + timedelta(hours=5):
            blocks.append([])
        blocks[-1].append(moment)
    told = [row["responses"] for row in captured.ask("usage_blocks")]
    assert sorted(told) == sorted(len(block) for block in blocks)
    hours = Counter[tuple[int, int]]()
    for one in (*captured.of("claude_responded"), *captured.of("user_asked")):
        hours[local(one["ts"]).isoweekday(), local(one["ts"]).hour] += 1
    assert hours == {
        (row["weekday"], row["hour_of_day"]): row["responses"] + row["questions"]
        for row in captured.ask("busiest_hours")
    }
    days = {local(one["ts"]).date() for one in captured.of("claude_responded")}
    days |= {local(one["ts"]).date() for one in captured.of("user_asked")}
    streaks = captured.ask("streaks")
    assert sum(row["days"] for row in streaks) == len(days)
    for row in streaks:
        assert row["first_day"] - timedelta(days=1) not in days
        assert row["last_day"] + timedelta(days=1) not in days


def test_conversations_projects_tools_files_and_errors(captured: Captured) -> None:
    sessions = Counter(one["session_id"] for one in captured.of("tool_called"))
    asked = captured.ask("conversations", order="most_tools")
    assert {row["session_id"]: row["tool_calls"] for row in asked if row["tool_calls"]} == sessions
    assert [row["tool_calls"] for row in asked] == sorted(sessions.values(), reverse=True) + [0] * (
        len(asked) - len(sessions)
    )
    answered = {one["session_id"] for one in captured.of("claude_responded")}
    titles = {
        one["session_id"]: one["feature_json"].get("title")
        for one in captured.of("session_started")
        if one["session_id"] in answered
    }
    assert {row["session_id"]: row["title"] for row in asked} == titles
    questions_of = Counter(one["session_id"] for one in captured.of("user_asked"))
    for row in asked:
        answers = of_session(captured, "claude_responded", row["session_id"])
        first, *_ = of_session(captured, "user_asked", row["session_id"]) or answers
        spent = whole_second(answers[-1]) - min(map(whole_second, (first, answers[0])))
        assert row["duration_minutes"] == pytest.approx(spent / 60)
        tokens = sum(one["feature_json"][name] for one in answers for name in TOKENS)
        assert (row["turns"], row["responses"], row["total_tokens"]) == (
            questions_of[row["session_id"]], len(answers), tokens,
        )  # fmt: skip
        assert row["cost_usd"] == pytest.approx(sum(cost(one["feature_json"]) for one in answers))
    for order, name in {
        "costliest": "cost_usd", "longest": "duration_minutes", "latest": "started_at"
    }.items():  # fmt: skip
        values = [row[name] for row in captured.ask("conversations", order=order)]
        assert values == sorted(values, reverse=True)
    by_project: dict[str, set[str]] = defaultdict(set)
    for one in captured.of("claude_responded"):
        by_project[one["feature_json"]["project"]].add(one["session_id"])
    questions = Counter(one["feature_json"]["project"] for one in captured.of("user_asked"))
    assert {
        row["project"]: (row["conversations"], row["questions"]) for row in captured.ask("projects")
    } == {name: (len(ids), questions[name]) for name, ids in by_project.items()}
    calls, bad = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    latencies: dict[tuple[str, str], list[float]] = defaultdict(list)
    for one in captured.of("tool_called"):
        features = one["feature_json"]
        key = (features.get("server", "built in"), features["tool"])
        calls[key] += 1
        bad[key] += features["outcome"] == "error"
        latencies[key].append(features["latency_ms"])
    told = {(row["server"], row["tool"]): row for row in captured.ask("tools")}
    assert {key: row["calls"] for key, row in told.items()} == calls
    assert all(row["errors"] == bad[key] for key, row in told.items())
    assert all(row["error_rate"] == bad[key] / calls[key] for key, row in told.items())
    for key, row in told.items():
        for share, name in ((0.5, "latency_p50_ms"), (0.95, "latency_p95_ms")):
            assert row[name] == pytest.approx(percentile(latencies[key], share)), (key, name)
    files = captured.ask("files_touched", limit=1000)
    assert sum(row["times_read"] for row in files) == len(captured.of("file_read"))
    assert sum(row["times_written"] for row in files) == len(captured.of("file_written"))
    assert sum(row["lines_added"] for row in files) == sum(
        one["feature_json"]["lines_added"] for one in captured.of("file_written")
    )
    codes = Counter(one["feature_json"]["error_code"] for one in captured.of("error_encountered"))
    assert codes == {row["error_code"]: row["errors"] for row in captured.ask("errors_and_limits")}


def test_savings_outliers_and_what_was_said(captured: Captured) -> None:
    answers = [one["feature_json"] for one in captured.of("claude_responded")]
    assert {row["model"]: row["responses"] for row in captured.ask("models")} == Counter(
        features["model"] for features in answers
    )
    saved = Counter[str]()
    for features in answers:
        read, created = features["cache_read_tokens"], features["cache_creation_tokens"]
        as_input = (read + created) * prices()[features["model"][:-9]]["input_usd"] / 1e6
        cached = cost({**features, "input_tokens": 0, "output_tokens": 0})
        saved[features["model"]] += as_input - cached
    told = {row["model"]: row["saved_usd"] for row in captured.ask("cache_savings")}
    assert told == {model: pytest.approx(value) for model, value in saved.items()}
    titles = (one["feature_json"].get("title") for one in captured.of("session_started"))
    title = next(filter(None, titles))
    found = captured.ask("search_history", text=title)
    assert title in {row["snippet"] for row in found} | {row.get("title") for row in found}
    assert captured.ask("search_history", text="zqxv") == []


def test_sessions_far_over_the_average_of_their_project(captured: Captured) -> None:
    sums = Counter[tuple[str, str]]()
    for one in captured.of("claude_responded"):
        features = one["feature_json"]
        key = (features["project"], one["session_id"])
        sums[key] += sum(features[name] for name in TOKENS)
    of_projects: dict[str, list[int]] = defaultdict(list)
    for (project, _), tokens in sums.items():
        of_projects[project].append(tokens)
    averages = {name: sum(tokens) / len(tokens) for name, tokens in of_projects.items()}
    expected = {
        (project, session): pytest.approx(tokens / averages[project])
        for (project, session), tokens in sums.items()
        if tokens > 2 * averages[project]
    }
    told = captured.ask("outliers")
    assert {(row["project"], row["session_id"]): row["times_average"] for row in told} == expected
    assert {LARGE_PROJECT, LESSER_PROJECT} <= {project for project, _ in expected}
    shares = [row["times_average"] for row in told]
    assert shares == sorted(shares, reverse=True)
    assert captured.ask("outliers", limit=1) == told[:1]


def test_what_was_asked_about(captured: Captured) -> None:
    titles = {
        one["session_id"]: one["feature_json"].get("title")
        for one in captured.of("session_started")
    }
    asked: dict[str, list[Record]] = defaultdict(list)
    for one in captured.of("user_asked"):
        if title := titles[one["session_id"]]:
            asked[title].append(one)
    told = captured.ask("topics")
    assert {row["topic"]: (row["questions"], row["conversations"]) for row in told} == {
        title: (len(ones), len({one["session_id"] for one in ones}))
        for title, ones in asked.items()
    }
    for row in told:
        moments = [datetime.fromisoformat(one["ts"]) for one in asked[row["topic"]]]
        first, last = (row[f"{name}_asked_at"].replace(tzinfo=UTC) for name in ("first", "last"))
        assert (first, last) == (min(moments), max(moments))
    counts = [row["questions"] for row in told]
    assert counts == sorted(counts, reverse=True)
    # Of what was logged the topic counts, whatever case it is in, before the title.
    dora = captured.ask("topics", DORA)
    assert [(row["topic"], row["questions"], row["conversations"]) for row in dora] == [
        ("late orders", 2, 1),
        ("Refunds", 1, 1),
    ]


@pytest.mark.parametrize("limits", [{}, {"day": 2.0, "month": 40.0}], ids=["none", "two"])
def test_what_this_day_week_and_month_cost(captured: Captured, limits: dict[str, float]) -> None:
    def starts() -> dict[str, datetime]:
        midnight = datetime.now(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
        monday = midnight - timedelta(days=midnight.weekday())
        return {"day": midnight, "week": monday, "month": midnight.replace(day=1)}

    before = starts()
    told = {row["period"]: row for row in captured.ask("budget", **limits)}
    after = starts()
    assert told.keys() == before.keys()
    for period, row in told.items():
        start = row["period_start"].replace(tzinfo=UTC)
        assert start in (before[period], after[period])
        spent = sum(
            cost(one["feature_json"])
            for one in captured.of("claude_responded")
            if datetime.fromisoformat(one["ts"]) >= start
        )
        assert row["spent_usd"] == pytest.approx(spent)
        assert row["limit_usd"] == limits.get(period)
        share = spent / limits[period] if period in limits else None
        assert row["used_share"] == (share if share is None else pytest.approx(share))
        assert row["unpriced_responses"] == 0
    assert told["month"]["spent_usd"] >= told["day"]["spent_usd"]
    for row in captured.ask("budget", DORA, **limits):
        is_in_it = captured.end.replace(microsecond=0) >= row["period_start"].replace(tzinfo=UTC)
        assert (row["unpriced_responses"], row["spent_usd"]) == ((1, None) if is_in_it else (0, 0))
        assert row["used_share"] == (0 if row["period"] in limits and not is_in_it else None)


def test_what_was_captured_goes_with_all_that_rests_on_it(captured: Captured) -> None:
    living, user, before, report = (
        captured.living, captured.user, captured.before, captured.report
    )  # fmt: skip
    home = living.home
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
    end = datetime.now(UTC) - timedelta(days=1)
    write_history(user, responses=10, days=3, end=end, seed=8)
    source = histories_in(user)
    assert source is not None
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
