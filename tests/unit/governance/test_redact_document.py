"""The Python that Snowflake runs behind the masking of documents, run here: the very text that the
macro puts into the function.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

MACROS = Path(__file__).parents[3] / "macros"


@pytest.fixture(scope="module")
def redact() -> Callable[[Any], Any]:
    """The macro rendered by Jinja as dbt would, with the two lists it reads from other macros."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)
    result: list[Any] = []
    environment.globals["return"] = lambda value: result.append(value) or ""

    class Cdesk:
        def _list(self, file: str, macro: str) -> Any:
            text = (MACROS / file).read_text(encoding="utf-8")
            source = re.search(rf"{{% macro {macro}\(\) -%}}.*?{{%- endmacro %}}", text, re.DOTALL)
            assert source is not None
            environment.from_string(source[0] + f"{{{{ {macro}() }}}}").render()
            return result.pop()

        def pii_patterns(self) -> Any:
            return self._list("sql/mask_pii.sql", "pii_patterns")

        def sensitive_keys(self) -> Any:
            return self._list("governance/_redact_document_sql.sql", "sensitive_keys")

    source = (MACROS / "governance/_redact_document_sql.sql").read_text(encoding="utf-8")
    macro = source[source.index("{% macro redact_document_python") :]
    code = environment.from_string(macro + "{{ redact_document_python() }}").render(cdesk=Cdesk())
    namespace: dict[str, Any] = {}
    exec(compile(code, "redact_document", "exec"), namespace)
    function: Callable[[Any], Any] = namespace["redact"]
    return function


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "Password",
        "apiKey",
        "api_key",
        "client_secret",
        "accessToken",
        "Authorization",
        "set-cookie",
        "email",
        "user_email",
        "cardNumber",
        "pin",
    ],
)
def test_the_value_of_a_sensitive_key_is_masked_whatever_it_is(
    redact: Callable[[Any], Any], key: str
) -> None:
    for value in ("x", 1234, {"a": 1}, ["b"], True):
        assert redact({"outer": [{key: value}]}) == {"outer": [{key: "[masked]"}]}


@pytest.mark.parametrize(
    "key",
    ["input_tokens", "output_tokens", "model", "spinner", "shipping", "latency_ms", "compass"],
)
def test_an_innocent_key_is_left_alone(redact: Callable[[Any], Any], key: str) -> None:
    assert redact({key: 12}) == {key: 12}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to bob.smith+x@mail.example.org now", "write to [email] now"),
        ("card 4111 1111 1111 1111.", "card [card]."),
        ("call +49 30 1234567", "call [phone]"),
        ("ghp_abcdefghijklmnop", "[token]"),
        ("Bearer abc.def.ghi-jkl", "[token]"),
        ("AKIAABCDEFGHIJKLMNOP", "[token]"),
    ],
)
def test_what_a_person_typed_is_masked_at_any_depth(
    redact: Callable[[Any], Any], text: str, masked: str
) -> None:
    assert redact({"a": [{"b": text}], "n": 4111111111111111}) == {
        "a": [{"b": masked}],
        "n": 4111111111111111,
    }


def test_null_stays_null(redact: Callable[[Any], Any]) -> None:
    assert redact({"password": None, "x": None}) == {"password": None, "x": None}
    assert redact(None) is None


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(
    document=documents, address=st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.(com|org)", fullmatch=True)
)
def test_no_address_survives_and_masking_twice_changes_nothing(
    redact: Callable[[Any], Any], document: Any, address: str
) -> None:
    once = redact({"d": document, "text": f"mail {address} please"})
    assert address not in str(once["text"])
    assert redact(once) == once
