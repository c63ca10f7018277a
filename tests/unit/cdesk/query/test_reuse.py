"""The same question asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from query_desk import answer

from cdesk.contract.catalog import Parameter, Template
from cdesk.core.clock import format_ts
from cdesk.core.identity import Caller
from cdesk.query import reuse
from cdesk.query.request import QueryRequest
from cdesk.query.reuse import (
    REUSE_SECONDS,
    Fingerprints,
    earlier_answer,
    fingerprint_params,
    forget_answers,
    is_timeless,
    keep_answer,
    keep_trend,
)

if TYPE_CHECKING:
    from query_desk import Desk


def test_the_same_question_on_unchanged_data_gets_the_earlier_answer(desk: Desk) -> None:
    first = answer(desk, "clock")
    again = answer(desk, "clock")
    assert again == {**first, "reused": True}
    assert len(desk.records("query_run")) == 1


def test_asked_again_within_a_day_it_is_the_same_value_and_provenance(desk: Desk) -> None:
    first = answer(desk, "clock")
    desk.clock.forward(hours=23.9)
    again = answer(desk, "clock")
    assert again["rows"] == first["rows"]
    assert [again[name] for name in ("query_hash", "query_tag", "as_of", "artifact")] == [
        first[name] for name in ("query_hash", "query_tag", "as_of", "artifact")
    ]


def test_after_a_day_a_question_that_a_clock_goes_into_is_asked_anew(desk: Desk) -> None:
    first = answer(desk, "clock")
    desk.clock.forward(hours=24.1)
    again = answer(desk, "clock")
    assert again["reused"] is False
    assert again["rows"] != first["rows"]
    assert again["query_hash"] == first["query_hash"]


def test_a_question_without_a_clock_keeps_its_answer_as_long_as_the_data_stands(desk: Desk) -> None:
    answer(desk, "numbers", {"rows": 3})
    desk.clock.forward(hours=24 * 30)
    assert answer(desk, "numbers", {"rows": 3})["reused"] is True


def test_new_data_makes_a_new_answer(desk: Desk) -> None:
    answer(desk, "numbers", {"rows": 3})
    desk.land()
    assert answer(desk, "numbers", {"rows": 3})["reused"] is False


def test_what_the_system_records_of_its_own_work_is_no_new_data(desk: Desk) -> None:
    answer(desk, "numbers", {"rows": 3})
    desk.land("query_run")
    assert answer(desk, "numbers", {"rows": 3})["reused"] is True


def test_fresh_asks_anew(desk: Desk) -> None:
    first = answer(desk, "clock")
    again = answer(desk, "clock", fresh=True)
    assert again["reused"] is False
    assert again["query_tag"] != first["query_tag"]
    assert answer(desk, "clock")["query_tag"] == again["query_tag"]


def test_a_template_that_must_see_the_moment_is_never_answered_from_before(desk: Desk) -> None:
    assert answer(desk, "live")["rows"] != answer(desk, "live")["rows"]


def test_an_answer_whose_file_is_gone_is_made_anew(desk: Desk) -> None:
    executor = desk.executor()
    first = answer(desk, "numbers", {"rows": 3})
    executor.artifacts.remove(first["artifact"]["uri"])
    assert answer(desk, "numbers", {"rows": 3})["reused"] is False


def test_an_answer_whose_file_is_damaged_is_made_anew(desk: Desk) -> None:
    answer(desk, "numbers", {"rows": 3})
    (file,) = desk.home.artifacts.rglob("*.pack")
    file.write_bytes(file.read_bytes()[:-9] + b"\0" * 8 + b"\n")
    assert answer(desk, "numbers", {"rows": 3})["reused"] is False
    assert answer(desk, "numbers", {"rows": 3})["reused"] is True


def test_another_customer_never_gets_the_answer(desk: Desk) -> None:
    answer(desk, "echo", {"text": "same"})
    other = answer(desk, "echo", {"text": "same"}, customer="bob@example.com")
    assert other["reused"] is False


def test_a_sample_answers_only_a_question_with_the_same_cap(desk: Desk) -> None:
    small = answer(desk, "numbers", {"rows": 5000}, byte_cap=10_000)
    assert small["sampled"] is True
    assert answer(desk, "numbers", {"rows": 5000}, byte_cap=10_000)["reused"] is True
    whole = answer(desk, "numbers", {"rows": 5000})
    assert (whole["reused"], whole["sampled"]) == (False, False)
    assert answer(desk, "numbers", {"rows": 5000}, byte_cap=10_000)["sampled"] is True


def test_an_answer_whose_proof_holds_other_columns_than_are_evidence_now_is_made_anew(
    desk: Desk,
) -> None:
    """The template's SQL and so the hash stay the same when its declaration changes."""
    first = answer(desk, "numbers", {"rows": 3})
    numbers = desk.templates["numbers"]
    desk.write_catalog(
        {**desk.templates, "numbers": {**numbers, "evidence_columns": {"n": "reported"}}}
    )
    again = answer(desk, "numbers", {"rows": 3})
    assert (first["query_hash"], again["reused"]) == (again["query_hash"], False)
    assert answer(desk, "numbers", {"rows": 3})["reused"] is True


