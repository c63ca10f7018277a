"""`cdesk card`, `cdesk dashboard` and `cdesk render`: which link is given, to whom, and how. What
it opens is shown by tests/integration/render.
"""

from __future__ import annotations

import json
import time
import webbrowser
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from command_line import runner

from cdesk.artifacts.records import Artifact, keep_artifact
from cdesk.core import log
from cdesk.core.clock import format_ts, parse_ts
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk_app.render import server, start
from cdesk_app.render.links import Links

ID = "0190a5f0-0000-7000-8000-000000000000"
URL = "http://127.0.0.1:8377"


def keep(
    home: StateDirectory, *, expires_in: int = 3_600, held: bool = False, customer: str = ""
) -> None:
    at = format_ts(time.time_ns() + expires_in * 10**9)
    artifact = Artifact(
        artifact_id=ID,
        customer=customer or "ada@example.com",
        uri="local:x",
        format="parquet",
        query_hash="0" * 16,
        rows=1,
        bytes=1,
        sampled=False,
        created_at=at,
        expires_at=at,
        legal_hold=held,
    )
    with closing(open_state(home.state_db)) as state:
        keep_artifact(state, artifact)


@pytest.fixture
def cdesk(
    state_home: StateDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    monkeypatch.setenv("CDESK_RENDER_URL", URL)
    keep(state_home)

    return runner(capsys)


@pytest.fixture(autouse=True)
def ensured(monkeypatch: pytest.MonkeyPatch, state_home: StateDirectory) -> list[str]:
    """Whether a renderer was looked after."""
    found: list[str] = []

    def ensure(settings: Any, home: StateDirectory) -> None:
        assert (settings.home, home) == (state_home.root, state_home)
        found.append("ensured")

    monkeypatch.setattr(start, "ensure", ensure)
    return found


def seconds_until(ts: str) -> float:
    return parse_ts(ts).timestamp() - time.time()


@pytest.mark.parametrize(("words", "hours"), [((), 24.0), (("--hours", "0.5"), 0.5)])
def test_a_card_has_a_link_for_a_while(
    words: tuple[str, ...], hours: float, cdesk: Callable[..., str], ensured: list[str]
) -> None:
    assert cdesk("card", ID, *words).startswith(f"{URL}/c/{ID}?t=")
    assert ensured == ["ensured"]
    found = json.loads(cdesk("card", ID, "--json", *words))
    assert found.keys() == {"url", "expires_at"}
    assert hours * 3_600 - 1_200 < seconds_until(found["expires_at"]) <= hours * 3_600 + 1


def test_the_dashboard_has_a_link(cdesk: Callable[..., str], ensured: list[str]) -> None:
    assert cdesk("dashboard").startswith(f"{URL}/?t=")
    assert json.loads(cdesk("dashboard", "--json"))["url"].startswith(f"{URL}/?t=")
    assert ensured == ["ensured"] * 2


def test_a_link_is_opened_and_one_that_cannot_be_is_told(
    cdesk: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    for works in (True, False):
        monkeypatch.setattr(
            webbrowser, "open", lambda url, works=works: opened.append(url) or works
        )
        for words in (("card", ID), ("dashboard",)):
            told = cdesk(*words, "--open", code=0 if works else 1)
            if works:
                assert told == ""
            else:
                assert told.startswith("cdesk: no browser could be opened; the link is ")
                assert told.endswith(f"{opened[-1]}\n")
    assert [url.partition("?")[0] for url in opened] == [f"{URL}/c/{ID}", f"{URL}/"] * 2


def test_a_revoked_card_says_so_and_starts_nothing(
    cdesk: Callable[..., str], ensured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked: list[str] = []
    monkeypatch.setattr(Links, "revoke", lambda _, subject: revoked.append(subject))
    assert cdesk("card", ID, "--revoke") == f"links to {ID} open nothing any more\n"
    assert (revoked, ensured) == ([ID], [])


@pytest.mark.parametrize(
    ("kept", "is_there"),
    [
        ({"expires_in": -1}, False),
        ({"expires_in": -1, "held": True}, True),
        ({"held": True}, True),
        ({"customer": "bob@example.com"}, False),
    ],
)
def test_a_result_that_has_expired_or_is_anothers_has_none(
    kept: dict[str, Any],
    is_there: bool,
    cdesk: Callable[..., str],
    state_home: StateDirectory,
    ensured: list[str],
) -> None:
    keep(state_home, **kept)
    told = cdesk("card", ID, code=0 if is_there else 1)
    if not is_there and "customer" not in kept:
        assert f"artifact {ID} was kept until " in told
    assert ensured == (["ensured"] if is_there else [])


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ((), {"host": "127.0.0.1", "port": None, "team": False}),
        (
            ("--host", "0.0.0.0", "--port", "81", "--team"),
            {"host": "0.0.0.0", "port": 81, "team": True},
        ),
    ],
)
def test_the_renderer_is_served_in_the_foreground_until_it_is_ended(
    words: tuple[str, ...],
    given: dict[str, Any],
    cdesk: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    state_home: StateDirectory,
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(
        log, "set_up_logging", lambda path, *_, **given: calls.append((path, *given))
    )
    monkeypatch.setattr(
        server, "serve", lambda settings, **more: calls.append((settings.home, more)) or 5
    )
    cdesk("render", *words, code=5)
    assert calls == [(None, "credentials"), (state_home.root, {**given, "idle_seconds": None})]
