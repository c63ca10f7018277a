"""The quick look: signs that a text may hold a credential, and documents that show none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cdesk.contract.redaction import document, redact_fields, redact_value
from cdesk.contract.redaction.lookalikes import as_meant
from cdesk.contract.redaction.rules import AT, CARD, FLAG, NAME, RUN, SCHEME
from cdesk.contract.redaction.signs import signs_of


@pytest.mark.parametrize(
    ("shows", "text", "shows_none"),
    [
        (RUN, "a" * 16, "a" * 15),
        (RUN, "a1_-./+=~$&%,#a1", "ä" * 16),
        (CARD, "4111 1111-11.1/1_1", "4111 1111-11.1/1_"),
        (CARD, "4111\u00a01111\u20111111 1", "1 2 3 4 5 6 7 8"),
        (AT, "ada@web", "ada at web"),
        (FLAG, "-u ada", "u ada"),
        (FLAG, "x --y", "x - y"),
        (FLAG, "x -p y", "x-p y"),
        (FLAG, "x <<< y", "x << y"),
        (FLAG, "x <(echo y)", "x <(ls)"),
        (FLAG, "echo x | y", "tee x | y"),
        (FLAG, "x /user:y", "x /users: y"),
        (FLAG, "net use x", "use the net"),
        (FLAG, "x:_y z", "x: _y z"),
        (SCHEME, "basic a=1", "basic a 1"),
        (NAME, "token=x", "width=x"),
        (NAME, "token: x", "width: x"),
        (NAME, "token > x", "width > x"),
        (NAME, "token | x", "width | x"),
        (NAME, "token <- x", "width <- x"),
        (NAME, "token：x", "width：x"),
        (NAME, "token＝x", "width＝x"),
        (NAME, "token → x", "width → x"),
        (NAME, "token ⇒ x", "width ⇒ x"),
        (NAME, "x\ntoken=y", "token\nx=y"),
        (NAME, f"token{' x' * 20}=", f"token{' x' * 20} =y"),
        (NAME, "door code 12", "error code 12"),
        (NAME, "cvv 12", "my cv 12"),
        (NAME, "cvc 12", "cv c 12"),
        (NAME, "wifi:S:x", "wi-fi:S:x"),
        (NAME, "the seed phrase", "the nice phrase"),
        (NAME, "?p%61ss=x", "?p%61ss x"),
        (NAME, "пароль", "город"),
        (NAME, "login('x')", "login(x)"),
        (NAME, "auth(`x`)", "f('x')"),
        (NAME, 'token",\n"value": x', 'width",\n"value": x'),
        (NAME, "token', \n'default': x 'variable'", "token', \n'default' x 'variable'"),
        (NAME, "identified by 'x'", "identified by x"),
        (NAME, "password 1", "password"),
        (NAME, "kennwort 'x'", "kennzeichen 'x'"),
        (NAME, "the pin is 1", "the pins is 1"),
        (NAME, "otp is 1", "option is 1"),
        (NAME, "key is 1", "keys is 1"),
        (NAME, "token est 1", "token 1"),
        (NAME, "the secret is 1", "the secrecy is 1"),
        (NAME, "pin('x')", "pin 'x'"),
        (NAME, "pin name='x'", "spin name 'x'"),
    ],
)
def test_a_sign_shows_where_it_may_matter_and_nowhere_else(
    shows: int, text: str, shows_none: str
) -> None:
    def signs(text: str) -> int:
        return signs_of(text, text.encode())

    assert signs(text) & shows
    assert signs(shows_none) == 0


@pytest.mark.parametrize(
    "plain",
    [
        {"model": "claude", "input_tokens": 5, "cost": 0.25, "is_new": True, "error": None},
        {"id": "0192f0a1-1111-7abc-8def-0123456789ab", "query_hash": "a1b2c3d4e5f6a7b8"},
        {"nested": {"more": [{"n": 1}, ["some words", "and more", None]]}, "none": []},
        {"rows": 999_999_999_999, "share": 999_999_999_999.5},
        {"name": "rows", "value": "12"},
        [["Accept", "text/html"], ["n", 1]],
        "some words",
        12,
    ],
    ids=str,
)
def test_what_shows_nothing_is_not_looked_through(
    plain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(document, "redact_value")
    assert redact_fields(plain) is plain


def test_only_what_begins_and_ends_as_json_is_read_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(document, "json", SimpleNamespace(loads=read.append))
    long = "[" + " " * 65_536 + "]"
    for text in ("words", "{ torn", "[1, 2", "a]", "x}", "", long):
        redact_value(text)
    assert read == []
    for text in ("[1]", '{"a":1}', " \t[]\n"):
        redact_value(text)
    assert read == ["[1]", '{"a":1}', " \t[]\n"]


def test_a_letter_is_read_as_another_only_where_it_stands_beside_what_it_is_meant_for() -> None:
    assert as_meant("ра\u0441sword") == "pacsword"
    for other_script in ("aжоэb", "аж b оэ", "ж\u200bж ab"):
        assert as_meant(other_script) is other_script
