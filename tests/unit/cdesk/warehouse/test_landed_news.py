from __future__ import annotations

from landing_table import event

from cdesk.warehouse.batch import LineBatch
from cdesk.warehouse.landed_news import LOOKED_AT, LandedNews
from cdesk.warehouse.protocol import LandedLine


def batch(*lines: tuple[str, bytes], kind: str = "event") -> LineBatch:
    return LineBatch.of([LandedLine(id, kind, line.decode(), "a.ndjson", 0) for id, line in lines])


def marks(news: LandedNews) -> list[str]:
    return [
        news.mark(customer, system=system)
        for customer in ("ada@example.com", "bob@example.com", None)
        for system in (False, True)
    ]


def changed(*lines: tuple[str, bytes], kind: str = "event") -> list[bool]:
    """Whether it is news to Ada, to Bob, to anybody; of each, without and with the system's."""
    news = LandedNews()
    before = marks(news)
    news.add(batch(*lines, kind=kind))
    return [one != other for one, other in zip(before, marks(news), strict=True)]


def test_an_activity_is_news_to_its_customer_and_to_who_sees_everybody() -> None:
    yes, no = True, False
    assert changed(event("cdesk.user_asked")) == [yes, yes, no, no, yes, yes]


def test_what_the_system_records_of_a_question_is_news_only_to_who_asks_for_it() -> None:
    yes, no = True, False
    assert changed(event("cdesk.sql_completed")) == [no, yes, no, no, no, yes]


def test_other_kinds_show_with_the_next_build() -> None:
    assert not any(changed(event(), kind="query_run"))


def test_a_line_that_cannot_be_read_and_a_large_batch_are_news_to_everybody() -> None:
    assert all(changed(("x", b"[]")))
    assert all(changed(("x", b"no json")))
    assert all(changed(("x", b'{"customer":"ada@example.com"}')))
    assert all(changed(*[event()] * (LOOKED_AT + 1)))
    assert not all(changed(*[event()] * LOOKED_AT))


def test_a_line_that_can_not_be_read_hides_none_behind_it() -> None:
    news = LandedNews()
    news.add(batch(("x", b"[]"), event()))
    after_it = news.mark("ada@example.com", system=False)
    news.everything()
    assert after_it != news.mark("ada@example.com", system=False)
    news = LandedNews()
    before = news.mark("bob@example.com", system=False)
    news.add(LineBatch.of([LandedLine("x", "query_run", "{}", "f", 0), *batch(event())]))
    assert news.mark("bob@example.com", system=False) == before
    assert news.mark("ada@example.com", system=False) != before, "what comes after another kind"


def test_each_thing_is_news_once_more_and_a_revision_is_as_an_event() -> None:
    news = LandedNews()
    marks_ = [news.mark("ada@example.com", system=True)]
    for step in (
        lambda: news.add(batch(event())),
        lambda: news.add(batch(event(), kind="revision")),
        lambda: news.add(batch(event("cdesk.sql_completed"))),
        news.everything,
        news.everything,
        lambda: news.add(batch(event())),
    ):
        step()
        marks_.append(news.mark("ada@example.com", system=True))
    assert len(set(marks_)) == len(marks_), "none stands for two states"
