"""The list of patterns against its corpus: what must not come through, and what must."""

from __future__ import annotations

import re

import pytest

from cdesk.contract.redaction import redact_text, rules
from cdesk.contract.redaction import text as passes_over
from cdesk.contract.redaction.passes import CREDENTIAL_PASSES
from tests.redaction.examples import counter_examples, examples, unseen

EXAMPLES, COUNTER_EXAMPLES, UNSEEN = examples(), counter_examples(), unseen()
CREDENTIAL_KINDS = {example.kind for example in EXAMPLES} - {
    *("e-mail", "phone", "card", "ssn", "iban", "nino", "nir", "tax id", "cpf", "ahv", "dni"),
    *("codice fiscale", "said id", "address", "place"),
}


def masked(text: str) -> str:
    return redact_text(text, personal=True)


def survives(secret: str, text: str) -> bool:
    """Whether the secret stands in the text, or eight characters of it that say something."""
    text = re.sub(r"\[(secret:)?[a-z_]+\]", "[]", text)
    parts = {secret[start : start + 8] for start in range(max(len(secret) - 7, 1))}
    return any(part in text for part in parts)


def test_there_are_enough_of_both() -> None:
    assert len({example.text for example in EXAMPLES}) >= 300
    assert len({example.text for example in COUNTER_EXAMPLES}) >= 300
    assert len({example.kind for example in EXAMPLES}) >= 20


@pytest.mark.parametrize("kind", sorted({example.kind for example in EXAMPLES}))
def test_no_example_comes_through(kind: str) -> None:
    left = [
        (example.text, masked(example.text))
        for example in EXAMPLES
        if example.kind == kind and survives(example.secret, masked(example.text))
    ]
    assert left == []


@pytest.mark.parametrize("kind", sorted({example.kind for example in COUNTER_EXAMPLES}))
def test_what_is_harmless_stays_as_it_is(kind: str) -> None:
    changed = [
        (example.text, masked(example.text))
        for example in COUNTER_EXAMPLES
        if example.kind == kind and masked(example.text) != example.text
    ]
    assert changed == []


@pytest.mark.parametrize("kind", sorted(CREDENTIAL_KINDS))
def test_credentials_go_without_personal_data(kind: str) -> None:
    left = [
        example.text
        for example in EXAMPLES
        if example.kind == kind and survives(example.secret, redact_text(example.text))
    ]
    assert left == []


def test_personal_data_stays_where_only_credentials_go() -> None:
    for text in ("ada@example.com", "+49 170 1234567", "DE89370400440532013000", "/home/ada/x"):
        assert redact_text(text) == text


def test_what_stands_there_says_what_it_was() -> None:
    token = "gh" + "p_" + "a1B2" * 9
    assert redact_text(f"use {token} now") == "use [secret:github_token] now"
    assert redact_text("password=hunter2;") == "password=[secret:password];"
    assert masked("write to ada@example.com") == "write to [email]"
    assert redact_text("card 4111 1111 1111 1111.") == "card [card]."


def test_of_the_unseen_corpus_97_in_100_are_found_and_2_in_100_taken_for_one() -> None:
    clear = [example for example in UNSEEN if not example.is_debatable]
    secret = [example for example in clear if example.secrets]
    harmless = [example for example in clear if not example.secrets]
    assert len(secret) >= 300
    assert len(harmless) >= 300
    missed = [
        example.text
        for example in secret
        if any(survives(part, masked(example.text)) for part in example.secrets)
    ]
    mistaken = [example.text for example in harmless if masked(example.text) != example.text]
    assert len(missed) <= 0.03 * len(secret), missed
    assert len(mistaken) <= 0.02 * len(harmless), mistaken


def test_a_second_pass_changes_nothing() -> None:
    for example in (*EXAMPLES, *UNSEEN):
        once = masked(example.text)
        assert masked(once) == once


def test_the_signs_of_a_credential_never_hide_one() -> None:
    every = rules.RUN | rules.NAME | rules.AT | rules.FLAG | rules.SCHEME
    for example in (*EXAMPLES, *COUNTER_EXAMPLES, *UNSEEN):
        text = example.text
        for one_pass in CREDENTIAL_PASSES:
            text = passes_over._run(one_pass, text, text.lower(), every)
        assert redact_text(example.text) == text
