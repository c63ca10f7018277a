"""What the dashboard makes of the exported figures and of the state of this moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from cdesk.core.config import Settings
from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.queue.overview import Overview, Queue, Worker, gather
from cdesk.state.facts import KillSwitch
from cdesk.state.status import (
    BreakerState,
    LastBuild,
    LastLanding,
    LastTest,
    Pressure,
    Quarantined,
    Spent,
)
from cdesk_app.render.dashboard import Board, Figures, Finding, Level, make_board

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
AT = "2026-03-04T10:30:00.000000Z"
QUEUE = Queue(records=0, bytes=0, files=0, oldest=None, foreign=[], held={})
METRICS = ("day", "metric", "of_what", "metric_value")
LEVELS = ("day", "metric", "reached", "target", "unit", "comparison", "is_met")


@pytest.fixture(scope="module")
def overview(tmp_path_factory: pytest.TempPathFactory) -> Overview:
    """Of a directory in which nothing has happened."""
    home = StateDirectory(tmp_path_factory.mktemp("home") / "cdesk").ensure()
    return gather(Settings(home=home.root, customer="ada"), home)


def day(back: int) -> str:
    return (NOW.date() - timedelta(days=back)).isoformat()


def board(
    overview: Overview | Exception,
    folder: Path,
    *,
    metrics: list[list[Any]] | None = None,
    levels: list[list[Any]] | None = None,
    **document: Any,
) -> Board:
    for name, columns, rows in (("metrics", METRICS, metrics), ("levels", LEVELS, levels)):
        if rows is not None:
            document[name] = {"columns": columns, "rows": rows}
    path = folder / "dashboard.json"
    if document:
        path.write_bytes(orjson.dumps(document))

    def look() -> Overview:
        if isinstance(overview, Exception):
            raise overview
        return overview

    return make_board(Figures(path), look, UTC, now=NOW.timestamp)


def test_an_empty_directory_has_nothing_to_look_at(overview: Overview, tmp_path: Path) -> None:
    made = board(overview, tmp_path)
    assert (made.findings, made.heading) == ([], "Nothing has happened yet")
    assert dict(made.now) == {
        "in the queue": "0",
        "queries waiting": "0",
        "queries running": "0",
        "worker": "asleep",
        "last landing": "never",
        "last build": "never",
    }
    assert (made.more, made.errors, made.tops, made.insights, made.charts) == ([], [], [], [], {})
    assert {(one.reached, one.target, one.is_met, one.chart) for one in made.levels} == {
        ("–", "not measured yet", None, None)
    }


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        ({"kill_switch": KillSwitch(on=True, since=AT)}, Finding("Queries are switched off", "since 2026-03-04 10:30", "cdesk kill-switch off")),
        ({"kill_switch": KillSwitch(on=True, reason="spend")}, Finding("Queries are switched off: spend", "now", "cdesk kill-switch off")),
        ({"spent": Spent(problem="no right", read_at=AT)}, Finding("What is spent cannot be read: no right", "since 2026-03-04 10:30", "cdesk doctor")),
        ({"pressure": Pressure(step=1, reason="many wait", at=AT)}, Finding("Under pressure, many wait", "since 2026-03-04 10:30", "cdesk status")),
        ({"breaker": BreakerState(state="open"), "last_landing": LastLanding(at=AT)}, Finding("The warehouse does not take records", "since 2026-03-04 10:30", "cdesk doctor")),
        ({"breaker": BreakerState(state="open", reason="full")}, Finding("The warehouse does not take records: full", "now", "cdesk doctor")),
        ({"worker": Worker(False, problem="no disk")}, Finding("The worker ended: no disk", "now", "cdesk worker")),
        ({"queue": replace(QUEUE, records=1, oldest="2026-03-04T11:49:59Z")}, Finding("1 record has not landed", "since 2026-03-04 11:49", "cdesk worker --once")),
        ({"queue": replace(QUEUE, records=2, oldest="2026-03-04T11:49:59Z"), "worker": Worker(True)}, Finding("2 records have not landed", "since 2026-03-04 11:49", "cdesk doctor")),
        ({"queue": replace(QUEUE, records=10_001, oldest="2026-03-04T11:50:00Z")}, Finding("The queue is deep: 10,001 records", "since 2026-03-04 11:50", "cdesk status")),
        ({"last_build": LastBuild(status="build_failed", at=AT)}, Finding("The last build failed: build_failed", "since 2026-03-04 10:30", "cdesk worker --once")),
        ({"last_build": LastBuild(status="build_failed", message="events: no")}, Finding("The last build failed: events: no", "now", "cdesk worker --once")),
        ({"last_test": LastTest(failed=("a", "b", "c", "d"), at=AT)}, Finding("Data tests fail: a, b, c", "since 2026-03-04 10:30", "cdesk worker --once --full")),
        ({"quarantine": Quarantined(lines=1, at=AT)}, Finding("1 line in quarantine", "since 2026-03-04 10:30", "cdesk quarantine list")),
    ],
)  # fmt: skip
def test_what_is_broken_is_named_with_since_when_and_what_to_do(
    given: dict[str, Any], finding: Finding, overview: Overview, tmp_path: Path
) -> None:
    made = board(replace(overview, **given), tmp_path)
    assert (made.findings, made.heading) == ([finding], "1 thing to look at")


@pytest.mark.parametrize(
    "given",
    [
        {"worker": Worker(True, problem="of the last one")},
        {"queue": replace(QUEUE, records=10_000, oldest="2026-03-04T11:50:00Z")},
        {"last_build": LastBuild(status="tests_failed")},
        {"last_build": LastBuild(status="succeeded", message="x")},
        {"breaker": BreakerState(state="half_open", reason="full")},
    ],
)
def test_what_is_as_it_should_be_is_no_finding(
    given: dict[str, Any], overview: Overview, tmp_path: Path
) -> None:
    assert board(replace(overview, **given), tmp_path).findings == []


def test_what_cannot_be_read_or_is_old_is_a_finding(overview: Overview, tmp_path: Path) -> None:
    for error, what in (
        (StateDirectoryError("state.db is locked"), "state.db is locked"),
        (PermissionError("/home/ada"), "the queue cannot be read"),
    ):
        made = board(error, tmp_path)
        assert (made.findings, made.now) == ([Finding(what, "now", "cdesk doctor")], [])
    assert board(overview, tmp_path, as_of="2026-03-03T12:00:00Z").findings == []
    (found,) = board(overview, tmp_path, as_of="2026-03-03T11:59:59Z").findings
    assert (found.what, found.since) == ("The figures are old", "since 2026-03-03 11:59")
    (tmp_path / "dashboard.json").write_bytes(b"{")
    (found,) = board(overview, tmp_path).findings
    assert (found.what, found.todo) == (
        "the exported figures cannot be read",
        "cdesk worker --once",
    )


@pytest.mark.parametrize(
    ("content", "is_read"),
    [
        (b"", False),
        (b"[1]", False),
        (b'{"metrics": {"rows": [[1]]}}', False),
        (b'{"metrics": {"columns": ["day"], "rows": [1]}}', False),
        (b'{"insights": {"columns": 7, "rows": []}}', False),
        (b'{"insights": [1]}', False),
        (b'{"insights": [], "as_of": "no"}', False),
        (b'{"levels": null, "metrics": {"columns": ["day"], "rows": [[1]]}}', True),
        (b'{"levels": {"columns": ["metric", "reached"], "rows": [["get_context_p95_ms", null], ["x", "y"]]}}', True),
    ],
)  # fmt: skip
def test_figures_that_make_no_sense_leave_the_rest(
    content: bytes, is_read: bool, overview: Overview, tmp_path: Path
) -> None:
    (tmp_path / "dashboard.json").write_bytes(content)
    made = board(overview, tmp_path)
    assert [finding.what for finding in made.findings] == (
        [] if is_read else ["the exported figures cannot be read"]
    )
    assert (made.more, made.tops, len(made.levels)) == ([], [], 4)


def test_moments_of_today_are_told_by_the_clock(overview: Overview, tmp_path: Path) -> None:
    given = replace(
        overview,
        worker=Worker(True),
        last_landing=LastLanding(at=AT),
        last_build=LastBuild(at="2026-03-03T23:59:00Z", status="succeeded"),
    )
    told = dict(board(given, tmp_path).now)
    assert (told["worker"], told["last landing"], told["last build"]) == (
        "running", "10:30", "2026-03-03",
    )  # fmt: skip


def test_a_level_is_the_latest_that_was_measured_against_its_target(
    overview: Overview, tmp_path: Path
) -> None:
    levels = [
        [day(0), "get_context_p95_ms", 12.345, 25.0, "ms", "at_most", True],
        [day(1), "get_context_p95_ms", 99.0, 25.0, "ms", "at_most", False],
        [day(0), "error_rate", 0.0213, 0.01, "ratio", "at_most", False],
        [day(0), "provenance_coverage", 0.991, 0.98, "ratio", "at_least", True],
        [day(0), "new_level_s", 1234.5, 2000.0, "s", "at_most", True],
        [day(0), "card_ready_p95_s", float("nan"), 8.0, "s", "at_most", True],
        [day(0), "ingestion_lag_p95_s", None, 5.0, "s", "at_most", True],
    ]
    metrics = [[day(n), "tool_latency.latency_p95_ms", "get_context", 5 + n] for n in (0, 1, 90)]
    made = board(overview, tmp_path, metrics=metrics, levels=levels)
    known = {one.name: one for one in made.levels}
    assert known["get_context"] == Level(
        "get_context", "12.3 ms", "target 25 ms", True, "get_context",
        "get_context by day: median, 95th and 99th percentile. The 95th is 12.3 ms.",
    )  # fmt: skip
    assert {known[name].is_met for name in ("First-token path", "Ingestion lag", "Card ready")} == {
        None
    }
    assert made.more == [
        Level("Error rate", "2.1 %", "≤ 1 %", False),
        Level("new_level_s", "1,230 s", "≤ 2,000 s", True),
        Level("Clickable provenance", "99 %", "≥ 98 %", True),
    ]
    assert made.heading == "1 target is missed"
    assert len(made.charts["get_context"]["data"]["values"]) == 2, "of ninety days, today one"


def test_a_levels_plot_has_three_percentiles_of_ninety_days_and_its_target(
    overview: Overview, tmp_path: Path
) -> None:
    metrics: list[list[Any]] = [
        [day(n), f"{series}_{name}_{unit}", part, at + n]
        for series, part, unit in (
            ("turn_latency.latency", "", "ms"),
            ("tool_latency.latency", "get_context", "ms"),
            ("tool_latency.latency", "log_event", "ms"),
            ("ingestion_lag.lag", "", "seconds"),
        )
        for at, name in ((100, "p99"), (10, "p50"), (50, "p95"))
        for n in (1, 0, 89, 90)
    ]
    metrics.append([day(0), "card_ready.ready_p50_seconds", "", 3])
    levels = [[day(0), "ingestion_lag_p95_s", 4.0, 1234.5, "s", "at_most", True]]
    made = board(overview, tmp_path, metrics=metrics, levels=levels)
    assert sorted(made.charts) == ["first_token_path", "get_context", "ingestion_lag"]
    for plot in made.charts.values():
        assert [(one["t"], one["s"], one["v"]) for one in plot["data"]["values"]] == [
            (f"{day(n)}T00:00:00", name, at + n)
            for name, at in (("p50", 10), ("p95", 50), ("p99", 100))
            for n in (89, 1, 0)
        ]
    rules = {
        name: [layer["mark"].get("text") for layer in plot["layer"]][1:]
        for name, plot in made.charts.items()
    }
    assert rules["first_token_path"] == rules["get_context"] == [], "without a target"
    assert rules["ingestion_lag"] == [None, "target 1,234.5 s", "target 1,234.5 s"]
    rule = made.charts["ingestion_lag"]["layer"][1]["encoding"]["y"]
    assert rule == {"datum": 1234.5, "type": "quantitative"}
    assert [(one.name, one.chart, one.is_met) for one in made.levels] == [
        ("First-token path", "first_token_path", None),
        ("get_context", "get_context", None),
        ("Ingestion lag", "ingestion_lag", True),
        ("Card ready", None, None),
    ]
    one_day = [row for row in metrics if row[0] == day(0)]
    assert board(overview, tmp_path, metrics=one_day).charts == {}, "one day is no line"


def test_a_level_that_is_not_whole_is_left_out(overview: Overview, tmp_path: Path) -> None:
    whole = dict(
        zip(LEVELS, [day(0), "error_rate", 0.02, 0.01, "ratio", "at_most", False], strict=True)
    )
    for change in (
        {"metric": None}, {"unit": None}, {"comparison": None}, {"is_met": None},
        {"reached": None}, {"target": None},
    ):  # fmt: skip
        kept = {name: value for name, value in whole.items() if name not in change}
        section = {"columns": list(kept), "rows": [list(kept.values())]}
        path = tmp_path / "dashboard.json"
        path.write_bytes(orjson.dumps({"levels": section}))
        assert make_board(Figures(path), lambda: overview, UTC, now=NOW.timestamp).more == []
    for name, bad in (("reached", float("inf")), ("target", float("nan")), ("target", "x")):
        row = [bad if column == name else value for column, value in whole.items()]
        assert board(overview, tmp_path, levels=[row, row[:3]]).more == []
    named = [day(0), "m" * 61, 2.0, 1.0, "s", "at_least", True]
    (level,) = board(overview, tmp_path, levels=[named]).more
    assert level.name == "m" * 60 + "… (61 characters)"


def test_figures_are_read_again_when_their_file_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.json"
    figures = Figures(path)
    assert figures.get() == ({}, None)
    path.write_bytes(b'{"levels": null}')
    first = figures.get()[0]
    assert first == {"levels": None}
    assert figures.get()[0] is first
    (tmp_path / "new").write_bytes(b'{"insights": null}')
    (tmp_path / "new").replace(path)
    assert figures.get() == ({"insights": None}, None)
    path.unlink()
    assert figures.get() == ({}, None)


def test_what_is_long_is_cut_where_everybody_sees_it(overview: Overview, tmp_path: Path) -> None:
    long = "x" * 201
    given = replace(
        overview,
        kill_switch=KillSwitch(on=True, reason=long),
        spent=Spent(problem=long, read_at=AT),
        pressure=Pressure(step=1, reason=long, at=AT),
        last_build=LastBuild(status="build_failed", message=long),
        last_test=LastTest(failed=(long,), at=AT),
    )
    made = board(given, tmp_path, metrics=[[day(1), "errors.error_count", "y" * 61, 2]])
    assert [finding.what.partition("x")[0] for finding in made.findings] == [
        "Queries are switched off: ",
        "What is spent cannot be read: ",
        "Under pressure, ",
        "The last build failed: ",
        "Data tests fail: ",
    ]
    assert all(finding.what.endswith("x" * 200 + "… (201 characters)") for finding in made.findings)
    assert made.errors == [("y" * 60 + "… (61 characters)", "2")]
    assert made.heading == "5 things to look at"


def test_sums_are_of_thirty_days_the_largest_first(overview: Overview, tmp_path: Path) -> None:
    metrics: list[list[Any]] = [
        *([day(n), "errors.error_count", "build", 2] for n in (0, 29, 30)),
        [day(1), "errors.error_count", "shim", 4],
        [day(1), "errors.error_count", "none", 0],
        *([day(1), "errors.error_count", name, count] for name, count in (("zip", 9), ("aa", 4))),
        *([day(1), "tool_latency.call_count", f"tool{n}", 100 / (n + 1) ** 3] for n in range(8)),
        ["no day", "errors.error_count", "build", 9],
        [day(1), "errors.error_count", "build", "many"],
    ]
    made = board(overview, tmp_path, metrics=metrics)
    assert made.errors == [("zip", "9"), ("aa", "4"), ("build", "4"), ("shim", "4")]
    ((name, rows),) = made.tops
    assert name == "Top tools"
    assert rows == [
        ("tool0", "100", 100),
        ("tool1", "12.5", 12),
        ("tool2", "3.704", 4),
        ("tool3", "1.562", 2),
        ("tool4", "0.8", 2),
        ("tool5", "0.463", 2),
    ]
    assert made.heading == "All is well"


def test_costs_are_credits_where_there_are_some_else_seconds(
    overview: Overview, tmp_path: Path
) -> None:
    seconds: list[list[Any]] = [
        [day(n), "query_costs.elapsed_seconds", "", 1.5] for n in (0, 89, 90)
    ]
    credits: list[list[Any]] = [[day(n), "query_costs.credits", "", 2] for n in (0, 1)]
    assert board(overview, tmp_path, metrics=seconds[::2]).charts == {}, "one day is no line"
    made = board(overview, tmp_path, metrics=seconds)
    assert made.alts["costs"] == "3 seconds of queries in 90 days"
    made = board(overview, tmp_path, metrics=[*seconds, *credits])
    assert made.alts["costs"] == "4 credits in 90 days"
    plot = made.charts["costs"]
    assert plot["data"]["values"] == [
        {"t": f"{day(n)}T00:00:00", "v": 2.0, "s": ""} for n in (1, 0)
    ]
    assert (plot["width"], plot["height"]) == (440, 160)
    encoding = plot["layer"][0]["encoding"]
    assert (encoding["y"]["title"], encoding["x"]["axis"]["format"]) == ("credits", "%-d %b")
    assert [layer["mark"]["type"] for layer in plot["layer"]] == ["area", "point"], "no mean"


def test_the_calendar_is_a_year_of_whole_weeks_from_monday(
    overview: Overview, tmp_path: Path
) -> None:
    before = NOW.date() - timedelta(days=2 + 52 * 7)
    days = (NOW.date(), before, before - timedelta(days=1))
    metrics = [[one.isoformat(), "adoption.activity_count", "", 3] for one in days]
    made = board(overview, tmp_path, metrics=metrics)
    assert made.alts["calendar"] == "6 activities on 2 days of the last year"
    wide, narrow = (_values(made.charts[name], "day") for name in ("calendar", "calendar_narrow"))
    assert (len(wide), wide[0], wide[-1]) == (
        52 * 7 + 3,
        {"week": 0, "day": "Mon", "v": 3.0},
        {"week": 52, "day": "Wed", "v": 3.0},
    )
    assert (len(narrow), narrow[0]["week"]) == (23 * 7 + 3, 29)
    for name in ("calendar", "calendar_narrow"):
        assert made.charts[name]["layer"][0]["encoding"]["color"]["title"] == "activities"
    marked = {one["text"]: one["week"] for one in _values(made.charts["calendar_narrow"], "text")}
    assert marked == {"Oct": 31, "Nov": 35, "Dec": 39, "Jan": 44, "Feb": 48, "Mar": 52}
    months = [one["text"] for one in _values(made.charts["calendar"], "text")]
    first = date(2025, 3, 3)
    assert before == first
    assert months == [
        *("Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"),
        "Mar",
    ]


def _values(spec: Any, having: str) -> list[Any]:
    """The values in a specification that have a field."""
    if isinstance(spec, dict):
        values = spec.get("values")
        if isinstance(values, list) and values and having in values[0]:
            return values
        spec = list(spec.values())
    if isinstance(spec, list):
        for part in spec:
            if found := _values(part, having):
                return found
    return []


def test_insights_are_shown_whatever_their_columns_are_called(
    overview: Overview, tmp_path: Path
) -> None:
    section = {
        "columns": ["subject", "metric", "insight_value", "is_verified", "provenance_query_hash"],
        "rows": [
            ["a" * 81, "m" * 81, "x", True, "h" * 17],
            *[["b", "n", None, False, None]] * 12,
        ],
    }
    made = board(overview, tmp_path, insights=section)
    assert len(made.insights) == 12
    assert made.insights[0] == (
        "a" * 80 + "… (81 characters)",
        "m" * 80 + "… (81 characters)",
        "x",
        "h" * 16 + "… (17 characters)",
        True,
    )
    assert made.insights[1] == ("b", "n", "–", "", False)
    section = {"columns": ["subject", "value", "verified", "more"], "rows": [["a", 1, True]]}
    assert board(overview, tmp_path, insights=section).insights == [("a", "", "1", "", True)]


def test_the_version_moves_with_what_the_page_shows(overview: Overview, tmp_path: Path) -> None:
    one, same = (board(overview, tmp_path) for _ in range(2))
    assert one.version() == same.version()
    other = board(replace(overview, quarantine=Quarantined(lines=1)), tmp_path)
    later = board(overview, tmp_path, as_of=AT)
    assert len({one.version(), other.version(), later.version()}) == 3
