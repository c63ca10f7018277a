"""`cdesk token`: each is made once, shown once, and refused once it is revoked."""

from __future__ import annotations

import json
import time
from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import closing

import pytest
from command_line import runner

from cdesk.core.clock import format_ts, parse_ts
from cdesk.core.home import StateDirectory
from cdesk.state.access import AccessStore
from cdesk_app.cli.token import lifetime


@pytest.fixture
def cdesk(state_home: StateDirectory, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    del state_home

    return runner(capsys, "token")


def test_a_token_is_shown_whole_and_once(
    cdesk: Callable[..., str], state_home: StateDirectory
) -> None:
    lines = cdesk("add", "ada", "bob", "--role", "analyst", "--role", "metrics").splitlines()
    assert lines[2:] == ["Each token is shown this once; only its hash is kept."]
    made = [line.split("  ") for line in lines[:2]]
    assert [one[1] for one in made] == ["ada", "bob"]
    with closing(AccessStore(state_home.access_db)) as store:
        kept = {token.id: token for token in store.tokens()}
    assert {(one[0], one[1]) for one in made} == {(id, one.customer) for id, one in kept.items()}
    assert {token.roles for token in kept.values()} == {("analyst", "metrics")}
    assert {token.expires_at for token in kept.values()} == {None}
    assert made[0][2] not in cdesk("list")
    found = json.loads(cdesk("add", "eve", "--json"))
    assert [(one["customer"], len(one["token"]) > 20) for one in found] == [("eve", True)]


def test_they_are_listed_with_their_state(
    cdesk: Callable[..., str], state_home: StateDirectory
) -> None:
    assert cdesk("list") == "there is no token; make one: cdesk token add CUSTOMER\n"
    assert json.loads(cdesk("list", "--json")) == []
    (valid,) = json.loads(cdesk("add", "ada", "--role", "analyst", "--role", "admin", "--json"))
    (later,) = json.loads(cdesk("add", "bob", "--expires", "90d", "--json"))
    with closing(AccessStore(state_home.access_db)) as store:
        past = format_ts(time.time_ns() - 10**9)
        store.add_tokens(["eve"], expires_at=past, now=past)
    head, _, *rows = cdesk("list").splitlines()
    assert head.split() == ["id", "customer", "roles", "state", "made", "expires"]
    told = {row.split()[1]: row for row in rows}
    assert " analyst, admin " in told["ada"].replace("admin, analyst", "analyst, admin")
    assert told["ada"].endswith(" never")
    assert " user " in told["bob"]
    assert " valid " in told["bob"]
    assert " ago " in told["bob"]
    assert " expired " in told["eve"]
    assert cdesk("revoke", valid["id"], later["id"]) == (f"revoked: {valid['id']}, {later['id']}\n")
    found = {one["customer"]: one for one in json.loads(cdesk("list", "--json"))}
    assert {name: one["state"] for name, one in found.items()} == {
        "ada": "revoked",
        "bob": "revoked",
        "eve": "expired",
    }
    ends = parse_ts(found["bob"]["expires_at"]).timestamp() - time.time()
    assert abs(ends - 90 * 86_400) < 3_600
    assert json.loads(cdesk("revoke", valid["id"], "--json")) == {"revoked": [valid["id"]]}


def test_a_customer_that_is_none_makes_no_token_at_all(cdesk: Callable[..., str]) -> None:
    assert "customer: " in cdesk("add", "ada", "a\nb", code=2)
    assert json.loads(cdesk("list", "--json")) == []
    cdesk("revoke", "no-such", code=1)


@pytest.mark.parametrize(
    ("text", "days"), [("90d", 90.0), ("12h", 0.5), ("4w", 28.0), ("1d", 1.0), ("99999d", 99_999.0)]
)
def test_a_lifetime_is_a_number_and_a_unit(text: str, days: float) -> None:
    assert lifetime(text) == days


@pytest.mark.parametrize("text", ["0d", "100000d", "d", "1", "1m", "-1d", "1d ", "1.5d", ""])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no time; allowed: as 90d, 12h or 4w"):
        lifetime(text)
