"""Whose word an answer is, and which SQL of a template is believed: on rows made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cdesk.contract.catalog import normalise_sql
from tests.unit.governance.account import Account, model

OURS, THEIRS = "claude_desktop", "claude_code"


@pytest.mark.parametrize(
    ("rows", "basis"),
    [
        ([(OURS, "cdesk.tool_called")], "system"),
        ([(OURS, "cdesk.tool_called"), (OURS, "cdesk.session_started")], "system"),
        ([(OURS, "cdesk.tool_called"), (OURS, "cdesk.user_asked")], "reported"),
        ([(OURS, "cdesk.tool_called"), (THEIRS, "cdesk.tool_called")], "reported"),
        ([(THEIRS, "cdesk.tool_called")], "reported"),
        ([(OURS, "cdesk.user_asked")], "reported"),
        ([], "system"),  # that there is nothing, the system says
    ],
)
def test_an_answer_is_the_systems_word_where_each_row_is(
    local: Account, rows: list[tuple[str, str]], basis: str
) -> None:
    assert local.connection is not None
    local.connection.execute("create table asked (_source_system varchar, activity varchar)")
    for row in rows:
        local.connection.execute("insert into asked values (?, ?)", row)
    found = local.connection.execute(f"select {local('basis_of_rows')} from asked").fetchall()
    assert found == [(basis,)]


TEXTS = [
    "select 1 -- a remark\nfrom a",
    "select 'it''s -- no remark',\n\t\"a  b\"  /* a\nremark */ from  a;",
    "select ?/*customer*/, '?/*kept*/' from a ; ",
    "  select\n\n1  ",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_templates_sql_is_read_as_the_catalogue_reads_it(local: Account, text: str) -> None:
    bound = text.replace("?/*customer*/", "?")
    assert local("_normalised_sql", text) == normalise_sql(bound).rstrip("; ")


def template(name: str, sql: str, *reads: str) -> dict[str, Any]:
    return model(
        name, resource_type="analysis", raw_code=sql, depends_on=SimpleNamespace(nodes=list(reads))
    )


@pytest.fixture
def project(local: Account) -> Account:
    """A hook that says that it reads `events`."""
    local.warned = []  # type: ignore[attr-defined]
    local.nodes = [
        template("counts", "select 1 -- of\nfrom  A", "events"),
        template("hidden", "select 2", "events", "secrets"),
        model("events", raw_code="select 3", depends_on=SimpleNamespace(nodes=[])),
    ]
    local.names = {
        "model": {"depends_on": SimpleNamespace(nodes=["events", "others"])},
        "selected_resources": ["model.cdesk.stg_query_runs"],
        "exceptions": SimpleNamespace(warn=local.warned.append),  # type: ignore[attr-defined]
    }
    return local


def known(project: Account) -> list[tuple[str, str]]:
    assert project.connection is not None
    hashes = {
        project.connection.execute("select sha256(?)", [text]).fetchall()[0][0]: text
        for text in ("select 1 from a", "select 0 from a", "select 2")
    }
    found = project.connection.execute(
        "select template, sql_hash from template_versions"
    ).fetchall()
    return sorted((name, hashes.get(hash_, hash_)) for name, hash_ in found)


def test_a_template_has_the_sql_of_each_time_that_it_was_built(project: Account) -> None:
    assert project.connection is not None
    project("record_templates", ["events"])
    assert known(project) == [("counts", "select 1 from a")]
    assert "hidden finds proves nothing, as it reads secrets" in project.warned[0]  # type: ignore[attr-defined]
    project("record_templates", ["events"])
    assert len(known(project)) == 1, "what stands there stays"
    project.nodes[0] = template("counts", "select 0 from a", "events")
    project("record_templates", ["events"])
    assert known(project) == [("counts", "select 0 from a"), ("counts", "select 1 from a")]
    project.nodes[0] = template("others", "select 0 from a", "events")
    project("record_templates", ["events"])
    assert ("others", "select 0 from a") in known(project), "each has its own"


def test_a_refresh_of_the_tables_records_nothing(project: Account) -> None:
    project.names["selected_resources"] = ["model.cdesk.events"]
    project("record_templates", ["events"])
    assert known(project) == []


def test_what_ran_before_sql_was_recorded_is_believed_once(project: Account) -> None:
    assert project.connection is not None
    execute = project.connection.execute
    execute(
        "create table provenance_chain (template varchar, sql_text varchar, _landed_at timestamp)"
    )
    for day, sql in ((3, "select 0 FROM a"), (2, "select 0 from a"), (4, "select 2")):
        execute("insert into provenance_chain values ('counts', ?, ?)", [sql, f"2026-01-0{day}"])
    project("record_templates", ["events"])
    assert known(project) == [
        ("counts", "select 0 from a"), ("counts", "select 1 from a"), ("counts", "select 2"),
    ]  # fmt: skip
    first = execute("select min(first_built_at) from template_versions").fetchall()
    assert str(first[0][0]) == "2026-01-02 00:00:00"
    execute("insert into provenance_chain values ('counts', 'select 9', '2026-01-09')")
    project("record_templates", ["events"])
    assert len(known(project)) == 3
