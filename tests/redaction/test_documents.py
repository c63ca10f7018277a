"""Documents: names of keys, numbers, keys that are data themselves, JSON inside a text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.contract.redaction import key_label, redact_fields, redact_text, redact_value


def masked(value: Any) -> Any:
    return redact_value(value, personal=True)


@pytest.mark.parametrize(
    "key",
    [
        *("password", "Password", "userPassword", "db_pass", "passwd", "PGPASSWORD", "password2"),
        *("passphrase", "pwd", "passcode", "kennwort", "apiKey", "api_key", "API-KEY", "apikey"),
        *("X-Api-Key", "x_api_key", "client_secret", "clientSecret", "secret", "SECRET_KEY"),
        *("secretKey", "aws_secret_access_key", "accessKeyId", "privateKey", "signing_key"),
        *("encryption-key", "AccountKey", "SharedAccessKey", "accessToken", "refresh_token"),
        *("id_token", "token", "authToken", "sessionToken", "csrf_token", "jwt", "Authorization"),
        *("proxy-authorization", "auth", "Cookie", "set-cookie", "credentials", "creds", "dsn"),
        *("connectionString", "connection_string", "otp", "totp_secret", "mfa_code", "pin", "cvv"),
        *("verificationCode", "seed_phrase", "mnemonic", "recovery_codes", "webhook_url"),
    ],
)
def test_a_credential_goes_by_the_name_of_its_key(key: str) -> None:
    for value in ("x", {"a": "b"}, ["b"]):
        [(label, stands)] = redact_value({"outer": [{key: value}]})["outer"][0].items()
        assert label == key
        assert str(stands).startswith("[secret:")
    assert redact_value({key: None, "flag": True}) == {key: None, "flag": True}


@pytest.mark.parametrize(
    ("key", "label"),
    [
        *((key, "email") for key in ("email", "e-mail", "userEmail", "email_address", "mailTo")),
        *((key, "phone") for key in ("phone", "phoneNumber", "mobile", "tel", "fax", "msisdn")),
        *((key, "card") for key in ("creditCard", "card_number", "cardNo", "cc_number", "ccn")),
        *((key, "id_number") for key in ("ssn", "passportNumber", "tax_id", "accountNumber")),
        *((key, "address") for key in ("homeAddress", "street", "zipCode", "billing_address")),
        *((key, "birth_date") for key in ("dateOfBirth", "dob", "birthday")),
        *((key, "ip") for key in ("ip", "clientIp", "remote_addr", "ip_address")),
        *((key, "name") for key in ("firstName", "last_name", "cardholder", "full_name")),
        ("IBAN", "iban"),
    ],
)
def test_personal_data_goes_by_the_name_of_its_key(key: str, label: str) -> None:
    assert masked({key: "x y"}) == {key: f"[{label}]"}
    assert redact_value({key: "x y"}) == {key: "x y"}


@pytest.mark.parametrize(
    "key",
    [
        *("input_tokens", "output_tokens", "max_tokens", "token_count", "next_page_token", "model"),
        *("spinner", "shipping", "latency_ms", "compass", "keyboard", "primary_key", "key", "keys"),
        *("public_key", "sort_key", "author", "authors", "cookie_policy", "password_length"),
        *("has_password", "is_secret", "monkey", "secretary", "error_code", "code", "path", "kind"),
        *("query_hash", "query_tag", "session_id", "tool", "description", "zipper", "ipsum"),
        *("emailed_at", "phone_required", "email_verified", "telemetry", "pinned", "passed"),
    ],
)
def test_a_harmless_key_is_left_alone(key: str) -> None:
    assert masked({key: 12, "more": {key: "some words"}}) == {key: 12, "more": {key: "some words"}}


def test_numbers_are_redacted_too() -> None:
    document = {"n": 4111111111111111, "pin": 4821, "rows": 4111111111111112, "token": 12}
    assert redact_value(document) == {
        "n": "[card]",
        "pin": "[secret:security_code]",
        "rows": 4111111111111112,
        "token": 12,
    }
    assert redact_value([4111111111111111.0]) == ["[card]"]


def test_a_pair_of_name_and_value_is_a_key_and_its_value() -> None:
    assert redact_value([{"name": "Authorization", "value": "Token abc"}]) == [
        {"name": "Authorization", "value": "[secret:authorization]"}
    ]
    assert redact_value({"headers": [["X-Api-Key", "abc"], ["Accept", "text/html"]]}) == {
        "headers": [["X-Api-Key", "[secret:api_key]"], ["Accept", "text/html"]]
    }
    for names in (("Name", "Value"), ("KEY", "VALUE"), ("Id", "value")):
        written = dict(zip(names, ("DB_PASSWORD", "abc"), strict=True))
        kept = written | {names[1]: "[secret:password]"}
        assert redact_value(written) == redact_fields(written) == kept
    assert redact_value({"name": "rows", "value": "abc"}) == {"name": "rows", "value": "abc"}


def test_keys_that_are_data_themselves_are_redacted_and_no_value_is_lost() -> None:
    three = {f"{name}@example.com": name for name in ("ada", "bob", "eve")}
    assert masked({**three, "rows": 3}) == {
        "[email]": "ada",
        "[email] 2": "bob",
        "[email] 3": "eve",
        "rows": 3,
    }
    assert masked({"ada@example.com": 1, "[email]": None}) == {"[email] 2": 1, "[email]": None}


def test_json_inside_a_text_is_read() -> None:
    inner = json.dumps({"headers": [{"name": "Cookie", "value": "a b"}], "n": 4111111111111111})
    outer = redact_value({"body": inner, "\u0041": "x"})
    assert json.loads(outer["body"]) == {
        "headers": [{"name": "Cookie", "value": "[secret:cookie]"}],
        "n": "[card]",
    }
    hidden = '{"\\u0070assword": "x y"}'
    for written in (hidden, f" \n{hidden}", f"\r\n\t{hidden}\r\n"):
        assert json.loads(redact_value(written)) == {"password": "[secret:password]"}
    assert redact_value(f"x {hidden}") == f"x {hidden}"
    assert redact_value("{ no JSON }") == "{ no JSON }"
    assert redact_value("[" * 20_000 + "]" * 20_000) == "[" * 20_000 + "]" * 20_000


def test_what_holds_nothing_comes_back_as_the_same_object() -> None:
    document = {"a": [1, {"b": "words"}], "c": None}
    assert masked(document) is document
    assert redact_fields(document) is document


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=12,
)
CREDENTIALS = ("password=hunter2x", "Bearer " + "a1" * 12, "gh" + "p_" + "a1B2" * 9)


@given(document=documents)
def test_redacting_twice_changes_nothing(document: Any) -> None:
    once = masked(document)
    assert masked(once) == once


@given(
    document=st.dictionaries(
        st.sampled_from(("a", "password", "model", "name", "value", "x-api-key", "note", "n")),
        st.sampled_from((*CREDENTIALS, "words", 12, 4111111111111111, None, "Authorization"))
        | st.text(max_size=30),
    )
)
def test_the_quick_look_finds_all_that_the_document_holds(document: Any) -> None:
    assert redact_fields(document) == redact_value(document)


@pytest.mark.parametrize(
    "key",
    ["otp: 482911", "pw=hunter22", "a_4222222222222", "4222222222222", "gh" + "p_" + "a1B2" * 9],
)
def test_the_quick_look_reads_keys_that_are_credentials_themselves(key: str) -> None:
    [shown] = redact_fields({"more": {key: 1}})["more"]
    assert shown != key
    assert {"more": {shown: 1}} == redact_value({"more": {key: 1}})


@given(text=st.text(max_size=200))
def test_any_text_can_be_redacted(text: str) -> None:
    assert redact_text(redact_text(text, personal=True), personal=True) == redact_text(
        text, personal=True
    )


def test_a_key_is_known_in_every_spelling() -> None:
    spellings = ("clientSecret", "client_secret", "CLIENT-SECRET", "client.secret", "ClientSecret")
    assert {key_label(spelling) for spelling in spellings} == {"secret:secret"}


hex_digits = st.text("0123456789abcdef", min_size=32, max_size=32) | st.text(
    "0123456789", min_size=32, max_size=32
)


def as_uuid(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


@given(digits=hex_digits, words=st.lists(st.from_regex(r"\A[a-z]{1,12}\Z"), min_size=1, max_size=4))
def test_the_quick_look_passes_over_ids_and_words_that_nothing_is_found_in(
    digits: str, words: list[str]
) -> None:
    for id in (digits[:16], as_uuid(digits)):
        for document in ({"_".join(words)[:32].strip("_"): id}, {"n": {"id": id}, "note": "words"}):
            assert redact_fields(document) == redact_value(document)


def test_the_quick_look_finds_a_card_that_is_written_like_an_id() -> None:
    assert redact_fields({"ticket": "4111111111111111"}) == {"ticket": "[card]"}
