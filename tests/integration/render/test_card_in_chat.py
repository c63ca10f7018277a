"""The card inside the conversation: the real server's page and answers, in a real browser, inside a
minimal host on the public app bridge from npm, bundled here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from cdesk.artifacts.local import LocalArtifacts
from cdesk.core.clock import format_ts
from cdesk.core.home import StateDirectory
from cdesk.query.pages import PageWriter
from cdesk.state.database import open_state
from cdesk.state.pages import ask_for_page, fail_page, page_count
from cdesk.state.tickets import claim_ticket, expiry_of, finish_ticket, submit_ticket
from cdesk_app.render.charts import chart_of
from cdesk_app.render.paint import Painter
from cdesk_app.render.pictures import keep_pictures
from cdesk_app.render.start import card_link
from cdesk_app.render.table import Table
from mcp_shim.tools.card import CARD_URI, EXTENSION, MIME_TYPE
from mcp_shim.transports.http_metrics import exposition
from tests.browser import picture
from tests.integration.render.conftest import ADA, Site
from tests.integration.render.test_in_a_browser import PARAMS, by_day
from tests.integration.shim.harness import Wire
from tests.needs import need, need_program

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, FrameLocator, Page

HOST = Path(__file__).parent / "host"
SHOWS = {"extensions": {EXTENSION: {"mimeTypes": [MIME_TYPE]}}}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The host's script, with the bridge in it."""
    npm = need_program("npm", "npm and node (apt-get install npm)")
    folder = tmp_path_factory.mktemp("host")
    for name in ("package.json", "host.js"):
        shutil.copy(HOST / name, folder)
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    ran = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=240, check=False)  # fmt: skip
    need(ran.returncode == 0, "@modelcontextprotocol/ext-apps and esbuild from npm")
    program = shutil.which("esbuild", path=str(folder / "node_modules" / ".bin"))
    need(program, "esbuild (npm)")
    assert program is not None
    built = subprocess.run(
        [program, "host.js", "--bundle", "--format=iife", "--log-level=error"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return built.stdout


def answered(site: Site, columns: dict[str, Any], *, painted: bool = True) -> tuple[str, str]:
    """A ticket that has succeeded as the worker leaves it; its id, and the artifact's."""
    id = site.put(columns, PARAMS)
    made = chart_of(Table(site.file(id)), PARAMS, ZoneInfo("Europe/Berlin"))
    if painted and made.spec is not None:
        keep_pictures(site.home, ADA, id, made.spec, Painter())
    link = card_link(site.settings, site.home, artifact_id=id, customer=ADA)
    now = format_ts(time.time_ns())
    with closing(open_state(site.home.state_db)) as state:
        ((kept,),) = state.execute(
            "select result from query_runs where ticket_id = ?", (id,)
        ).fetchall()
        result = orjson.loads(kept) | {
            "pages": page_count(Table(site.file(id)).row_count),
            "headline": made.headline,
            "finding": made.finding,
            "alt": made.alt,
            "chart": made.kind,
            "card": {"url": link.url, "expires_at": link.expires_at},
        }
        ticket = site.ids.uuid7()
        submit_ticket(
            state,
            ticket_id=ticket,
            customer=ADA,
            is_analyst=True,
            session_id=None,
            template="activity_by_period",
            params=PARAMS,
            query_hash=result["query_hash"],
            query_tag=result["query_tag"],
            byte_cap=None,
            submitted_at=now,
            expires_at=expiry_of(now),
        )
        assert claim_ticket(state, runner="test", now=now) is not None
        assert finish_ticket(
            state, ticket, runner="test", status="succeeded", now=now, result=orjson.dumps(result)
        )
    return ticket, id


def server(home: StateDirectory, capabilities: dict[str, Any]) -> Wire:
    wire = Wire(home)
    about = {"name": "wire", "version": "1"}
    wire.request(
        "initialize",
        {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": about},
    )
    wire.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    return wire


# -- by protocol


def test_the_tool_names_its_page_and_the_page_is_whole_in_itself(site: Site) -> None:
    with server(site.home, SHOWS) as wire:
        listed = wire.request("tools/list")["result"]["tools"]
        (tool,) = (tool for tool in listed if tool["name"] == "get_result")
        assert tool["_meta"]["ui"]["resourceUri"] == CARD_URI
        resources = wire.request("resources/list")["result"]["resources"]
        assert MIME_TYPE in [one["mimeType"] for one in resources if one["uri"] == CARD_URI]
        (page,) = wire.request("resources/read", {"uri": CARD_URI})["result"]["contents"]
    assert page["mimeType"] == MIME_TYPE
    html = page["text"]
    assert len(html.encode()) <= 200_000
    assert re.findall(r"(?:src|href)=\"(?!data:)[^\"]+\"|@import|url\(", html) == []
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', html)
    assert "unsafe" not in policy
    for tag, name in (("script", "script-src"), ("style", "style-src")):
        ((_, text),) = re.findall(rf"<{tag}([^>]*)>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy


def test_a_model_reads_text_and_the_page_gets_the_chart(site: Site) -> None:
    ticket, artifact = answered(site, by_day())
    with server(site.home, SHOWS) as wire:
        answer = wire.call("get_result", {"ticket_id": ticket})
    text = answer["content"][0]["text"]
    result = answer["structuredContent"]["result"]
    assert text.startswith(f"**{result['headline']}**")
    assert text.count("\n| 2026-01-") == 10
    assert "10 of 30 rows." in text
    assert result["card"]["url"] in text
    provenance = text.splitlines()[-1]
    for value in ("activity_by_period", result["query_hash"], "cdesk_1a2b3c4d", artifact):
        assert value in provenance
    chart = answer["_meta"]["cdesk/chart"]
    assert chart["light"].startswith("<svg")
    assert chart["light"] != chart["dark"]
    assert "<svg" not in json.dumps([answer["content"], answer["structuredContent"]])


def test_a_client_without_the_extension_gets_text_and_an_image_where_it_asks(site: Site) -> None:
    ticket, _ = answered(site, by_day())
    with server(site.home, {}) as wire:
        plain = wire.call("get_result", {"ticket_id": ticket})
        with_chart = wire.call("get_result", {"ticket_id": ticket, "chart": True})
    assert "_meta" not in plain
    assert [one["type"] for one in plain["content"]] == ["text"]
    assert [one["type"] for one in with_chart["content"]] == ["text", "image"]
    image = with_chart["content"][1]
    assert image["mimeType"] == "image/png"
    assert base64.b64decode(image["data"]).startswith(b"\x89PNG")


def recorded(site: Site, activity: str, artifact: str) -> list[dict[str, Any]]:
    """The records of an activity about an artifact, as they stand in the queue."""
    lines = [
        orjson.loads(line)
        for file in site.home.queue.rglob("*.ndjson")
        for line in file.read_bytes().splitlines()
    ]
    found = [line["feature_json"] for line in lines if line.get("activity") == activity]
    return [features for features in found if features.get("artifact_id") == artifact]


def test_what_somebody_waited_for_the_chart_is_on_record_once(site: Site) -> None:
    ticket, id = answered(site, by_day(), painted=False)
    with server(site.home, {}) as wire:  # nobody sees a page there
        wire.call("get_result", {"ticket_id": ticket})
    with server(site.home, SHOWS) as wire:
        assert "_meta" not in wire.call("get_result", {"ticket_id": ticket})
        made = chart_of(Table(site.file(id)), PARAMS, ZoneInfo("UTC"))
        assert made.spec is not None
        keep_pictures(site.home, ADA, id, made.spec, Painter())
        for _ in range(2):
            assert "_meta" in wire.call("get_result", {"ticket_id": ticket})
    (ready,) = recorded(site, "cdesk.card_ready", id)
    assert (ready["shown_in"], ready["chart"], ready["rows"]) == ("chat", made.kind, 30)
    assert ready["template"] == "activity_by_period"
    assert ready["elapsed_ms"] > 0
    told = exposition(site.settings, site.home).body.decode()
    assert 'cdesk_card_ready_seconds_count{shown_in="chat"} ' in told


# -- in the host


def opened(
    browser: BrowserContext, bundle: str, wire: Wire, ticket: str, **context: Any
) -> tuple[Page, FrameLocator]:
    """The host with the answer of `ticket` shown in it."""
    page = browser.new_page()
    page.set_viewport_size({"width": 720, "height": 900})
    page.expose_function(
        "callTool", lambda params: json.dumps(wire.request("tools/call", json.loads(params))["result"])
    )  # fmt: skip
    page.set_content("<!doctype html><body style='margin:12px'></body>")
    page.add_script_tag(content=bundle)
    (html,) = wire.request("resources/read", {"uri": CARD_URI})["result"]["contents"]
    answer = wire.call("get_result", {"ticket_id": ticket})
    page.evaluate(
        "([html, input, answer, context]) => window.show(html, input, answer, context)",
        [html["text"], {"ticket_id": ticket}, answer, {"theme": "light", "locale": "en-GB", "timeZone": "Europe/Berlin", **context}],
    )  # fmt: skip
    frame = page.frame_locator("iframe")
    frame.locator("main[data-state=succeeded]").wait_for()
    return page, frame


def test_a_host_shows_it_in_its_theme_and_size_and_opens_the_whole(
    browser: BrowserContext, bundle: str, site: Site
) -> None:
    ticket, _ = answered(site, by_day())
    with server(site.home, SHOWS) as wire:
        page, frame = opened(browser, bundle, wire, ticket)
        assert re.match(r"\d+ questions in 30 days", frame.locator("h1").inner_text())
        chart = frame.locator("#chart")
        assert chart.evaluate("image => image.decode().then(() => image.naturalWidth)") > 600
        assert "questions" in str(chart.get_attribute("alt"))
        assert frame.locator("#rows tr").count() == 10
        assert frame.locator("#rows td").first.inner_text() == "5 Jan 2026, 01:00"
        page.wait_for_function("() => window.sizes.at(-1) > 400")
        light = chart.get_attribute("src")
        picture(page, "chat-light", whole=False)
        page.evaluate(
            "window.bridge.setHostContext({theme: 'dark', locale: 'en-GB', timeZone: 'Europe/Berlin'})"
        )
        frame.locator("html[data-theme=dark]").wait_for()
        assert chart.get_attribute("src") != light
        page.evaluate("document.body.style.background = '#1b1d20'")
        picture(page, "chat-dark", whole=False)
        frame.locator("#open").click()
        page.wait_for_function("() => window.opened.length === 1")
        assert "/c/" in page.evaluate("window.opened[0]")
        page.close()


def test_the_page_turns_pages_and_says_what_went_wrong(
    browser: BrowserContext, bundle: str, site: Site
) -> None:
    ticket, id = answered(site, by_day())
    with closing(open_state(site.home.state_db)) as state:
        writer = PageWriter(LocalArtifacts(site.home.artifacts))
        writer.write_ahead(state, id, customer=ADA)
        state.execute("delete from result_pages where artifact_id = ? and page = 3", (id,))
        ask_for_page(state, id, 3, customer=ADA, now=format_ts(time.time_ns()))
        fail_page(state, id, 3, code="gone", message="the stored file is gone")
    with server(site.home, SHOWS) as wire:
        page, frame = opened(browser, bundle, wire, ticket)
        count, before, after = (frame.locator(f"#{one}") for one in ("count", "before", "after"))
        assert count.inner_text() == "Rows 1–10 of 30"
        assert before.is_disabled()
        after.click()
        frame.get_by_text("Rows 11–20 of 30").wait_for()
        assert frame.locator("#rows td").first.inner_text() == "15 Jan 2026, 01:00"
        assert frame.locator("#rows tr").count() == 10
        assert frame.locator("#chart").is_visible()
        after.click()
        frame.get_by_text("the stored file is gone").wait_for()
        assert frame.locator("#rows td").first.inner_text() == "15 Jan 2026, 01:00"
        before.click()
        frame.get_by_text("Rows 1–10 of 30").wait_for()
        picture(page, "chat-pages", whole=False)
        page.close()


def test_a_chart_that_is_painted_later_arrives(
    browser: BrowserContext, bundle: str, site: Site
) -> None:
    ticket, id = answered(site, by_day(), painted=False)
    with server(site.home, SHOWS) as wire:
        page, frame = opened(browser, bundle, wire, ticket)
        assert not frame.locator("#chart").is_visible()
        made = chart_of(Table(site.file(id)), PARAMS, ZoneInfo("UTC"))
        assert made.spec is not None
        keep_pictures(site.home, ADA, id, made.spec, Painter())
        frame.locator("#chart").wait_for(state="visible", timeout=15_000)
        page.close()


def test_hostile_cells_stay_text_in_the_chat_too(
    browser: BrowserContext, bundle: str, site: Site
) -> None:
    evil = [
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(1)</script>",
        "\u202egnp.exe|x",
        None,
    ]
    ticket, _ = answered(site, {"name": evil, "<b>total": [4, 3, 2, 1]})
    with server(site.home, SHOWS) as wire:
        text = wire.call("get_result", {"ticket_id": ticket})["content"][0]["text"]
        assert "\u202e" not in text
        assert "gnp.exe\\|x" in text
        page, frame = opened(browser, bundle, wire, ticket)
        said: list[str] = []
        page.on("dialog", lambda dialog: (said.append("dialog"), dialog.dismiss()))
        assert frame.locator("#rows img, #rows script, #head b").count() == 0
        assert frame.locator("#rows td").first.inner_text() == evil[0]
        assert "⟨U+202E⟩" in frame.locator("#rows").inner_text()
        assert said == []
        page.close()
