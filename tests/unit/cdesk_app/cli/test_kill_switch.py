"""`cdesk kill-switch`: turned by a word, told with its reason, and the worker is woken."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing

import pytest

from bench.turn_path import fixtures
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk.state.kill_switch import read_switch
from cdesk.state.tickets import expiry_of, get_ticket, submit_ticket
from cdesk_app.cli.main import main


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []

    class Waker:
        def __init__(self, home: StateDirectory) -> None:
            self._home = home

        def send(self) -> bool:
            with closing(open_state(self._home.state_db)) as state:
                is_on = read_switch(state, self._home.kill_switch).on
            calls.append("on" if is_on else "off")
            return False

        def close(self) -> None:
            calls.append("closed")

    monkeypatch.setattr("cdesk.core.wake.WakeSender", Waker)
    return calls


@pytest.fixture
def switch(state_home: StateDirectory, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    del state_home

    def run(*words: str) -> str:
        assert main(["kill-switch", *words]) == 0
        return capsys.readouterr().out

    return run


def submit(home: StateDirectory, number: int) -> str:
    fixtures.catalog(home)
    at = "2126-01-31T12:00:00.000000Z"
    with closing(open_state(home.state_db)) as state:
        submit_ticket(
            state,
            ticket_id=f"ticket-{number}",
            customer="ada",
            is_analyst=False,
            least_customers=1,
            session_id=None,
            template="recent_activities",
            params={},
            query_hash="0" * 16,
            query_tag="cdesk_00000000",
            byte_cap=None,
            submitted_at=at,
            expires_at=expiry_of(at),
        )
    return f"ticket-{number}"


def test_what_waits_is_cancelled_and_the_worker_told_at_once(
    switch: Callable[..., str], woken: list[str], state_home: StateDirectory
) -> None:
    first = submit(state_home, 1)
    submit(state_home, 2)
    told = switch("on", "--reason", "credits are used up")
    assert re.fullmatch(
        r"on \(credits are used up\), since .* ago: queries are refused, logging goes on\n"
        r"2 queries were cancelled\n",
        told,
    )
    assert woken == ["on", "closed"]
    with closing(open_state(state_home.state_db)) as state:
        assert get_ticket(state, first, customer="ada").status == "cancelled"
        assert read_switch(state, state_home.kill_switch).on


def test_without_a_reason_none_is_told(switch: Callable[..., str], woken: list[str]) -> None:
    lines = switch("on").splitlines()
    assert len(lines) == 1, "nothing waited"
    assert lines[0].startswith("on, since ")
    assert switch("off") == "off: queries run\n"
    assert woken == ["on", "closed", "off", "closed"]


def test_a_look_changes_nothing_and_wakes_nobody(
    switch: Callable[..., str], woken: list[str]
) -> None:
    assert switch("status") == "off: queries run\n"
    assert json.loads(switch("status", "--json"))["on"] is False
    switch("on", "--reason", "r")
    found = json.loads(switch("status", "--json"))
    assert (found["on"], found["reason"], found["cancelled"]) == (True, "r", 0)
    assert woken == ["on", "closed"]
