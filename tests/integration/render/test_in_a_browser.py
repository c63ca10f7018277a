"""Cards and dashboard in a real browser. With SCREENSHOTS=folder the pictures are kept there."""

from __future__ import annotations

import math
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdesk.state.catalog import write_catalog
from cdesk.state.database import open_state
from tests.browser import picture
from tests.integration.render.conftest import BERLIN

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

    from tests.integration.render.conftest import Site

DAY = datetime(2026, 1, 5, tzinfo=UTC)
PARAMS = {"activity": "cdesk.user_asked", "period": "day", "days_back": 30}


def by_day() -> dict[str, Any]:
    return {
        "period_start": [DAY + timedelta(days=n) for n in range(30)],
        "activity_count": [int(12 + 6 * math.sin(n / 3) + n / 4) for n in range(30)],
        "session_count": [1 + n % 4 for n in range(30)],
        "activity_count_before": [int(10 + 5 * math.cos(n / 4)) for n in range(30)],
    }


def show(page: Page, site: Site, id: str) -> Response:
    answer = page.goto(site.url(site.link(id)))
    assert answer is not None
    page.wait_for_selector("[data-ready=yes]")
    page.wait_for_function(
        "() => document.querySelector('#chart')?.classList.contains('loading') !== true"
    )
    return answer


