"""`cdesk token`, and what its tokens open."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from contextlib import closing

import pytest

from bench.turn_path import fixtures
from cdesk.core.clock import format_ts
from cdesk.core.errors import NotFound
from cdesk.core.home import StateDirectory
from cdesk.state.access import AccessStore
from tests.integration.shim_http.harness import ADA, BOB, run_cdesk, serving, token


def test_tokens_are_made_several_at_once_and_shown_once(state_home: StateDirectory) -> None:
    made = run_cdesk(
        state_home, "token", "add", ADA, BOB, "--role", "analyst", "--role", "user",
        "--expires", "90d", "--json",
    )  # fmt: skip
    tokens = json.loads(made.stdout)
    assert [set(one) for one in tokens] == [{"id", "customer", "token"}] * 2
    assert [one["customer"] for one in tokens] == [ADA, BOB]
    listed = run_cdesk(state_home, "token", "list", "--json").stdout
    for one, row in zip(tokens, json.loads(listed), strict=True):
        secret = one["token"][17:]
        assert secret not in listed
        assert (row["id"], row["roles"], row["state"]) == (one["id"], ["analyst", "user"], "valid")
        for file in state_home.root.rglob("*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes()
    if os.name == "posix":
        assert stat.S_IMODE(state_home.access_db.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add",), 2, "customer"),
        (("add", ADA, "--role", "root"), 2, "invalid choice"),
        (("add", ADA, "--expires", "soon"), 2, "allowed: as 90d"),
        (("add", "a\nb"), 2, "control character"),
        (("add", ADA, ""), 2, "customer"),
        (("revoke", "nothing"), 1, "there is no token 'nothing'"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(
    state_home: StateDirectory, words: tuple[str, ...], code: int, said: str
) -> None:
    ran = run_cdesk(state_home, "token", *words)
    assert ran.returncode == code
    assert said in ran.stderr
    assert json.loads(run_cdesk(state_home, "token", "list", "--json").stdout) == []


def test_an_expired_or_revoked_token_is_none(state_home: StateDirectory) -> None:
    with closing(AccessStore(state_home.access_db)) as store:
        (made,) = store.add_tokens([ADA], roles=(), expires_at=format_ts(2_000), now=format_ts(0))
        assert store.find_token(made.token, now=format_ts(1_000)) is not None
        assert store.find_token(made.token, now=format_ts(2_000)) is None
        (other,) = store.add_tokens([ADA], roles=(), expires_at=None, now=format_ts(0))
        with pytest.raises(NotFound):
            store.revoke([other.id, "0" * 12], now=format_ts(1_000))
        assert store.find_token(other.token, now=format_ts(1_000)) is not None
        store.revoke([other.id], now=format_ts(1_000))
        assert store.find_token(other.token, now=format_ts(1_000)) is None
        # The id of one with the secret of another.
        assert store.find_token(f"cdt_{other.id}_{made.token[17:]}", now=format_ts(0)) is None


def test_a_revoked_token_holds_in_every_process_and_for_a_call_under_way(
    state_home: StateDirectory,
) -> None:
    fixtures.catalog(state_home)
    made = token(state_home, ADA)
    with serving(state_home, "--workers", "2") as service:
        ticket = json.loads(
            service.call(made.token, "submit_query", {"template": "recent_activities"}).text
        )["ticket_id"]
        answers = []
        waiting = threading.Thread(
            target=lambda: answers.append(
                service.call(made.token, "get_result", {"ticket_id": ticket, "wait_seconds": 20})
            )
        )
        waiting.start()
        time.sleep(1.0)
        assert run_cdesk(state_home, "token", "revoke", made.id).returncode == 0
        for _ in range(10):
            assert service.rpc(made.token, "ping").status == 401
        waiting.join(60)
        assert [answer.status for answer in answers] == [401]


def test_roles_come_from_the_token_alone(state_home: StateDirectory) -> None:
    fixtures.catalog(state_home, scope="org")
    user, analyst = token(state_home, ADA), token(state_home, BOB, "analyst")
    with serving(state_home, CDESK_ROLES="analyst") as service:
        asked = {"template": "recent_activities"}
        headers = {"X-Roles": "analyst", "X-Customer": BOB}
        refused = service.call(user.token, "submit_query", asked, headers=headers)
        assert refused.text.startswith("forbidden: ")
        assert not service.call(analyst.token, "submit_query", asked).result["isError"]
