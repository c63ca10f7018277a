"""What is offered while a client types an argument."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_shim import completion
from mcp_shim.completion import MAX_VALUES, completions

KNOWN = ["Sales", "wholesale", "team", "sales by week", "Sales"]


@pytest.mark.parametrize(
    ("begun", "offered"),
    [
        ("sal", ["Sales", "sales by week", "wholesale"]),
        (" SALES ", ["Sales", "sales by week"]),
        ("week", ["sales by week"]),
        ("", ["Sales", "wholesale", "team", "sales by week"]),
        ("x", []),
    ],
)
def test_what_begins_so_comes_before_what_holds_it_each_once(
    monkeypatch: pytest.MonkeyPatch, begun: str, offered: list[str]
) -> None:
    monkeypatch.setattr(completion, "_candidates", lambda *_: KNOWN)
    session: Any = None
    found = completions(session, of="remember", argument="subject", begun=begun)
    assert found == (offered, len(offered))


def test_more_than_the_protocol_takes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [f"s{number:03}" for number in range(MAX_VALUES + 5)]
    monkeypatch.setattr(completion, "_candidates", lambda *_: many)
    session: Any = None
    values, count = completions(session, of="remember", argument="subject", begun="s")
    assert (values, count) == (many[:MAX_VALUES], MAX_VALUES + 5)
