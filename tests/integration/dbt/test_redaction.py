"""Redaction on DuckDB: the function that dbt makes answers as Python does, and stands before every
text of every `vw_*` view.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdesk.contract.redaction import redact_text
from tests.integration.dbt.conftest import DbtWarehouse, event
from tests.integration.dbt.in_step import BUILD, Own, Steps, in_step
from tests.redaction.examples import counter_examples, examples, unseen

EMAIL = "ada.lovelace@example.com"
TOKEN = "gh" + "p_" + "a1B2" * 9
FEATURES = (
    *("model", "question", "tool", "outcome", "where", "error_code", "message", "path", "kind"),
    *("ticket_id", "template", "query_hash", "status"),
)
ACTIVITIES = (
    *("cdesk.user_asked", "cdesk.tool_called", "cdesk.file_read", "cdesk.sql_completed"),
    "cdesk.error_encountered",
)
VIEWS = ("vw_llm_events", "vw_sql_events", "vw_tool_events", "vw_file_events")


def test_duckdb_answers_as_python_does(warehouse: DbtWarehouse) -> None:
    texts = sorted(
        {one.text for one in (*examples(), *counter_examples(), *unseen())} | {"", " ", "words"}
    )
    with warehouse.connect() as connection:
        connection.execute("create temp table texts (text varchar)")
        connection.executemany("insert into texts values (?)", [[text] for text in texts])
        answers = dict(
            connection.execute("select text, activities.redact_text(text) from texts").fetchall()
        )
    differ = [
        (text, answers[text], expected)
        for text in texts
        if answers[text] != (expected := redact_text(text, personal=True))
    ]
    assert differ == []


def test_what_redaction_would_change_is_said_to_need_it(warehouse: DbtWarehouse) -> None:
    texts = sorted({one.text for one in (*examples(), *counter_examples(), *unseen())})
    spoilt = [f"{text}\x01" for text in texts[:3]] + ["a\x02b", "p\u0430ypal", "\u0430"]
    with warehouse.connect() as connection:
        connection.execute("create temp table texts (text varchar)")
        connection.executemany("insert into texts values (?)", [[text] for text in texts + spoilt])
        answers = connection.execute(
            "select text, activities.redact_text(text) != text, activities.may_need_redaction(text), "
            "activities.may_need_redaction(concat_ws(chr(10), 'words', text, 'words')) from texts"
        ).fetchall()
        plain = connection.execute(
            "select activities.may_need_redaction(text) from (values ('claude-sonnet-4'), ('words'), "
            "('What happened on Tuesday?'), ('01890a5d-ac96-774b-bcce-b302099a8057')) as plain (text)"
        ).fetchall()
    assert len([text for text, changes, _, _ in answers if changes]) > 300
    missed = [
        text
        for text, changes, alone, among_others in answers
        if changes and not (alone and among_others)
    ]
    assert missed == []
    assert plain == [(False,)] * 4, "or the question would spare nothing"


@pytest.mark.parametrize("view", VIEWS)
@in_step
def test_no_text_of_a_view_shows_personal_data_or_a_credential(own: Own, view: str) -> Steps:
    written = json.dumps(dict.fromkeys(FEATURES, f"{EMAIL} {TOKEN}"))
    own.land(
        [
            {**event(number), "activity": activity, "feature_json": json.loads(written)}
            for number, activity in enumerate(ACTIVITIES, 1)
        ]
    )
    yield BUILD
    rows = own.query(f"select * from {view}")
    assert rows
    for row in rows:
        shown = [value for value in row if isinstance(value, str) and value != "ada"]
        assert EMAIL not in str(shown)
        assert TOKEN not in str(shown)
        assert "[email] [secret:github_token]" in shown


def test_the_function_is_made_once_a_version(warehouse: DbtWarehouse) -> None:
    def made() -> object:
        return warehouse.query(
            "select function_oid from duckdb_functions() where function_name = 'redact_text'"
        )

    warehouse.build()
    before = made()
    warehouse.build()
    assert made() == before


def test_the_written_macros_are_those_of_the_module() -> None:
    from scripts.redaction_macros import files

    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{Path(path).name}: run python scripts/redaction_macros.py"
        )
