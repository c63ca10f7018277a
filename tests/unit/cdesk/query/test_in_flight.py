"""Identical questions take turns, others don't wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from cdesk.core.errors import QueryCancelled
from cdesk.query.in_flight import InFlight
from cdesk.query.request import QueryRequest

if TYPE_CHECKING:
    from query_desk import Desk


def in_another_thread(do: Callable[[], object]) -> list[Exception]:
    raised: list[Exception] = []

    def run() -> None:
        try:
            do()
        except QueryCancelled as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it waits"
    return raised


def enter(flight: InFlight, request: QueryRequest, *, cancelled: bool = True) -> None:
    cancel = threading.Event()
    if cancelled:
        cancel.set()
    with flight.turn(request, cancel):
        pass


@pytest.mark.parametrize(
    ("other", "waits"),
    [
        ({}, True),
        ({"params": {"rows": 4}}, False),
        ({"customer": "bob@example.com"}, False),
        ({"byte_cap": 4_000}, False),
        ({"fresh": True}, False),
        ({"template": "clock", "params": {}}, False),
    ],
    ids=str,
)
def test_one_question_waits_for_the_same_one_alone(
    desk: Desk, other: dict[str, Any], waits: bool
) -> None:
    flight = InFlight()
    first = desk.request("numbers", {"rows": 3})
    template = other.get("template", "numbers")
    params = other.get("params", {"rows": 3})
    options = {key: value for key, value in other.items() if key not in ("template", "params")}
    second = desk.request(template, params, **options)
    with flight.turn(first, threading.Event()):
        raised = in_another_thread(lambda: enter(flight, second))
    assert [str(error) for error in raised] == (
        ["the query was cancelled while another answered it"] if waits else []
    )
    with pytest.raises(KeyError), flight.turn(first, threading.Event()):
        raise KeyError
    enter(flight, first, cancelled=False)


def test_what_is_never_answered_from_before_waits_for_nothing(desk: Desk) -> None:
    flight = InFlight()
    with flight.turn(desk.request("live"), threading.Event()):
        assert in_another_thread(lambda: enter(flight, desk.request("live"))) == []


def test_who_waits_is_let_in_when_the_first_has_gone(desk: Desk) -> None:
    flight, inside = InFlight(), threading.Event()
    request = desk.request("numbers", {"rows": 3})

    def wait() -> None:
        with flight.turn(request, threading.Event()):
            inside.set()

    thread = threading.Thread(target=wait)
    with flight.turn(request, threading.Event()):
        thread.start()
        thread.join(0.1)
        assert not inside.is_set()
    thread.join(60)
    assert inside.is_set()
