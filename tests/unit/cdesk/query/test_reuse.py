"""The same question asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from query_desk import answer

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