# -- which answer stands, to the second and the byte

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000


def kept(desk: Desk, request: QueryRequest, *, age: float = 0.0, **result: Any) -> dict[str, Any]:
    """An answer of so many seconds ago."""
    given = {"columns": [], "sampled": False, "byte_count": 5_000, "row_count": 1, **result}
    keep_answer(
        desk.state,
        request,
        given,
        fingerprint="same",
        values_complete=True,
        finished_at=format_ts(NOW - int(age * SECOND)),
    )
    return given


def stands(desk: Desk, request: QueryRequest, fingerprint: str | None = "same") -> bool:
    return earlier_answer(desk.state, request, fingerprint, now_ns=NOW) is not None


@pytest.mark.parametrize(
    ("age", "by_clock"),
    [(0, True), (-1, False), (REUSE_SECONDS, True), (REUSE_SECONDS + 1, False)],
)
def test_an_answer_that_a_clock_goes_into_stands_for_a_day_and_not_before_its_time(
    desk: Desk, age: int, by_clock: bool
) -> None:
    for template, expected in (("clock", by_clock), ("everyone", True)):
        request = desk.request(template)
        given = kept(desk, request, age=age)
        assert stands(desk, request) is expected
        if expected:
            assert earlier_answer(desk.state, request, "same", now_ns=NOW) == given


@pytest.mark.parametrize("fingerprint", [None, "other"])
def test_an_answer_of_other_data_or_of_nobody_knows_which_does_not_stand(
    desk: Desk, fingerprint: str | None
) -> None:
    request = desk.request("everyone")
    assert not stands(desk, request), "there is none"
    kept(desk, request)
    assert stands(desk, request)
    assert not stands(desk, request, fingerprint)
    assert not stands(desk, desk.request("clock"))


@pytest.mark.parametrize(
    ("sampled", "kept_cap", "cap", "expected"),
    [
        (False, None, None, True),
        (False, None, 5_000, True),
        (False, None, 4_999, False),
        (False, 4_000, 9_000, True),
        (True, None, None, True),
        (True, None, 64 * 1024 * 1024, True),
        (True, None, 9_000, False),
        (True, 4_000, 4_000, True),
        (True, 4_000, 4_001, False),
        (True, 4_000, None, False),
    ],
)
def test_a_whole_answer_stands_where_it_fits_and_a_sample_for_its_own_cap(
    desk: Desk, sampled: bool, kept_cap: int | None, cap: int | None, expected: bool
) -> None:
    request = desk.request("everyone")
    kept(desk, replace(request, byte_cap=kept_cap), sampled=sampled)
    assert stands(desk, replace(request, byte_cap=cap)) is expected


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([{"name": "n", "basis": "system"}, {"name": "label"}], True),
        ([{"name": "n"}, {"name": "label"}], False),
        ([{"name": "n", "basis": "reported"}], False),
        ([{"name": "n", "basis": "system"}, {"name": "label", "basis": "system"}], False),
    ],
)
def test_an_answer_stands_whose_columns_are_the_evidence_of_now(
    desk: Desk, columns: list[dict[str, str]], expected: bool
) -> None:
    request = desk.request("numbers", {"rows": 3})
    kept(desk, request, columns=columns)
    assert stands(desk, request) is expected


def test_the_series_behind_an_answer_is_kept_with_it(desk: Desk) -> None:
    request, other = desk.request("everyone"), desk.request("clock")
    for one in (request, other):
        kept(desk, one)
    keep_trend(desk.state, request, {"period": "day"})
    answers = [earlier_answer(desk.state, one, "same", now_ns=NOW) for one in (request, other)]
    assert [one and one.get("trend") for one in answers] == [{"period": "day"}, None]
    keep_trend(desk.state, request, None)
    found = earlier_answer(desk.state, request, "same", now_ns=NOW)
    assert found is not None
    assert found["trend"] is None


def test_answers_go_after_their_days_and_with_their_result(desk: Desk) -> None:
    result = answer(desk, "numbers", {"rows": 3})
    artifact = {"artifact": {"artifact_id": result["artifact"]["artifact_id"]}}
    request = desk.request("numbers", {"rows": 3})
    day = 24 * 3_600
    for age, gone in ((7 * day, 0), (7 * day + 1, 1)):
        kept(desk, request, age=age, **artifact)
        assert forget_answers(desk.state, now_ns=NOW, keep_days=7) == gone
    kept(desk, request, **artifact)
    assert forget_answers(desk.state, now_ns=NOW, keep_days=7) == 0
    kept(desk, desk.request("everyone"), artifact={"artifact_id": "gone"})
    assert forget_answers(desk.state, now_ns=NOW, keep_days=7) == 1
    assert stands(desk, request)


