"""The dashboard over HTTP: on an empty installation, with a year of figures, and under fault."""

from __future__ import annotations

import http.client
import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import uvicorn

from cdesk.core.clock import format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk.state.facts import Fact, KillSwitch, write_status
from cdesk.state.status import BreakerState, LastBuild, LastLanding, Pressure
from cdesk_app.render.app import make_app
from cdesk_app.render.board_pages import board_routes
from cdesk_app.render.server import make_renderer, make_source
from cdesk_app.render.start import dashboard_link
from tests.browser import picture
from tests.integration.render.conftest import ADA, BOB, Answer, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page


@dataclass
class Visitor:
    """Keeps the session that a link began."""

    site: Site
    cookie: str = ""

    def open(self, customer: str = ADA) -> Answer:
        url = dashboard_link(self.site.settings, self.site.home, customer=customer).url
        answer = self.site.get(url.removeprefix(self.site.settings.render_url))
        self.cookie = answer.headers.get("set-cookie", "").partition(";")[0]
        return answer

    def get(self, path: str = "/") -> Answer:
        return self.site.get(path, Cookie=self.cookie)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    home = StateDirectory(tmp_path / "home").ensure()
    settings = Settings(home=home.root, customer=ADA, timezone="Europe/Berlin")
    renderer = make_renderer(settings, home)
    app = make_app(renderer, more=board_routes(renderer, make_source(settings, home)))
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Site(home, settings, server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    thread.join(60)


@pytest.fixture
def visitor(site: Site) -> Visitor:
    made = Visitor(site)
    made.open()
    return made


def figures(
    home: StateDirectory, *, days: int = 365, as_of: float | None = None, reached_ms: float = 30.0
) -> None:
    """As the worker exports them."""
    today = datetime.now(UTC).date()
    metrics: list[list[Any]] = []
    levels: list[list[Any]] = []
    for n in range(days, -1, -1):
        day = (today - timedelta(days=n)).isoformat()
        for name, factor in (("p50", 1), ("p95", 2), ("p99", 3)):
            metrics += [
                [day, f"turn_latency.latency_{name}_ms", "", 50 * factor + n % 7],
                [day, f"tool_latency.latency_{name}_ms", "get_context", 5 * factor],
                [day, f"ingestion_lag.lag_{name}_seconds", "", factor],
            ]
        metrics += [
            [day, "tool_latency.call_count", "get_context", 7],
            [day, "tool_latency.call_count", "<script>x</script>", 3],
            [day, "errors.error_count", "build", 2],
            [day, "adoption.activity_count", "", n % 11],
            [day, "query_costs.elapsed_seconds", "", 1.5],
            [day, "models.call_count", "large", 4],
            [day, "projects.question_count", "atlas", 5],
            [day, "projects.question_count", "birch", 2],
        ]
        levels += [
            [day, "first_token_path_p95_ms", 100.0, 300.0, "ms", "at_most", True],
            [day, "get_context_p95_ms", reached_ms, 25.0, "ms", "at_most", reached_ms <= 25],
            [day, "provenance_coverage", 0.991, 0.98, "ratio", "at_least", True],
        ]
    yesterday = (today - timedelta(days=1)).isoformat()
    levels.append([yesterday, "get_context_p95_ms", 9_999.0, 25.0, "ms", "at_most", False])
    insights: list[list[Any]] = [
        ["activity", "most_frequent", "cdesk.user_asked", True, "ab12cd34ef56ab78"],
        ["<img src=x onerror=alert(1)>", "x", "\u202ey", False, None],
    ]
    export(home, metrics, levels, insights, as_of=as_of)


def export(
    home: StateDirectory,
    metrics: list[list[Any]],
    levels: list[list[Any]],
    insights: list[list[Any]],
    *,
    as_of: float | None = None,
) -> None:
    document = {
        "as_of": format_ts(int((as_of or time.time()) * 1e9)),
        "metrics": {"columns": ["day", "metric", "of_what", "metric_value"], "rows": metrics},
        "levels": {
            "columns": ["day", "metric", "reached", "target", "unit", "comparison", "is_met"],
            "rows": levels,
        },
        "insights": {
            "columns": ["subject", "metric", "value", "verified", "provenance_query_hash"],
            "rows": insights,
        },
    }
    home.dashboard.write_bytes(orjson.dumps(document))


def a_good_year(home: StateDirectory) -> None:
    """Figures as of a team that works on weekdays, every target met; the same ones each time."""
    chance, today = random.Random(15), datetime.now(UTC).date()
    metrics: list[list[Any]] = []
    reached: dict[str, float] = {}
    for n in range(300, -1, -1):
        at = today - timedelta(days=n)
        day = at.isoformat()
        busy = 0.25 if at.weekday() > 4 else 1.0
        load = busy * (1 + 0.5 * math.sin(n / 35)) * chance.uniform(0.75, 1.25)
        for series, of, unit, level, low in (
            ("turn_latency.latency", "", "ms", "first_token_path_p95_ms", 46.0),
            ("tool_latency.latency", "get_context", "ms", "get_context_p95_ms", 4.1),
            ("ingestion_lag.lag", "", "seconds", "ingestion_lag_p95_s", 0.9),
            ("card_ready.ready", "", "seconds", "card_ready_p95_s", 0.8),
        ):
            median = low * (0.8 + 0.3 * load) * chance.uniform(0.95, 1.05)
            ends = (median, median * chance.uniform(1.9, 2.2), median * chance.uniform(2.8, 3.4))
            for name, value in zip(("p50", "p95", "p99"), ends, strict=True):
                metrics.append([day, f"{series}_{name}_{unit}", of, value])
            reached[level] = ends[1]
        for metric, of, most in (
            ("adoption.activity_count", "", 160),
            ("tool_latency.call_count", "submit_query", 24),
            ("tool_latency.call_count", "get_result", 31),
            ("tool_latency.call_count", "get_context", 18),
            ("tool_latency.call_count", "log_insight", 7),
            ("models.call_count", "claude-opus-4-8", 40),
            ("models.call_count", "claude-sonnet-5", 22),
            ("projects.question_count", "atlas", 14),
            ("projects.question_count", "birch", 9),
            ("projects.question_count", "cedar", 4),
            ("query_costs.elapsed_seconds", "", 55),
        ):
            metrics.append([day, metric, of, round(most * load)])
        if chance.random() < 0.1:
            metrics.append([day, "errors.error_count", chance.choice(("build", "get_result")), 1])
    day = today.isoformat()
    targets = {
        "first_token_path_p95_ms": (300.0, "ms"),
        "get_context_p95_ms": (25.0, "ms"),
        "ingestion_lag_p95_s": (5.0, "s"),
        "card_ready_p95_s": (8.0, "s"),
    }
    levels: list[list[Any]] = [
        [day, name, reached[name], target, unit, "at_most", True]
        for name, (target, unit) in targets.items()
    ]
    levels += [
        [day, "error_rate", 0.0021, 0.01, "ratio", "at_most", True],
        [day, "provenance_coverage", 0.994, 0.98, "ratio", "at_least", True],
        [day, "quarantine_rate", 0.0, 0.001, "ratio", "at_most", True],
    ]
    insights: list[list[Any]] = [
        ["questions", "change_in_30_days", 0.197, True, "7dd9f799093d94f2"],
        ["atlas", "most_used_tool", "submit_query", True, "ab12cd34ef56ab78"],
        ["birch", "median_session_minutes", 23.5, False, None],
    ]
    export(home, metrics, levels, insights)
    at = format_ts(time.time_ns() - 60 * 10**9)
    keep(home, LastLanding(at=at, rows=12), LastBuild(at=at, status="succeeded"))


def keep(home: StateDirectory, *facts: Fact) -> None:
    with closing(open_state(home.state_db)) as state:
        for fact in facts:
            write_status(state, fact, now="2026-01-31T12:00:00.000000Z")


def test_the_link_begins_a_session_and_leaves_no_signature_behind(site: Site) -> None:
    visitor = Visitor(site)
    opened = visitor.open()
    assert (opened.status, opened.headers["location"]) == (303, "/")
    cookie = opened.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert visitor.get().status == 200


def test_nothing_opens_without_a_session(site: Site) -> None:
    for path in ("/", "/board", "/events", "/board/calendar.svg"):
        assert site.get(path).status == 403, path
        assert site.get(path, Cookie="cdesk_session=a.b").status == 403, path
    page = site.get("/")
    assert "cdesk dashboard --open" in page.text


def test_another_customers_link_opens_nothing(site: Site) -> None:
    assert Visitor(site).open(BOB).status == 403


def test_a_cards_link_is_none_to_the_dashboard_and_a_session_opens_ones_cards(
    visitor: Visitor, site: Site
) -> None:
    mine, theirs = site.put({"v": [1]}), site.put({"v": [1]}, customer=BOB)
    query = site.link(mine).partition("?")[2]
    assert site.get(f"/?{query}").status == 403
    assert visitor.get(f"/c/{mine}").status == 200
    assert visitor.get(f"/c/{theirs}").status == 404


def test_an_empty_installation_says_how_to_begin(visitor: Visitor) -> None:
    page = visitor.get()
    assert page.status == 200
    assert "Nothing has happened yet" in page.text
    assert "make demo" in page.text
    assert page.text.count("not measured yet") == 4


def test_all_is_well_where_every_target_is_met(visitor: Visitor, site: Site) -> None:
    figures(site.home, days=5, reached_ms=20.0)
    assert "All is well" in visitor.get().text


def test_a_year_of_figures_is_held_against_its_targets(visitor: Visitor, site: Site) -> None:
    figures(site.home)
    page = visitor.get().text
    assert "1 target is missed" in page
    for text in ("100 ms", "target 300 ms", "30 ms", "target 25 ms", "99 %", "≥ 98 %"):
        assert text in page
    assert page.index("Top projects") < page.index("atlas") < page.index("birch")
    assert page.count(">missed<") == 1
    assert "activities on 366 days of the last year" in page or "activities on 365 days" in page
    assert "&lt;script&gt;x&lt;/script&gt;" in page
    assert "⟨U+202E⟩y" in page
    assert "<img src=x" not in page
    for name in ("first_token_path", "get_context", "ingestion_lag", "calendar", "costs"):
        plots = [visitor.get(f"/board/{name}.svg?theme={theme}") for theme in ("light", "dark")]
        assert [plot.status for plot in plots] == [200, 200], name
        assert plots[0].body != plots[1].body
    assert visitor.get("/board/nothing.svg").status == 404


def test_what_is_broken_is_said_beside_the_last_figures(visitor: Visitor, site: Site) -> None:
    """All that may be: tests/unit/cdesk_app/render/test_dashboard.py."""
    figures(site.home)
    keep(
        site.home,
        KillSwitch(on=True, reason="cost guard: <b>5 credits</b>"),
        LastBuild(status="build_failed", message="events: <b>no</b>"),
    )
    page = visitor.get().text
    for said in (
        *("2 things to look at", "off: cost guard: &lt;b&gt;5", "build failed: events: &lt;b&gt;"),
        *("cdesk kill-switch off", "cdesk worker --once", "target 300 ms"),
    ):
        assert said in page


def test_figures_that_make_no_sense_leave_the_page_whole(visitor: Visitor, site: Site) -> None:
    site.home.dashboard.write_bytes(b'{"metrics": {"columns": ["day"], "rows": [[1]]}}')
    page = visitor.get()
    assert page.status == 200
    assert page.text.rstrip().endswith("</html>")


def test_a_state_that_cannot_be_read_is_a_finding(visitor: Visitor, site: Site) -> None:
    with closing(open_state(site.home.state_db)) as state:
        state.execute("pragma user_version = 9999")
    page = visitor.get()
    assert page.status == 200
    assert "newer cdesk" in page.text


def test_old_figures_are_said_to_be_old(visitor: Visitor, site: Site) -> None:
    figures(site.home, days=3, as_of=time.time() - 3 * 86_400)
    assert "The figures are old" in visitor.get().text


def test_what_changes_is_told_to_an_open_page(visitor: Visitor, site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    connection.request("GET", "/events", headers={"Cookie": visitor.cookie})
    events = connection.getresponse()
    assert events.headers["Content-Type"].startswith("text/event-stream")

    def next_version() -> str:
        while not (line := events.readline().decode()).startswith("data: "):
            assert line, "the stream ended"
        return line.removeprefix("data: ").strip()

    first = next_version()
    assert visitor.get("/board").headers["x-version"] == first
    figures(site.home, days=10)
    second = next_version()
    assert second != first
    page = visitor.get("/board")
    assert page.headers["x-version"] == second
    assert date.today().isoformat()[:4] in page.text  # noqa: DTZ011 - the year alone
    connection.close()


# -- in a browser


def see(page: Page, site: Site) -> None:
    url = dashboard_link(site.settings, site.home, customer=ADA).url
    page.set_viewport_size({"width": 1200, "height": 900})
    page.goto(site.url(url.removeprefix(site.settings.render_url)))
    page.wait_for_selector("[data-ready=yes]")
    page.wait_for_selector("#live.on")
    page.wait_for_function("() => [...document.images].every((image) => image.complete)")


def test_the_board_is_live_from_empty_to_full_to_broken(site: Site, page: Page) -> None:
    see(page, site)
    assert page.inner_text("h1") == "Nothing has happened yet"
    assert "t=" not in page.url
    picture(page, "dashboard-empty")
    figures(site.home)
    page.wait_for_function(
        "() => document.querySelector('h1').textContent === '1 target is missed'"
    )
    page.wait_for_function(
        "() => [...document.images].length >= 5 && [...document.images].every((image) => image.naturalWidth > 100)"
    )
    picture(page, "dashboard")
    keep(
        site.home,
        BreakerState(state="open", reason="disk full"),
        KillSwitch(
            on=True,
            reason="cost guard: 5.35 credits today, the cap is 5.00",
            since="2026-01-31T11:58:00.000000Z",
        ),
        Pressure(
            step=2,
            reason="60,000 records and 3 queries wait: given up are fresh builds, previews",
            at="2026-01-31T11:59:00.000000Z",
        ),
    )
    page.wait_for_function(
        "() => document.querySelector('.findings')?.textContent.includes('disk full')"
    )
    picture(page, "dashboard-fault", whole=False)
    assert page.locator("main script, main img[src^='x']").count() == 0


def test_the_board_of_a_good_year_says_that_all_is_well(site: Site, page: Page) -> None:
    """The picture in the README."""
    a_good_year(site.home)
    page.emulate_media(color_scheme="dark")
    see(page, site)
    page.set_viewport_size({"width": 1000, "height": 1130})
    assert page.inner_text("h1") == "All is well"
    assert page.locator(".level .badge.good").count() == 4
    assert page.locator(".badge.bad").count() == 0
    page.wait_for_function("() => [...document.images].every((image) => image.naturalWidth > 100)")
    picture(page, "readme-dashboard", whole=False)


def test_the_board_fits_a_phone_in_the_dark(site: Site, page: Page) -> None:
    figures(site.home)
    page.emulate_media(color_scheme="dark")
    see(page, site)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(
        "() => [...document.images].every((one) => one.complete && one.currentSrc.includes('narrow=1'))"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture(page, "dashboard-phone")