def rows(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('#table tbody tr:not(.spacer)').length"))


def first_cells(page: Page) -> list[str]:
    texts: list[str] = page.locator("#table tbody tr").first.locator("td").all_inner_texts()
    return texts


def test_a_card_is_whole_and_says_that_it_was_painted(page: Page, site: Site) -> None:
    id = site.put(by_day(), PARAMS)
    show(page, site, id)
    assert re.match(r"\d+ questions in 30 days", page.inner_text("h1"))
    chart = page.locator("#picture")
    assert chart.evaluate("image => image.naturalWidth") > 600
    assert page.inner_text("h1").replace("\xa0", " ") in str(chart.get_attribute("alt"))
    assert rows(page) == 30
    page.wait_for_timeout(300)
    assert [told for told, _, kind in site.painted if kind == "series"] == [id]
    picture(page, "card")


def describe(site: Site, template: str, description: str) -> None:
    """Enter a template into the catalog."""
    entry = {
        "name": template,
        "description": description,
        "scope": "customer",
        "parameters": [],
        "sql": "select 1",
        "binds": [],
        "example": {},
        "hash": "0" * 16,
        "reuse": True,
        "evidence_columns": {},
    }
    now = "2026-02-04T07:00:00.000000Z"
    document = {"v": 1, "dialect": "duckdb", "content_hash": "0" * 16, "generated_at": now}
    with closing(open_state(site.home.state_db)) as state:
        write_catalog(site.home, state, {**document, "templates": {template: entry}}, now=now)


def test_a_card_of_a_month_says_what_was_asked_in_words(page: Page, site: Site) -> None:
    """The picture in the README."""
    said = "How often you did one activity in each hour, day, week or month, and how often before."
    describe(site, "activity_by_period", said)
    week = [14, 17, 18, 15, 13, 6, 7]
    month = {
        "period_start": [
            datetime(2026, 1, 5, tzinfo=BERLIN) + timedelta(days=n) for n in range(30)
        ],
        "activity_count": [week[n % 7] + n // 9 + n * 5 % 3 for n in range(30)],
        "session_count": [2 + n % 3 for n in range(30)],
        "activity_count_before": [8 + n // 8 + n * 7 % 5 for n in range(30)],
    }
    page.set_viewport_size({"width": 1000, "height": 910})
    show(page, site, site.put(month, {**PARAMS, "timezone": "Europe/Berlin"}))
    assert page.inner_text("h1").replace("\xa0", " ").startswith("457 questions in 30 days, ")
    assert said in page.inner_text(".asked")
    picture(page, "readme-card", whole=False)


def test_scrolling_loads_page_after_page_and_keeps_the_document_small(
    page: Page, site: Site
) -> None:
    id = site.put({"n": list(range(5_000)), "name": [f"row {n}" for n in range(5_000)]})
    show(page, site, id)
    assert rows(page) == 100
    for _ in range(24):
        page.evaluate("document.querySelector('#scroll').scrollTop += 3400")
        page.wait_for_timeout(60)
    page.wait_for_function(
        "() => Number(document.querySelector('#status').textContent.split(' ')[0].replaceAll(',', '')) >= 1500"
    )
    assert rows(page) <= 1_400
    page.evaluate("document.querySelector('#scroll').scrollTop = 0")
    page.wait_for_function(
        "() => document.querySelector('#table tbody tr td')?.textContent === '1'"
    )


def test_sorting_and_filtering_ask_the_server(page: Page, site: Site) -> None:
    id = site.put({"n": list(range(1_000)), "name": [f"n{n % 3}" for n in range(1_000)]})
    show(page, site, id)
    head = page.locator("th[data-place='0'] button")
    head.click()
    head.click()
    page.wait_for_function(
        "() => document.querySelector('#table tbody tr td:nth-child(2)').textContent === '999'"
    )
    assert page.locator("th[data-place='0']").get_attribute("aria-sort") == "descending"
    page.select_option("#column", "1")
    page.select_option("#operator", "eq")
    page.fill("#value", "n1")
    page.click("#add")
    page.wait_for_function("() => document.querySelector('#status').textContent.includes('333')")
    assert first_cells(page)[1:] == ["997", "n1"]
    page.click("#filters button")
    page.wait_for_function("() => document.querySelector('#status').textContent.includes('1,000')")
    page.fill("#search", "no such text")
    page.wait_for_function(
        "() => document.querySelector('#status').textContent.includes('No rows')"
    )


def test_a_download_is_a_file(page: Page, site: Site, tmp_path: Path) -> None:
    show(page, site, site.put(by_day(), PARAMS))
    with page.expect_download() as waiting:
        page.click("text=CSV")
    waiting.value.save_as(tmp_path / "x.csv")
    lines = (tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 31
    assert waiting.value.suggested_filename.startswith("activity_by_period_")


def test_dark_is_dark_with_a_chart_of_its_own(page: Page, site: Site) -> None:
    page.emulate_media(color_scheme="dark")
    show(page, site, site.put(by_day(), PARAMS))
    assert "theme=dark" in page.locator("#picture").evaluate("image => image.currentSrc")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", ground)[:3])) < 40
    picture(page, "card-dark")


def test_a_phone_shows_it_without_scrolling_sideways(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    columns = {**by_day(), "a long column name that goes on": ["x" * 200] * 30}
    show(page, site, site.put(columns, PARAMS))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert "narrow=1" in page.locator("#picture").evaluate("image => image.currentSrc")
    picture(page, "card-phone")


def test_printing_shows_the_rows_and_no_controls(page: Page, site: Site) -> None:
    show(page, site, site.put(by_day(), PARAMS))
    page.emulate_media(media="print")
    assert not page.locator("#tools").is_visible()
    assert not page.locator(".downloads").is_visible()
    height = page.evaluate("document.querySelector('#scroll').clientHeight")
    assert height >= page.evaluate("document.querySelector('#table').clientHeight")
    picture(page, "card-print")


def test_script_in_a_cell_does_not_run(page: Page, site: Site) -> None:
    evil = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "\u202egnp.exe"]  # fmt: skip
    columns = {"name": evil, "<b onclick=alert(1)>total": [4, 3, 2, 1]}
    show(page, site, site.put(columns, {"x": "</script><script>alert(1)</script>"}))
    assert page.locator("#table img, #table script, #table svg, h1 img").count() == 0
    assert first_cells(page)[1] == evil[0]
    assert page.evaluate("document.querySelectorAll('script').length") == 1


def test_whatever_a_result_holds_the_layout_stays_whole(page: Page, site: Site) -> None:
    wide: dict[str, Any] = {f"column_{n}_{'long' * 9}": [n, -n] for n in range(200)}
    odd = {"text": ["W" * 1_000_000, "\u202e" + "\u0645" * 90], "n": [1e308, -1e308], **wide}
    link = site.url(site.link(site.put(odd, {"path": "a" * 5_000})))
    for width in (1100, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(link)
        page.wait_for_selector("[data-ready=yes]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#table thead th").count() == 201, "200 and their place"
        height = page.locator("#table tbody tr").first.evaluate("row => row.offsetHeight")
        assert height < 60


def test_a_forged_link_is_a_page_that_says_so(page: Page, site: Site) -> None:
    id = site.put(by_day())
    answer = page.goto(site.url(site.link(id)[:-3] + "abc"))
    assert answer is not None
    assert answer.status == 403
    assert "This link opens nothing" in page.inner_text("h1")
    picture(page, "forged-link", whole=False)
