"""When an insight is verified, what proves it, and what a context remembers: on rows made by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.governance.account import Account, model

ADA, BOB = "ada@example.com", "bob@example.com"


def table(local: Account, name: str, columns: str, *rows: tuple[Any, ...]) -> None:
    """`columns`: names, each with its type after a colon where it is no text."""
    assert local.connection is not None
    typed = [one.partition(":") for one in columns.split()]
    declared = ", ".join(f"{column} {kind or 'varchar'}" for column, _, kind in typed)
    local.connection.execute(f"create table {name} ({declared})")
    if rows:
        marks = ", ".join("?" * len(typed))
        local.connection.executemany(f"insert into {name} values ({marks})", rows)


def rows(
    local: Account, sql: str, columns: str = "*", order: str = "1, 2"
) -> list[tuple[Any, ...]]:
    assert local.connection is not None
    found = local.connection.execute(f"select {columns} from ({sql}) order by {order}")
    return found.fetchall()


@pytest.mark.parametrize(
    ("value", "claimed"),
    [
        (42, ("number", "42", 42.0, 42)),
        (42.0, ("number", "42.0", 42.0, 42)),
        (-0.5, ("number", "-0.5", -0.5, None)),
        (9007199254740993, ("number", "9007199254740993", 9007199254740992.0, 9007199254740993)),
        ("42", ("string", "42", None, None)),
        (True, ("boolean", "true", None, None)),
        (None, ("null", None, None, None)),
        ([1], ("null", "[1]", None, None)),
    ],
)
def test_what_an_insight_says_by_its_type(
    local: Account, value: Any, claimed: tuple[Any, ...]
) -> None:
    table(local, "insights", "value:json ts:timestamp _landed_at:timestamp",
          (json.dumps(value), "9999-01-01", "2026-01-02"))  # fmt: skip
    columns = "value_type, value_text, value_number, value_integer"
    sql = local("insight_claims", "insights")
    assert rows(local, sql, columns) == [claimed]
    assert rows(local, sql, "cast(recorded_at as varchar)", "1") == [("2026-01-02 00:00:00",)]


def column(name: str, *values: Any, basis: str = "system", kind: str = "number") -> dict[str, Any]:
    return {"column": name, "basis": basis, "type": kind, "values": list(values)}


TEMPLATES = [
    model("counts", resource_type="analysis",
          config={"meta": {"evidence_columns": {"n": "system", "said": "reported"}}}),
    model("silent", resource_type="analysis"),
    model("events", config={"meta": {"evidence_columns": {"m": "system"}}}),
]  # fmt: skip


def test_what_a_run_found_counts_as_far_as_its_template_declares_it(local: Account) -> None:
    local.nodes = TEMPLATES
    assert local("evidence_columns") == [["counts.n", "system"], ["counts.said", "reported"]]
    found = [
        column("n", "42", "0.5"), column("said", "7"), column("undeclared", "1"),
        column("n", "3", basis="reported"), {**column("n"), "values": "no list"},
        column("n", "words", kind="text"),
    ]  # fmt: skip
    names = "query_run_id template status is_template_sql:boolean evidence:json"
    evidence = json.dumps(found)
    table(
        local, "runs", f"customer query_hash _landed_at:timestamp {names}",
        *(
            (ADA, "h", "2026-01-01", run, template, status, own, evidence)
            for run, template, status, own in (
                ("1", "counts", "succeeded", True),
                ("2", "counts", "failed", True),
                ("3", "counts", "succeeded", False),
                ("4", "events", "succeeded", True),
                ("5", "silent", "succeeded", True),
            )
        ),
    )  # fmt: skip
    columns = "query_run_id, column_name, value_text, basis, value_number, value_integer"
    assert rows(local, local("insight_evidence", "runs"), columns, "1, 2, 3") == [
        ("1", "n", "0.5", "system", 0.5, None),
        ("1", "n", "3", "reported", 3.0, 3),
        ("1", "n", "42", "system", 42.0, 42),
        ("1", "n", "words", "system", None, None),
        ("1", "said", "7", "reported", 7.0, 7),
    ]


CLAIM = "insight_id customer provenance_query_hash value_type value_text value_number:double value_integer:hugeint"
EVIDENCE = (
    "customer query_hash query_run_id template column_name _landed_at:timestamp basis "
    "value_type value_text value_number:double value_integer:hugeint"
)


def number(value: float | int) -> tuple[Any, ...]:
    """(type, text, number, integer)"""
    return "number", str(value), float(value), value if isinstance(value, int) else None


def text(value: str) -> tuple[Any, ...]:
    return "string", value, None, None


def truth(value: str) -> tuple[Any, ...]:
    return "boolean", value, None, None


BIG = 2**53
FRACTION = 1_000_000_000.5


@pytest.mark.parametrize(
    ("claimed", "found", "is_proof"),
    [
        (text("a"), text("a"), True),
        (text("a"), text("b"), False),
        (text("42"), number(42), True),  # as it was shown
        (text("true"), truth("true"), True),
        (truth("true"), truth("true"), True),
        (truth("true"), truth("false"), False),
        (truth("true"), ("text", "true", None, None), False),
        (number(42), number(42), True),
        (number(42), number(43), False),
        (number(BIG + 1), number(BIG + 1), True),
        (number(BIG + 1), number(BIG), False),  # which a double takes for one
        (number(42), text("42"), False),
        (number(42), number(42.0000000001), False),  # only fractions have a tolerance
        (number(42.5), number(42), False),
        (number(1.5), number(1.5), True),
        (number(1.5), number(1.5 + 1e-9), True),
        (number(1.5), number(1.5 + 2e-9), False),
        (number(-1.5), number(1.5), False),
        (number(1.5), number(-1.5), False),
        (number(FRACTION), number(FRACTION + 1), True),  # within 1e-9 of the larger alone
        (number(FRACTION + 1), number(FRACTION), True),
        (number(FRACTION), number(FRACTION + 2), False),
        (number(1e300), number(1e300), True),  # beyond 2^53 nothing is near
        (("number", "x", float(BIG), None), ("number", "x", float(BIG), None), True),
        (("number", "x", float(BIG), None), ("number", "x", float(BIG) + 2, None), False),
        (("number", "x", float(BIG) + 2, None), ("number", "x", float(BIG), None), False),
        (("number", "x", float(BIG) - 1, None), ("number", "x", float(BIG), None), True),
        (("null", None, None, None), ("number", None, None, None), False),
    ],
)
def test_a_value_is_proven_by_its_equal(
    local: Account, claimed: tuple[Any, ...], found: tuple[Any, ...], is_proof: bool
) -> None:
    table(local, "claims", CLAIM, ("i", ADA, "h", *claimed))
    own = ("r", "counts", "n", "2026-01-01", "system")
    table(
        local, "evidence", EVIDENCE,
        (ADA, "h", *own, *found), (BOB, "h2", *own, *claimed), (ADA, "h2", *own, *claimed),
        (BOB, "h", *own, *claimed),
    )  # fmt: skip
    proofs = rows(local, local("insight_proofs", "claims", "evidence"), "insight_id, column_name")
    assert proofs == [("i", "n")] * is_proof


def test_the_first_run_proves_and_of_its_columns_the_systems_own(local: Account) -> None:
    table(local, "claims", CLAIM, *((one, ADA, one, *number(1)) for one in ("i", "j", "k", "l")))

    def found(hash_: str, run: str, column: str, day: int, basis: str) -> tuple[Any, ...]:
        return ADA, hash_, run, f"t{run}", column, f"2026-01-0{day}", basis, *number(1)

    table(
        local, "evidence", EVIDENCE,
        found("i", "0", "a", 2, "system"), found("i", "9", "z", 1, "reported"),
        found("j", "9", "a", 1, "system"), found("j", "0", "z", 1, "reported"),
        found("k", "0", "a", 1, "reported"), found("k", "0", "z", 1, "system"),
        found("l", "0", "b", 1, "system"), found("l", "0", "a", 1, "system"),
        found("l", "0", "c", 1, "system"),
    )  # fmt: skip
    columns = "insight_id, template, column_name, basis, cast(_landed_at as date)::varchar"
    assert rows(local, local("insight_proofs", "claims", "evidence"), columns) == [
        ("i", "t9", "z", "reported", "2026-01-01"),
        ("j", "t0", "z", "reported", "2026-01-01"),
        ("k", "t0", "z", "system", "2026-01-01"),
        ("l", "t0", "a", "system", "2026-01-01"),
    ]


RUN = "customer query_hash _landed_at:timestamp status template is_template_sql:boolean has_complete_evidence:boolean"


def test_how_the_runs_of_a_query_ended_all_of_them_together(local: Account) -> None:
    local.nodes = TEMPLATES
    ended = {
        "all well": [("succeeded", "counts", True, True), ("failed", "counts", False, False)],
        "one is cut": [("succeeded", "counts", True, True), ("succeeded", "counts", True, False)],
        "one is foreign": [
            ("succeeded", "counts", False, True),
            ("succeeded", "counts", True, True),
        ],
        "none declares": [("succeeded", "silent", True, True), ("failed", "counts", True, True)],
        "failed": [("failed", "counts", False, False)],
    }
    table(
        local, "runs", RUN,
        *((ADA, name, f"2026-01-0{day}", *one)
          for name, runs in ended.items() for day, one in enumerate(runs, start=1)),
        (BOB, "all well", "2026-01-05", "failed", "counts", True, True),
    )  # fmt: skip
    columns = "query_hash, customer, day(_landed_at), has_succeeded, has_evidence, has_template_sql, is_complete"
    assert rows(local, local("insight_runs", "runs"), columns) == [
        ("all well", ADA, 2, True, True, True, True),
        ("all well", BOB, 5, False, False, True, True),
        ("failed", ADA, 1, False, False, True, True),
        ("none declares", ADA, 2, True, False, True, True),
        ("one is cut", ADA, 2, True, True, True, False),
        ("one is foreign", ADA, 2, True, True, False, True),
    ]


@pytest.mark.parametrize(
    ("run", "is_proven", "value_type", "hash_", "expected"),
    [
        (None, False, "number", None, "no_provenance"),
        (None, False, "number", "h", "unknown_query"),
        ((False, True, True, True), False, "number", "h", "query_not_succeeded"),
        ((True, False, True, True), False, "number", "h", "not_evidence"),
        ((True, True, False, False), True, "number", "h", "verified"),
        ((True, True, False, True), False, "number", "h", "unknown_template_sql"),
        ((True, True, True, False), False, "null", "h", "no_value"),
        ((True, True, True, False), False, "number", "h", "evidence_incomplete"),
        ((True, True, True, True), False, "number", "h", "value_not_in_evidence"),
    ],
)
def test_why_an_insight_is_verified_or_not(
    local: Account,
    run: tuple[bool, ...] | None,
    is_proven: bool,
    value_type: str,
    hash_: str | None,
    expected: str,
) -> None:
    of_runs = (
        "customer query_hash _landed_at:timestamp has_succeeded:boolean has_evidence:boolean "
        "has_template_sql:boolean is_complete:boolean"
    )
    table(local, "claims", "insight_id customer provenance_query_hash value_type",
          ("i", ADA, hash_, value_type))  # fmt: skip
    others = [(BOB, "h", "2026-01-09", True, True, True, True),
              (ADA, "other", "2026-01-09", True, True, True, True)]  # fmt: skip
    table(local, "runs", of_runs, *others, *([(ADA, "h", "2026-01-02", *run)] if run else []))
    table(local, "proofs", "insight_id basis template column_name _landed_at:timestamp",
          ("other", "system", "t", "c", "2026-01-08"),
          *([("i", "reported", "counts", "n", "2026-01-01")] * is_proven))  # fmt: skip
    columns = (
        "verified, verification_reason, basis, provenance_template, provenance_column, "
        "day(_provenance_landed_at)"
    )
    proof = ("reported", "counts", "n", 1) if is_proven else (None, None, None, 2 if run else None)
    verdicts = local("insight_verdicts", "claims", "runs", "proofs")
    assert rows(local, verdicts, columns) == [(is_proven, expected, *proof)]


def test_a_context_counts_calendar_days(local: Account) -> None:
    """`today` is 30 March: one, seven and thirty days begin on the 30th, the 24th and the 1st."""
    table(local, "customers", "customer", (ADA,))
    table(
        local, "events", "customer activity ts:timestamp",
        *((ADA, "cdesk.a", ts) for ts in (
            "2026-02-28 23:59:59", "2026-03-01", "2026-03-23 23:59:59", "2026-03-24",
            "2026-03-29 23:59:59", "2026-03-30", "2026-03-30 23:59:59", "2026-03-31",
        )),
        (ADA, "cdesk.b", "2026-03-02"), (BOB, "cdesk.a", "2026-03-30"),
    )  # fmt: skip
    table(local, "vocabulary", "activity description", ("cdesk.a", 'says "a"'), ("cdesk.c", "c"))
    sql = local("context_counts", "events", "customers", "vocabulary", "cast('2026-03-30' as date)")
    [(customer, counts, definitions)] = rows(local, sql)
    assert customer == ADA
    assert json.loads(counts) == {
        "cdesk.a": {"d1": 2, "d7": 4, "d30": 6},
        "cdesk.b": {"d1": 0, "d7": 0, "d30": 1},
    }
    assert definitions == '{"cdesk.a":"says \\"a\\""}'


ATOM = (
    "customer subject metric value:json recorded_at:timestamp provenance_query_hash insight_id "
    "verified:boolean is_forgotten:boolean provenance_template basis verification_reason"
)


def atom(number: int, **given: Any) -> tuple[Any, ...]:
    own = {
        "customer": ADA, "subject": "s", "metric": f"m{number}", "value": str(number),
        "recorded_at": f"2026-01-01 {number // 60:02}:{number % 60:02}:00", "hash": "h",
        "insight_id": f"i{number:03}", "verified": True, "is_forgotten": False,
        "template": "counts", "basis": "system", "reason": "verified",
    }  # fmt: skip
    return tuple({**own, **given}.values())


def remembered(local: Account) -> dict[str, tuple[list[Any], list[Any]]]:
    """customer → ids of the verified insights, and of the others."""
    return {
        customer: tuple([one["insight_id"] for one in json.loads(part)] for part in parts)  # type: ignore[misc]
        for customer, *parts in rows(local, local("context_insights", "atoms"))
    }


def test_a_context_has_the_latest_of_each_subject_and_metric(local: Account) -> None:
    same = {"metric": "m", "recorded_at": "2026-01-01 12:00:00"}
    table(
        local, "atoms", ATOM,
        atom(1, metric="m"), atom(2, metric="m"), atom(3, metric="m", is_forgotten=True),
        atom(4, metric="m", verified=False), atom(5, metric="other"),
        atom(6, metric="m", subject="other"), atom(7, metric="m", customer=BOB),
        atom(8, customer="cy", **same), atom(9, customer="cy", **same),
    )  # fmt: skip
    assert remembered(local) == {
        ADA: (["i006", "i005", "i002"], ["i004"]),
        BOB: (["i007"], []),
        "cy": (["i009"], []),
    }
    [(_, verified, others)] = [
        row for row in rows(local, local("context_insights", "atoms")) if row[0] == ADA
    ]
    assert json.loads(verified)[0] == {
        "subject": "other", "metric": "m", "value": 6, "ts": "2026-01-01T00:06:00.000000Z",
        "provenance_query_hash": "h", "insight_id": "i006", "template": "counts",
        "basis": "system",
    }  # fmt: skip
    assert json.loads(others)[0]["reason"] == "verified"
    assert "template" not in json.loads(others)[0]


def test_a_context_has_a_hundred_verified_insights_and_fifty_others(local: Account) -> None:
    table(
        local, "atoms", ATOM,
        *(atom(number) for number in range(1, 102)),
        *(atom(number, verified=False) for number in range(201, 252)),
        atom(900, customer=BOB), atom(901, customer=BOB, verified=False),
    )  # fmt: skip
    found = remembered(local)
    assert found[ADA] == (
        [f"i{number:03}" for number in range(101, 1, -1)],
        [f"i{number:03}" for number in range(251, 201, -1)],
    )
    assert found[BOB] == (["i900"], ["i901"])


def test_a_context_has_ten_questions_and_knows_which_they_are(local: Account) -> None:
    table(
        local, "questions", "customer question recorded_at:timestamp _activity_id",
        *((ADA, f"q{n}", f"2026-01-{n:02}", f"a{n:02}") for n in range(1, 12)),
        (BOB, "first", "2026-01-01", "a"), (BOB, "second", "2026-01-01", "b"),
    )  # fmt: skip
    [ada, bob] = rows(local, local("context_questions", "questions"))
    assert [one["question"] for one in json.loads(ada[1])] == [f"q{n}" for n in range(11, 1, -1)]
    assert json.loads(ada[2]) == [f"a{n:02}" for n in range(11, 1, -1)]
    assert json.loads(bob[1]) == [
        {"question": "second", "ts": "2026-01-01T00:00:00.000000Z"},
        {"question": "first", "ts": "2026-01-01T00:00:00.000000Z"},
    ]
    table(
        local, "cached", "customer context _question_ids",
        *((one[0], json.dumps({"recent_questions": json.loads(one[1])}), one[2]) for one in (ada, bob)),
        ("cy", json.dumps({"recent_questions": json.loads(ada[1])[:1]}), '["x", "y"]'),
    )  # fmt: skip
    found = rows(
        local, local("cached_questions", "cached"), "customer, question, _activity_id", "1, 3 desc"
    )
    assert found == [
        *((ADA, f"q{n}", f"a{n:02}") for n in range(11, 1, -1)),
        (BOB, "second", "b"),
        (BOB, "first", "a"),
        ("cy", "q11", "x"),
    ]


def test_what_was_forgotten_is_known_once(local: Account) -> None:
    forgotten, other = "cdesk.insight_forgotten", "cdesk.user_asked"
    table(
        local, "events", "customer activity _feature_json:json n:integer",
        (ADA, forgotten, '{"insight_id": "i1"}', 1), (ADA, forgotten, '{"insight_id": "i1"}', 1),
        (BOB, forgotten, '{"insight_id": "i1"}', 1), (ADA, other, '{"insight_id": "i2"}', 1),
        (ADA, forgotten, '{"insight_id": "i3"}', 0),
    )  # fmt: skip
    assert rows(local, local("forgotten_insights", "events.n = 1")) == [(ADA, "i1"), (BOB, "i1")]
