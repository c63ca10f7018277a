"""`cdesk review`: of which time, where its files go, and what is told of it. What it shows is tested
in tests/unit/cdesk_app/render.
"""

from __future__ import annotations

import json
import sys
import webbrowser
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from command_line import runner

from cdesk.core.home import StateDirectory
from cdesk.state import catalog
from cdesk.warehouse import factory
from cdesk_app.render import review, review_figures
from cdesk_app.render.review import Review


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked for and how it was drawn."""
    calls: list[Any] = []

    def gather(warehouse: Any, found: Any, caller: Any, period: Any, **given: Any) -> Any:
        calls.append((warehouse.name, found, caller.customer, period.name, given))
        return SimpleNamespace(responses=1_200, total_tokens=3_400, cost_usd=5.5)

    def make(figures: Any, **given: Any) -> Review:
        calls.append((figures.responses, given))
        return Review("<html>ü", "<svg>", b"PNG")

    warehouse = SimpleNamespace(name="warehouse", close=lambda: calls.append("closed"))
    monkeypatch.setattr(factory, "open_warehouse", lambda *_: warehouse)
    monkeypatch.setattr(catalog, "sealed_catalog", lambda _: "catalog")
    monkeypatch.setattr(review_figures, "gather", gather)
    monkeypatch.setattr(review, "make_review", make)
    return calls


@pytest.fixture
def cdesk(
    state_home: StateDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    del state_home
    monkeypatch.setenv("CDESK_TIMEZONE", "Europe/Berlin")

    return runner(capsys, "review")


def test_it_is_written_in_three_forms_for_its_person_alone(
    cdesk: Callable[..., str], made: list[Any], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "folder"
    page, card = out / "claude-2026-03.html", out / "claude-2026-03"
    assert cdesk("2026-03", "--out", str(out)).splitlines() == [
        f"{page}: March 2026, 1,200 responses",
        f"{card}.png: the card to share; {card}.svg: the same as SVG",
    ]
    assert [page.with_suffix(f".{kind}").read_bytes() for kind in ("html", "svg", "png")] == [
        *("<html>ü".encode(), b"<svg>", b"PNG"),
    ]
    if sys.platform != "win32":
        assert {file.stat().st_mode & 0o777 for file in out.iterdir()} == {0o600}
    asked, closed, drawn = made
    assert closed == "closed"
    assert asked[:4] == ("warehouse", "catalog", "ada@example.com", "2026-03")
    assert asked[4]["timezone"] == "Europe/Berlin"
    assert asked[4]["now"].tzinfo == ZoneInfo("Europe/Berlin")
    assert drawn == (1_200, {"zone": "Europe/Berlin", "projects": True})
    cdesk("2026-03", "--out", str(out), "--hide-projects")
    assert made[-1][1]["projects"] is False


def test_figures_for_a_program(cdesk: Callable[..., str], made: list[Any], tmp_path: Path) -> None:
    told = json.loads(cdesk("2026-W12", "--out", str(tmp_path), "--json"))
    assert told == {
        "html": str(tmp_path / "claude-2026-W12.html"),
        "svg": str(tmp_path / "claude-2026-W12.svg"),
        "png": str(tmp_path / "claude-2026-W12.png"),
        "responses": 1_200,
        "total_tokens": 3_400,
        "cost_usd": 5.5,
    }
    assert len(made) == 3


def test_without_a_period_it_is_the_year_on_the_persons_clock_and_here(
    cdesk: Callable[..., str],
    made: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    zone = ZoneInfo("Europe/Berlin")
    before = datetime.now(zone).year
    cdesk()
    assert made[0][3] in (str(before), str(datetime.now(zone).year))
    assert (tmp_path / f"claude-{made[0][3]}.html").exists()


def test_the_page_is_opened_on_demand_alone(
    cdesk: Callable[..., str],
    made: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    cdesk("2026", "--out", str(tmp_path))
    assert opened == []
    monkeypatch.chdir(tmp_path)
    cdesk("2026", "--open")
    assert opened == [(tmp_path / "claude-2026.html").as_uri()]
    assert len(made) == 6


def test_a_place_that_cannot_be_written_and_a_time_that_is_none(
    cdesk: Callable[..., str], made: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "folder"
    assert f"{place} cannot be written (" in cdesk("2026", "--out", str(place), code=1)
    made.clear()
    assert "period: " in cdesk("soon", code=2)
    assert made == []
