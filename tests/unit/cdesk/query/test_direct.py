"""A query without a ticket."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import orjson
import pytest

from cdesk.core.errors import (
    InvalidField,
    NotFound,
)
from cdesk.core.identity import Caller
from cdesk.query.direct import run_now

if TYPE_CHECKING:
    from query_desk import Desk


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_cdesk_query_writes_the_whole_result(desk: Desk, format: str) -> None:
    out = io.BytesIO()
    result = run_now(desk.settings, "numbers", {"rows": 12}, Caller("ada@example.com"), format, out)  # type: ignore[arg-type]
    assert result["row_count"] == 12
    if format == "json":
        document = orjson.loads(out.getvalue())
        assert [column["name"] for column in document["columns"]] == ["n", "label", "who"]
        assert document["rows"][11] == [11, "row 11", "ada@example.com"]
        assert document["query_hash"] == result["query_hash"]
        assert document["truncated"] is False
    elif format == "csv":
        lines = out.getvalue().decode().split("\r\n")
        assert lines[0] == "n,label,who"
        assert lines[12] == "11,row 11,ada@example.com"
    else:
        assert out.getvalue()[:4] == out.getvalue()[-4:] == b"PAR1"
    assert len(desk.records("query_run")) == 1


def test_cdesk_query_has_the_hash_that_a_ticket_has(desk: Desk) -> None:
    result = run_now(desk.settings, "numbers", {"rows": 12}, Caller("ada@example.com"))
    assert result["query_hash"] == desk.request("numbers", {"rows": 12}).query_hash


def test_cdesk_query_refuses_what_the_catalog_does_not_hold(desk: Desk) -> None:
    with pytest.raises(NotFound, match="did you mean numbers"):
        run_now(desk.settings, "number", {}, Caller("ada@example.com"))
    with pytest.raises(InvalidField, match="rows"):
        run_now(desk.settings, "numbers", {"rows": "many"}, Caller("ada@example.com"))
