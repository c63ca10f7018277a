"""What others see of an answer: masked in rows, file, proof and record; a customer's own is not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq
import pytest
from query_desk import answer

from cdesk.artifacts import redacted
from cdesk.contract import redaction

if TYPE_CHECKING:
    from query_desk import Desk

EMAIL = "bob@example.com"
TOKEN = "gh" + "p_" + "a1B2" * 9


@pytest.fixture
def templates(desk: Desk) -> Desk:
    """Templates that show a landed text, one of each scope."""
    with duckdb.connect(str(desk.home.warehouse)) as connection:
        connection.execute(
            "insert into activities.landing values ('x', 'event', ?, 'f', 0, now()::timestamp)",
            [f'"{EMAIL} {TOKEN}"'],
        )
    sql = (
        "select payload ->> '$' as said, payload ->> '$' as customer, 1 as n from "
        "activities.landing where id = 'x'"
    )
    binds: dict[str, Any] = {
        "customer": (["customer"], f"{sql} and ? is not null"),
        "caller": (["customer", "is_analyst"], f"{sql} and (? is not null or ?)"),
        "org": ([], sql),
    }
    desk.write_catalog(
        dict(desk.templates)
        | {
            scope: {
                **desk.templates["everyone"],
                "scope": scope,
                "sql": text,
                "binds": names,
                "evidence_columns": {"said": "system"},
                "safe_columns": ["customer"],
            }
            for scope, (names, text) in binds.items()
        }
    )
    return desk


@pytest.mark.parametrize("scope", ["caller", "org"])
def test_an_answer_that_others_look_at_shows_no_personal_data(templates: Desk, scope: str) -> None:
    result = answer(templates, scope)
    path = templates.executor().artifacts.path(result["artifact"]["uri"])
    file = pq.read_table(path).to_pylist()
    stands = "[email] [secret:github_token]"
    assert [row[0] for row in result["rows"]] == [stands]
    assert [row["said"] for row in file] == [stands]
    [run] = templates.records("query_run")
    assert run["evidence"][0]["values"] == [stands]
    # declared safe: as it is, credentials too, so that only identifiers may be
    assert file[0]["customer"] == f"{EMAIL} {TOKEN}"


def test_a_customers_own_answer_shows_what_they_wrote_without_credentials(
    templates: Desk,
) -> None:
    result = answer(templates, "customer")
    assert result["rows"][0][0] == f"{EMAIL} [secret:github_token]"


def test_an_answer_of_an_older_list_is_given_no_more(
    templates: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(templates, "org")
    assert answer(templates, "org")["reused"] is True
    monkeypatch.setattr(redacted, "PASSES", ())
    redacted.redaction_version.cache_clear()
    try:
        assert answer(templates, "org")["reused"] is False
    finally:
        redacted.redaction_version.cache_clear()


def test_the_version_of_the_list_goes_by_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of keys and rules of documents decide as much as patterns do."""
    before = redacted.redaction_version()
    for module in Path(redaction.__file__).parent.glob("*.py"):
        shutil.copy(module, tmp_path)
    monkeypatch.setattr(redaction, "__file__", str(tmp_path / "__init__.py"))
    redacted.redaction_version.cache_clear()
    try:
        assert redacted.redaction_version() == before
        with (tmp_path / "keys.py").open("a", encoding="utf-8") as file:
            file.write("# another name\n")
        redacted.redaction_version.cache_clear()
        assert redacted.redaction_version() != before
    finally:
        redacted.redaction_version.cache_clear()
