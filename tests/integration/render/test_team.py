"""Cards and the dashboard behind the identity of a team's HTTP service: who one is says the bearer
token, which a proxy hands on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import uvicorn

from cdesk.core.clock import format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.state.access import AccessStore, NewToken
from cdesk_app.render.app import make_app
from cdesk_app.render.board_pages import board_routes
from cdesk_app.render.server import make_renderer, make_source
from tests.integration.render.conftest import ADA, BOB, Site

NOBODY = "0190a5f0-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = StateDirectory(tmp_path_factory.mktemp("team") / "home").ensure()
    settings = Settings(home=home.root, customer="service@example.com")
    with closing(AccessStore(home.access_db)) as access:
        renderer = make_renderer(settings, home, access=access)
        app = make_app(renderer, more=board_routes(renderer, make_source(settings, home)))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Site(home, settings, server.servers[0].sockets[0].getsockname()[1])
        server.should_exit = True
        thread.join(60)


def token(site: Site, customer: str, *roles: str) -> NewToken:
    with closing(AccessStore(site.home.access_db)) as store:
        (made,) = store.add_tokens(
            [customer], roles=roles, expires_at=None, now=format_ts(time.time_ns())
        )
    return made


def test_everybody_sees_their_own_cards_and_of_others_not_even_that_they_are(team: Site) -> None:
    card = f"/c/{team.put({'n': [1, 2, 3]}, customer=ADA)}"
    ada, bob = (f"Bearer {token(team, who).token}" for who in (ADA, BOB))
    own = team.get(card, authorization=ada)
    assert own.status == 200
    assert ADA in own.text
    assert team.get(f"{card}/rows", authorization=ada).json["total"] == 3
    theirs, none = (team.get(path, authorization=bob) for path in (card, f"/c/{NOBODY}"))
    assert theirs.status == none.status == 404
    assert theirs.body == none.body


def test_a_token_that_nobody_knows_opens_nothing_and_hides_no_link(team: Site) -> None:
    id = team.put({"n": [1]}, customer=ADA)
    made = token(team, ADA)
    assert team.get(f"/c/{id}", authorization=f"Bearer {made.token}").status == 200
    with closing(AccessStore(team.home.access_db)) as store:
        store.revoke([made.id], now=format_ts(time.time_ns()))
    for header in (
        f"Bearer {made.token}",
        "Bearer x",
        "Basic QWRhOng=",
        "Bearer",
        f"Bearer {id} y",
    ):
        for path in (f"/c/{id}", "/", "/events"):
            refused = team.get(path, authorization=header)
            assert refused.status == 401, (header, path)
    assert team.get(f"/c/{id}", authorization="Bearer x").headers["www-authenticate"] == "Bearer"
    assert team.get(f"/c/{id}").status == 403
    assert team.get(team.link(id), authorization="Bearer x").status == 200, "a link is enough"


def test_the_dashboard_is_for_analysts(team: Site) -> None:
    analyst, user = (
        token(team, who, *roles).token for who, roles in ((BOB, ["analyst"]), (ADA, []))
    )
    assert team.get("/", authorization=f"Bearer {analyst}").status == 200
    assert team.get("/board", authorization=f"Bearer {analyst}").status == 200
    for path in ("/", "/board", "/board/activity.svg", "/events"):
        assert team.get(path, authorization=f"Bearer {user}").status == 403


def test_without_a_team_a_bearer_token_says_nothing(site: Site) -> None:
    id = site.put({"n": [1]}, customer=ADA)
    bearer = f"Bearer {token(site, ADA).token}"
    assert site.get(f"/c/{id}", authorization=bearer).status == 403
