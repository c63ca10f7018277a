"""The list against a corpus that was not written for it, letters that only look like others, names
that are written so that they don't look like it, and links.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from cdesk.contract.redaction import key_label, redact_fields, redact_text, redact_value
from cdesk.contract.redaction.lookalikes import MEANT, WRITTEN, as_meant
from tests.redaction.relatives import HARMLESS, relatives
from tests.redaction.test_corpus import survives

RELATIVES = relatives()


def test_no_relative_comes_through() -> None:
    left = [
        (text, redact_value(text, personal=True))
        for text, secrets in RELATIVES
        if any(survives(secret, redact_value(text, personal=True)) for secret in secrets)
    ]
    assert len(RELATIVES) > 200
    assert left == []


def test_what_only_resembles_a_relative_stays_as_it_is() -> None:
    changed = [
        (text, redact_value(text, personal=True))
        for text in HARMLESS
        if redact_value(text, personal=True) != text
    ]
    assert len(HARMLESS) > 200
    assert changed == []


def test_a_second_pass_over_relatives_changes_nothing() -> None:
    for text, _ in RELATIVES:
        once = redact_text(text, personal=True)
        assert redact_text(once, personal=True) == once


SPELLINGS = [
    "pass\u200bword",
    "p\u0430ssword",
    "p\u0430ssw\u043erd",
    "pa\u00adss\u2060wo\ufeffrd",
    "\uff30\uff21\uff33\uff33\uff37\uff2f\uff32\uff24",
    "".join(chr(0x1D41A + ord(letter) - 97) for letter in "password"),
    "ｐａssword",
    "p\u1d00\ua731\ua731w\u1d0f\u0280\u1d05",
]


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("form", ["{}=Tr0ub4dor!", "my {}: Tr0ub4dor!", '"{}": "Tr0ub4dor!"'])
def test_a_name_is_known_whatever_letters_it_is_written_with(name: str, form: str) -> None:
    text = form.format(name)
    for found in (redact_text(text), redact_text(text, personal=True)):
        assert "Tr0ub4dor" not in found
        assert "[secret:" in found
    assert key_label(name) == "secret:password"
    document = {name: "abc"}
    assert redact_value(document) == redact_fields(document) == {name: "[secret:password]"}
    assert "Tr0ub4dor" not in str(redact_fields({"note": text}))


def test_what_others_wrote_in_their_own_script_stays_so() -> None:
    for text in (
        "Москва — столица России, 2025",
        "Ελλάδα και Κύπρος",
        "می\u200cخواهم",
        "👩\u200d💻 1\ufe0f\u20e3",
        "5 μm, Δt = 3 s",
        "пароль не нужен",
    ):
        assert redact_text(text) == redact_text(text, personal=True) == text
        assert as_meant(text) is text
    # a letter that only looks like another stays as it was written where nothing is found
    assert redact_text("c\u043effee and te\u00ada") == "c\u043effee and te\u00ada"


def test_look_alikes_are_those_of_unicode() -> None:
    """Where Unicode says what a letter is a form of, we say the same."""
    assert len(WRITTEN) > len(MEANT)
    assert len(set(WRITTEN)) == len(WRITTEN)
    for written, meant in zip(WRITTEN, MEANT, strict=False):
        plain = unicodedata.normalize("NFKC", written)
        assert plain in (meant, written) or not plain.isascii(), hex(ord(written))


def test_a_pair_of_name_and_value_is_known_by_its_own_names() -> None:
    secret: dict[str, Any]
    for secret in (
        {"ParameterKey": "DbPassword", "ParameterValue": "abc"},
        {"parameter_name": "api_key", "parameter_value": "abc"},
        {"OptionName": "DBPassword", "Value": "abc"},
        {"type": "password", "value": "abc"},
        {"type": "password", "name": "field1", "value": "abc"},
        {"name": "token", "type": "text", "stringValue": "abc"},
    ):
        for found in (redact_value(secret), redact_fields(secret)):
            assert "abc" not in str(found), secret
    for harmless in (
        {"type": "token", "value": "abc"},
        {"type": "secret", "value": "abc"},
        {"ParameterKey": "InstanceType", "ParameterValue": "abc"},
        {"ParameterKey": "DbPassword", "ResolvedType": "abc"},
        {"name": "password", "type": "string"},
    ):
        assert redact_value(harmless) is harmless


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://x.org/u?email=ada@web.de&x=1", "https://x.org/u?email=[email]&x=1"),
        ("https://x.org/u?a=ada%40web.de&b=b%2Bc@web.de", "https://x.org/u?a=[email]&b=[email]"),
        ("see https://x.org/users/ada@web.de/edit", "see https://x.org/users/[email]/edit"),
        ("https://x.org/r?to=%2Fp%3Fu%3Dada%40web.de", "https://x.org/r?to=%2Fp%3Fu%3D[email]"),
        ("https://x.org/a?to=a@b.de,c@d.org", "https://x.org/a?to=[email],[email]"),
        ("https://medium.com/@ada/post-1", "https://medium.com/@ada/post-1"),
    ],
)
def test_a_link_keeps_all_but_the_address(text: str, expected: str) -> None:
    assert redact_text(text, personal=True) == expected