@pytest.mark.parametrize(
    ("sql", "timeless"),
    [
        ("select 1", True),
        ("select NOW()", False),
        ("select current_date", False),
        ("select today(), known, nowhere", False),
        ("select known, nowhere, sysdates from todays", True),
        ("select sysdate()", False),
    ],
)
def test_a_template_is_timeless_that_names_no_clock(desk: Desk, sql: str, timeless: bool) -> None:
    template = replace(desk.catalog.get("everyone"), sql=sql)
    assert is_timeless(template) is timeless


# -- fingerprints


class Told:
    """Says how the data stands; `asked`: of whom, and whether with the system's own."""

    def __init__(self) -> None:
        self.mark: str | None = "1"
        self.asked: list[tuple[str | None, bool]] = []

    def data_state(self, customer: str | None, *, system: bool) -> str | None:
        self.asked.append((customer, system))
        return self.mark


def naming(request: QueryRequest, *activities: str) -> QueryRequest:
    """The request, naming activities by two parameters."""
    parameters = (
        Parameter("activity", "activity"),
        Parameter("among", "list[activity]"),
        Parameter("text", "string"),
        Parameter("left_out", "activity", required=False),
    )
    template = replace(request.template, parameters=parameters)
    params = {
        "activity": activities[0],
        "among": list(activities[1:]),
        "text": "cdesk.no_activity",
        "left_out": None,
    }
    return replace(request, template=template, params=params)


def test_the_activities_that_a_request_names_are_told_sorted_and_once(desk: Desk) -> None:
    request = desk.request("everyone")
    assert request.named_activities() == []
    named = naming(request, "cdesk.user_asked", "cdesk.error_raised", "cdesk.user_asked")
    assert named.named_activities() == ["cdesk.error_raised", "cdesk.user_asked"]


def test_who_is_asked_about_is_the_customer_or_everybody(desk: Desk) -> None:
    told = Told()
    fingerprints = Fingerprints(told)  # type: ignore[arg-type]
    fingerprints.mark(desk.request("clock"))
    fingerprints.mark(desk.request("everyone"))
    fingerprints.mark(naming(desk.request("everyone"), "cdesk.user_asked"))
    fingerprints.mark(naming(desk.request("everyone"), "cdesk.user_asked", "cdesk.sql_completed"))
    assert told.asked == [
        ("ada@example.com", False),
        (None, False),
        (None, False),
        (None, True),
    ]


def test_a_fingerprint_is_known_until_there_is_news(desk: Desk) -> None:
    told = Told()
    fingerprints = Fingerprints(told)  # type: ignore[arg-type]
    template = desk.catalog.get("data_fingerprint")
    request = desk.request("clock")

    def known(request: QueryRequest, template: Template = template) -> str | None:
        return fingerprints.known(request, template, fingerprints.mark(request))

    assert known(request) is None
    fingerprints.keep(request, template, "1", "f")
    assert known(request) == "f"
    for other in (
        desk.request("clock", customer="bob@example.com"),
        desk.request("everyone"),
        naming(request, "cdesk.user_asked"),
    ):
        assert known(other) is None
    assert known(request, replace(template, hash="1" * 16)) is None
    told.mark = "2"
    assert known(request) is None
    told.mark = None
    fingerprints.keep(request, template, None, "g")
    assert known(request) is None, "nobody can tell whether it stands"


def test_no_more_fingerprints_are_kept_than_there_is_room_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reuse, "_MOST_FINGERPRINTS", 2)
    fingerprints = Fingerprints(Told())  # type: ignore[arg-type]
    template = desk.catalog.get("data_fingerprint")
    requests = [desk.request("clock", customer=f"{n}@example.com") for n in range(3)]
    for request in requests[:2]:
        fingerprints.keep(request, template, "1", "f")
    assert [fingerprints.known(one, template, "1") for one in requests] == ["f", "f", None]
    fingerprints.keep(requests[2], template, "1", "f")
    assert [fingerprints.known(one, template, "1") for one in requests] == [None, None, "f"]


def test_the_fingerprint_is_of_the_rows_that_the_request_sees(desk: Desk) -> None:
    template = desk.catalog.get("data_fingerprint")
    assert fingerprint_params(template, desk.request("everyone")) == {"everyone": True}
    mine = replace(desk.request("clock"), caller=Caller("ada"))
    assert fingerprint_params(template, mine) == {"everyone": False}
    named = Parameter("named", "string", max_length=200)
    template = replace(template, parameters=(*template.parameters, named))
    request = naming(desk.request("everyone"), "cdesk.user_asked", "cdesk.error_raised")
    assert fingerprint_params(template, request) == {
        "everyone": True,
        "named": ",cdesk.error_raised,cdesk.user_asked,",
    }
