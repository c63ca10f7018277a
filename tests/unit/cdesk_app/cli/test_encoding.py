"""Text on a stream that cannot carry all of it, and the extra that brings what is missing."""

from __future__ import annotations

import codecs
import io
from typing import Any

import pytest

from cdesk_app.cli.encoding import escaped, is_narrow, make_printable
from cdesk_app.cli.extras import extra_for
from cdesk_app.cli.settings import configured_target


def stream(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")


class Unnamed:
    """A stream that says nothing of its encoding, or nothing that Python knows."""

    def __init__(self, encoding: Any = None) -> None:
        if encoding is not None:
            self.encoding = encoding


@pytest.mark.parametrize(
    ("out", "narrow"),
    [
        (stream("ascii"), True),
        (stream("cp1252"), True),
        (stream("utf-8"), False),
        (stream("utf-16"), False),
        (Unnamed(), False),
        (Unnamed("no-such"), False),
        (Unnamed(5), False),
        (Unnamed("ascii"), True),
    ],
)
def test_a_stream_lacks_characters_where_its_encoding_does(out: Any, narrow: bool) -> None:
    assert is_narrow(out) is narrow
    make_printable(out)
    assert (getattr(out, "errors", "strict") == "cdesk.ascii") is (
        narrow and hasattr(out, "reconfigure")
    )


def test_what_is_lacking_becomes_the_nearest_or_an_escape() -> None:
    out = stream("ascii")
    make_printable(out)
    out.write("a → b… – — ’ ≤ ≥ × é 🙂")
    out.flush()
    assert out.buffer.getvalue() == (  # type: ignore[attr-defined]
        b"a -> b... - - ' <= >= x \\u00e9 \\ud83d\\ude42"
    )
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", "cdesk.ascii")
    assert codecs.lookup_error("cdesk.ascii")


def test_json_in_ascii_is_the_same_document() -> None:
    assert escaped('"a é 🙂 \ud800"') == '"a \\u00e9 \\ud83d\\ude42 \\ud800"'


@pytest.mark.parametrize(
    ("module", "target", "extra"),
    [
        ("duckdb", "duckdb", "worker"),
        ("duckdb", "snowflake", "worker"),
        ("dbt.cli.main", "duckdb", "worker"),
        ("dbt.cli.main", "snowflake", "snowflake"),
        ("snowflake.connector", "duckdb", "snowflake"),
        ("vl_convert", "duckdb", "render"),
        ("starlette.routing", "duckdb", "render"),
        ("jwt", "snowflake", "http"),
        ("opentelemetry", "duckdb", "ops"),
        ("no_such", "duckdb", None),
        ("adapters", "duckdb", None),
    ],
)
def test_the_extra_of_a_module_is_that_of_the_warehouse_where_two_bring_it(
    module: str, target: str, extra: str | None
) -> None:
    assert extra_for(module, target=target) == extra


def test_the_warehouse_is_the_embedded_one_where_the_settings_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for target, found in (("snowflake", "snowflake"), ("duckdb", "duckdb"), ("oracle", "duckdb")):
        monkeypatch.setenv("CDESK_TARGET", target)
        assert configured_target() == found
