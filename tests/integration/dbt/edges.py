"""Records that lie where a mistake in SQL shows: exactly at a bound and a microsecond beside it, in
a tie that only the last term of an order decides, with a field missing that a default stands in
for, of another person with the same names. Each matter has customers of its own, so that what is
drawn at random beside them (test_kept_answers.py) neither hides nor moves it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from cdesk.contract.records import proof_hash
from tests.integration.dbt.conftest import (
    envelope,
    event,
    evidence,
    hash_of,
    insight,
    params_of,
    query_run,
)

NOW = datetime(2026, 3, 10, 10)  # noqa: DTZ001  (the warehouse holds UTC without zone)
"""A full hour, so that what is rounded to the hour can lie on a bound. New York puts the clock
forward two days before.
"""
TICK = timedelta(microseconds=1)
WEEK = timedelta(days=7)
SPAN = datetime(2024, 1, 10), datetime(2024, 1, 20)  # noqa: DTZ001
"""From and to where the steps of customers are asked about, with nothing random in it."""
FOUND_AT_LENGTH = "x" * 59
FIRST_ID = 10_000  # those of the random ones are below
OTHER_SQL = "select 41"
"""What no template has had."""
OTHER_HASH = proof_hash(OTHER_SQL, params_of("other sql"))

Record = dict[str, Any]


def stamp(at: datetime) -> str:
    return at.isoformat(timespec="microseconds") + "Z"


class Told:
    """Makes one customer's events, with ids in a row."""

    def __init__(self, numbers: Iterator[int], customer: str, source: str = "claude_code") -> None:
        self._numbers = numbers
        self._customer = customer
        self._source = source

    def __call__(self, activity: str, at: datetime, **given: Any) -> Record:
        own = {name: given.pop(name) for name in ("link", "revenue_impact") if name in given}
        return event(
            next(self._numbers),
            activity=f"cdesk.{activity}",
            ts=stamp(at),
            customer=f"{self._customer}@example.com",
            session_id=given.pop("session", None),
            source_system=given.pop("source", self._source),
            feature_json={key: value for key, value in given.items() if value is not None},
            **own,
        )


def edges() -> list[Record]:
    """All of them, in the order of their ids."""
    numbers = count(FIRST_ID)
    dee = Told(numbers, "dee")
    eve = Told(numbers, "eve")
    return [
        *usage(dee),
        *tokens(Told(numbers, "gil")),
        *work(dee),
        *words(Told(numbers, "hal")),
        *conversations(Told(numbers, "ida")),
        *streaks(eve),
        *steps(numbers),
        *ties(numbers),
        *remembered(numbers),
        *levels(numbers),
        *revised(numbers),
        *claimed(numbers),
    ]


def usage(dee: Told) -> Iterator[Record]:
    """Responses by their hours since a week ago: hours in a row, with gaps that end a window of
    five hours and gaps that just don't, with the last instant of a window and the first after.
    """
    start = NOW - WEEK
    hours = (*range(14), 17, 19, 21, 23, 26, 29, 34, 38, 43, 53, 163, 167)
    yield dee("claude_responded", start - TICK, output_tokens=1 << 20, model="claude-opus-4-1")
    for place, hour in enumerate(hours):
        yield dee(
            "claude_responded",
            start + timedelta(hours=hour),
            output_tokens=1 << (place % 16),
            model=("claude-opus-4-1", "claude-sonnet-4-5")[place % 2],
            session=f"d{place % 3}",
            project="windows",
        )
    late = start + timedelta(hours=5) - TICK
    yield dee("claude_responded", late, output_tokens=1 << 21, model="claude-opus-4-1")


def tokens(gil: Told) -> Iterator[Record]:
    """What is priced, and what its sums are ordered by."""
    at = NOW - timedelta(days=2)

    def responded(after: float, *given: Any, **features: Any) -> Record:
        model, project, session, read, written, cached, made = given
        return gil(
            "claude_responded",
            at + timedelta(minutes=after),
            model=model,
            project=project,
            session=session,
            input_tokens=read,
            output_tokens=written,
            cache_read_tokens=cached,
            cache_creation_tokens=made,
            latency_ms=10 * after,
            **features,
        )

    # two models, two projects and two sessions with the same sums
    yield responded(0, "claude-opus-4-1", "one", "t1", 10, 20, 30, 40, cache_creation_1h_tokens=15)
    yield responded(1, "claude-sonnet-4-5", "two", "t2", 10, 20, 30, 40)
    yield responded(2, "claude-haiku-4-5", None, "t3", 1, 0, 0, 0)
    yield responded(3, "nobody-knows", "three", None, 5, 5, None, None)
    yield responded(4, "nobody-else", "three", None, 5, 5, None, None)
    yield responded(5, None, "three", None, 0, 0, 0, 0)  # no token at all
    # the tokens at which a longer context has its price, and one beyond
    yield responded(6, "claude-sonnet-4", "four", "t4", 100_000, 3, 60_000, 40_000)
    yield responded(7, "claude-sonnet-4", "four", "t4", 100_001, 3, 60_000, 40_000)
    # a price ends in the instant in which the next begins
    for place, (year, month, day) in enumerate(((2024, 11, 4), (2024, 12, 3))):
        for before in (TICK, timedelta(0)):
            yield gil(
                "claude_responded",
                datetime(year, month, day) - before,  # noqa: DTZ001
                model="claude-3-5-haiku-20241022",
                project="prices",
                session=f"p{place}",
                input_tokens=1_000,
                output_tokens=10_000,
            )
    # told again, told by a server alone, without a count of tokens
    yield responded(8, "claude-opus-4-1", "one", "t1", 9, 9, 9, 9, is_repeated=True)
    yield responded(9, "claude-opus-4-1", "one", "t1", 9, None, 9, 9)
    logged = gil("claude_responded", at, output_tokens=70, model="m", source="claude_desktop")
    yield logged
    for tool in ("log_event", "other"):
        yield gil("tool_called", at, tool=tool, logged_activity_id=logged["id"], session="t1")
    by_other = gil("claude_responded", at, output_tokens=71, model="m", source="claude_desktop")
    yield by_other
    yield gil(
        *("tool_called", at),
        tool="log_event",
        logged_activity_id=by_other["id"],
        source="claude_desktop",
    )
    # three sessions of a project: more than twice their mean, and exactly twice
    for project, amounts in (
        ("far", (70, 10, 10)),
        ("farther", (70, 10, 10)),
        ("at", (40, 10, 10)),
    ):
        for place, amount in enumerate(amounts):
            yield responded(
                *(20 + place, "claude-opus-4-1", project, f"{project} {place}"),
                *(0, amount, 0, 0),
            )
    yield responded(30, "claude-opus-4-1", "pair", "pair 0", 0, 90, 0, 0)
    yield responded(31, "claude-opus-4-1", "pair", "pair 1", 0, 1, 0, 0)
    # the first instants of a day, a week and a month in New York, and the last before
    for month, day, hour in ((3, 10, 4), (3, 9, 4), (3, 1, 5)):
        begin = datetime(2026, month, day, hour)  # noqa: DTZ001
        for place, moment in enumerate((begin - TICK, begin)):
            yield gil(
                "claude_responded",
                moment,
                model="claude-opus-4-1",
                project="days",
                session=f"day {day} {place}",
                output_tokens=1_000 * day + place,
            )


def work(dee: Told) -> Iterator[Record]:
    """Tools, files, errors and questions about projects."""
    start = NOW - WEEK
    for at in (start - TICK, start, NOW - timedelta(days=1)):
        yield dee("tool_called", at, tool="Bash", outcome="error", latency_ms=5, output_length=7)
        yield dee("file_read", at, project="p", file="a.py", kind="py", lines_added=1)
        yield dee("error_encountered", at, error_code="overloaded", session="d0")
        yield dee("user_asked", at, project="windows", topic=" Plans ", session="d0")
        yield dee("sql_completed", at, latency_ms=1)
    at = NOW - timedelta(days=3)
    for tool, server, source, outcome in (
        ("read", "files", "claude_code", "ok"),
        ("read", "files", "claude_code", "error"),
        ("write", "files", "cowork", "ok"),
        ("write", "files", "cowork", "ok"),
        ("read", "disk", "cowork", None),
        (None, None, "claude_export", "error"),
        ("get_context", "cdesk", "claude_desktop", "ok"),
        ("submit_query", "cdesk", "claude_desktop", "error"),
    ):
        at += timedelta(seconds=7)
        yield dee(
            *("tool_called", at),
            tool=tool,
            server=server,
            outcome=outcome,
            latency_ms=at.second,
            output_length=at.second,
            source=source,
        )
    for activity, project, file, kind, added, removed in (
        ("file_written", "p", "b.py", "py", 3, 1),
        ("file_written", "p", "b.py", "pyi", 4, None),
        ("file_written", "p", "c.py", "py", 2, 2),
        ("file_read", "p", "c.py", "py", None, None),
        ("file_written", "o", "c.py", "py", 2, 2),
        ("file_read", "o", "c.py", "py", None, None),
        ("file_read", None, None, None, None, None),
        ("file_written", "p", "d.py", None, None, None),
        ("file_written", "p", "e.py", None, None, None),
    ):
        at += timedelta(seconds=7)
        yield dee(
            *(activity, at),
            project=project,
            file=file,
            kind=kind,
            lines_added=added,
            lines_removed=removed,
        )
    for code, session in (("limit", "d1"), ("limit", "d1"), ("full", "d2"), (None, None)):
        at += timedelta(seconds=7)
        yield dee("error_encountered", at, error_code=code, session=session)
    for project in ("windows", "untouched", None):
        yield dee("user_asked", at, project=project, topic=None, session="d1")
    yield dee("user_asked", at, topic="  ", session="d2")
    yield dee("user_asked", at, topic="PLANS", session="d2")
    yield dee("session_started", start - TICK, title="Zeal", session="d1")
    yield dee("session_started", start, title="Works", session="d1")
    yield dee("session_started", NOW - timedelta(days=6), title="Views", session="d1")
    yield dee("session_started", at, session="d2")


def words(hal: Told) -> Iterator[Record]:
    """Texts that hold a phrase, all of its words, or some, at places where a snippet is cut."""
    at = NOW - timedelta(days=2)
    for text in (
        "Revenue by week, please",
        "by the week: revenue",
        "revenue alone",
        "week alone",
        "nothing of it",
        f"{FOUND_AT_LENGTH} revenue by week",  # the letter 61
        f"{FOUND_AT_LENGTH}x revenue by week",
        f"{FOUND_AT_LENGTH}x by week {'y' * 300}",
        "a b c d e f g h i",
        "the word i",
        "the word h",
    ):
        yield hal("user_asked", at, question=text, session="w1", project="p")
    yield hal("claude_responded", at, response="revenue by week", summary="week", session="w2")
    yield hal("claude_responded", at, summary="a week", session="w2", project="q")
    yield hal("claude_responded", at, length=3, session="w2")
    yield hal("session_started", at, title="Week by week", session="w3")
    yield hal("session_started", at, title="Week by week", session="w4")
    yield hal("tool_called", at, question="revenue by week", tool="week")
    for moment in (NOW - WEEK - TICK, NOW - WEEK):
        yield hal("user_asked", moment, question="revenue by week", session="w1")
        yield hal("claude_responded", moment, response="revenue by week", session="w1")
        yield hal("session_started", moment, title="revenue by week", session="w1")


def conversations(ida: Told) -> Iterator[Record]:
    """Sessions with and without questions, calls and a price, in ties."""
    at = NOW - timedelta(days=3)
    minute = timedelta(minutes=1)
    for session, asked, answers, calls, model in (
        ("asked first", -5, (0, 10), 1, "claude-opus-4-1"),
        ("asked within", 5, (0, 10), 1, "claude-opus-4-1"),
        ("never asked", None, (0, 15), 0, "claude-opus-4-1"),
        ("unpriced", 0, (0, 1), 3, "nobody-knows"),
        ("unpriced too", 0, (0, 1), 3, "nobody-knows"),
        ("one", None, (2,), 0, "claude-opus-4-1"),
    ):
        for after in answers:
            yield ida(
                *("claude_responded", at + after * minute),
                session=session,
                project="z" if after else "a",
                model=model,
                output_tokens=10 + after,
            )
        if asked is not None:
            yield ida("user_asked", at + asked * minute, session=session)
            yield ida("session_started", at, session=session, title=f"{session}: a")
            yield ida("session_started", at, session=session, title=f"{session}: b")
        for _ in range(calls):
            yield ida("tool_called", at, session=session)
    for moment in (NOW - WEEK - TICK, NOW - WEEK):
        for activity in ("user_asked", "tool_called"):
            yield ida(activity, moment, session="one")
        yield ida("session_started", moment, session="one", title=stamp(moment))
        yield ida("claude_responded", moment, session="one", output_tokens=3)
    yield ida("file_written", at, session="one", lines_added=None)


def streaks(eve: Told) -> Iterator[Record]:
    """Days in a row by the clock of New York, the last of which is yesterday; and what is counted
    by periods, this one's beside the last one's.
    """
    for day in (1, 2, 4, 5, 8, 8, 20):
        at = (NOW - timedelta(days=day)).replace(hour=4, minute=30)
        yield eve("user_asked" if day % 2 else "claude_responded", at, length=day)
    for moment in (NOW - WEEK - TICK, NOW - WEEK, NOW - 2 * WEEK - TICK, NOW - 2 * WEEK):
        yield eve("user_asked", moment, session="e1", source="claude_desktop")
        yield eve("llm_called", moment, model="m", input_tokens=2, latency_ms=3)
        yield eve("file_read", moment, kind="py")
        yield eve("card_ready", moment, source="claude_desktop", session="e2")
    yield eve("file_read", NOW - timedelta(days=1), kind=7)
    yield eve("file_read", NOW - timedelta(days=1), kind="a")
    yield eve("file_read", NOW - timedelta(days=1), bytes=3)
    yield eve("llm_called", NOW - timedelta(days=1), input_tokens=5, latency_ms=9)


def steps(numbers: Iterator[int]) -> Iterator[Record]:
    """From a session to a question to an answer, from the first instant of SPAN to its last."""
    since, until = SPAN
    day = timedelta(days=1)

    def walked(customer: str, *stations: tuple[str, datetime]) -> Iterator[Record]:
        told = Told(numbers, customer)
        for activity, at in stations:
            yield told(activity, at)

    started, asked, answered = "session_started", "user_asked", "claude_responded"
    yield from walked(
        "kim",
        (started, since),
        (asked, since),  # in the same instant: not after
        (asked, since + 7 * day),  # the last instant within seven days of the first step
        (asked, since + 7 * day),
        (answered, since + 7 * day),
        (answered, since + 7 * day + TICK),
        (asked, since + 40 * day),
    )
    yield from walked(
        "lea",
        (started, until - TICK),
        (started, until - TICK + day),
        (asked, until - TICK + 7 * day),
        (asked, until + 100 * day),
        (answered, until - TICK + 7 * day),
    )
    yield from walked(
        "max",
        (started, since + day),
        (asked, since + 8 * day + TICK),
        (answered, since + 9 * day),
        (started, since + 11 * day),
    )
    yield from walked("noa", (started, until), (asked, until + day), (answered, until + 2 * day))
    yield from walked("oli", (started, since - TICK), (asked, since + day))
    yield from walked(
        "pam",
        (started, since + day),
        (asked, since + 2 * day),
        (answered, since + 3 * day),
        (started, since + 4 * day),
        (asked, since + 5 * day),
        (answered, since + 6 * day),
    )
    # back in the next week, month and year, by a clock that is five hours behind
    new_year = datetime(2023, 1, 1, 4, 59, 59)  # noqa: DTZ001
    yield from walked(
        "quy",
        (started, new_year),
        (asked, new_year),
        (asked, new_year + timedelta(seconds=1)),
        (asked, new_year + 8 * day),
        (asked, new_year + 60 * day),
    )


def ties(numbers: Iterator[int]) -> Iterator[Record]:
    """Customers with the same counts; records of one instant; what is stamped in the future."""
    for customer in ("una", "tom"):
        told = Told(numbers, customer)
        yield told("user_asked", NOW - WEEK, session="u", revenue_impact=2.0)
        yield told("user_asked", NOW - WEEK - TICK, session="u")
        yield told("error_encountered", NOW - WEEK, error_code="rate_limited")
        yield told("tool_called", NOW - WEEK, session="u", latency_ms=4, source="claude_desktop")
    val = Told(numbers, "val")
    for _ in range(6):  # landed in three parts: recorded when they landed
        yield val("file_read", NOW + timedelta(days=2_000), kind="py")
    for moment in (NOW - timedelta(hours=3) - TICK, NOW - timedelta(hours=3)):
        yield val("file_read", moment, link="https://example.com/a", revenue_impact=1)


def remembered(numbers: Iterator[int]) -> Iterator[Record]:
    """Runs and what they prove, on bounds and in ties, of two persons with the same names."""
    hour = timedelta(hours=1)
    for customer in ("wim", "xia"):
        who = {"customer": f"{customer}@example.com"}
        for template, at, fields in (
            ("sessions", NOW - WEEK - TICK, {}),
            ("sessions", NOW - WEEK, {"sampled": True}),
            ("sessions", NOW - 2 * hour, {"status": "failed", "error_code": "timeout"}),
            ("paths", NOW - 2 * hour, {"elapsed_ms": 3.0}),
            ("health", NOW - 2 * hour, {"status": "cancelled", "rows": 0, "evidence": []}),
            ("activity_counts", NOW - 2 * hour, {"elapsed_ms": 4.0}),
        ):
            run = query_run(next(numbers), ts=stamp(at), asked="edge", template=template, **fields)
            yield {**run, **who}
        artifact = envelope(
            "artifact",
            next(numbers),
            ts=stamp(NOW - hour),
            uri=f"s3://bucket/of {customer}",
            format="csv",
            rows=1,
            bytes=8,
            sampled=False,
            query_hash=hash_of("edge"),
            expires_at=stamp(NOW),
            legal_hold=False,
            **who,
        )
        yield artifact
        for other in ("wim", "xia"):
            yield query_run(
                next(numbers),
                ts=stamp(NOW - 2 * hour),
                asked="made",
                customer=f"{other}@example.com",
                artifact_id=artifact["id"],
                evidence=evidence(1),
            )
        for metric, value, at in (
            ("first", 42, NOW - 3 * hour),
            ("second", 42, NOW - 3 * hour),
            ("third", 41, NOW - 3 * hour),
            ("third", 40, NOW - 3 * hour),
        ):
            yield insight(
                next(numbers),
                ts=stamp(at),
                metric=metric,
                subject="edge",
                value=value,
                provenance_query_hash=hash_of("edge"),
                **who,
            )


def levels(numbers: Iterator[int]) -> Iterator[Record]:
    """What this server did on days of its own, exactly at each level and beside it."""
    hour = timedelta(hours=1)
    zed, yul = (Told(numbers, one, "claude_desktop") for one in ("zed", "yul"))
    met = datetime(2025, 1, 1, 12)  # noqa: DTZ001  (before all that is random)
    for day, beyond in ((met, 0), (met + timedelta(days=1), 1)):
        yield zed("tool_called", day, tool="get_context", latency_ms=25 + beyond, session="z")
        yield zed("tool_called", day, tool="submit_query", latency_ms=50 + beyond, session="z")
        yield zed("user_asked", day + hour, session="z")
        yield zed("tool_called", day + hour, tool="log_event", latency_ms=10 + beyond, session="z")
        yield zed("tool_called", day + hour, tool="log_insight", latency_ms=290, session="z")
        yield zed("user_asked", day + 2 * hour, session="z")
        yield zed("tool_called", day + 2 * hour, tool="log_event", session="z")
        yield zed("tool_called", day + 2 * hour, tool="get_context", latency_ms=7, session=None)
        yield zed("card_ready", day, elapsed_ms=8_000 + beyond, session="z")
        for told, tool in ((yul, "get_context"), (yul, "Bash"), (yul, None)):
            yield told(
                *("tool_called", day),
                tool=tool,
                outcome="error",
                latency_ms=400,
                source="claude_code",
                session="z",
            )
        for failed_in, tool, code in (("shim", "a", "x"), (None, "a", "x"), (None, None, None)):
            features = {"where": failed_in, "tool": tool, "error_code": code}
            yield zed("error_encountered", day, **features)
            yield zed("retry_attempted", day, **features)
    # one call in a hundred fails, which is the most that may; the next day one in fifty
    for day, calls in ((met + timedelta(days=2), 100), (met + timedelta(days=3), 50)):
        for place in range(calls):
            outcome = "ok" if place else "error"
            yield zed("tool_called", day, tool="get_context", outcome=outcome, latency_ms=1)
    # an answer is traced where all of it agrees with its run, and the run with its result
    asked = NOW - timedelta(days=200)
    for customer, run_of, result_of, asked_as, status, told_by in (
        ("zed", "zed", "zed", "a", "succeeded", "claude_desktop"),
        ("zed", "yul", "yul", "a", "succeeded", "claude_desktop"),
        ("zed", "zed", "yul", "a", "succeeded", "claude_desktop"),
        ("zed", "zed", None, "a", "succeeded", "claude_desktop"),
        ("zed", "zed", "zed", "b", "succeeded", "claude_desktop"),
        ("zed", "zed", "zed", "a", "failed", "claude_desktop"),
        ("zed", "zed", "zed", "a", "succeeded", "import"),
    ):
        asked += timedelta(days=1)
        run = query_run(
            next(numbers),
            ts=stamp(asked),
            asked="a",
            customer=f"{run_of}@example.com",
            status=status,
        )
        if result_of is not None:
            result = envelope(
                "artifact",
                next(numbers),
                ts=stamp(asked),
                customer=f"{result_of}@example.com",
                uri="s3://bucket/traced",
                format="parquet",
                rows=1,
                bytes=8,
                sampled=False,
                query_hash=hash_of("a"),
                expires_at=stamp(NOW + hour),
                legal_hold=False,
            )
            yield result
            run["artifact_id"] = result["id"]
        yield run
        for said in ("succeeded", "failed"):
            yield Told(numbers, customer)(
                *("sql_completed", asked),
                ticket_id=run["ticket_id"],
                query_hash=hash_of(asked_as),
                status=said,
                elapsed_ms=1_500,
                bytes=10,
                source=told_by,
            )


def revised(numbers: Iterator[int]) -> Iterator[Record]:
    """Activities that are said anew: by a higher number and a greater id, not by another's word
    or of another time, and not before they are there.
    """
    at = NOW - timedelta(days=5)
    nan, ori = Told(numbers, "nan", "claude_desktop"), Told(numbers, "ori", "claude_desktop")
    for place in range(18):
        original = nan("card_ready", at + timedelta(hours=place), elapsed_ms=place)
        others = {
            "customer": ori("card_ready", at)["customer"],
            "activity": "cdesk.file_read",
            "ts": stamp(at - TICK),
            "source_system": "import",
        }
        said = [
            {
                **original,
                "kind": "revision",
                "id": event(next(numbers))["id"],
                "replaces": original["id"],
                "revision": number,
                "feature_json": {"elapsed_ms": 1_000 * number + place},
                "link": f"https://example.com/{number}",
            }
            for number in (1, 3, 3, 2)
        ]
        foreign = dict(list(others.items())[place % 4 : place % 4 + 1])
        said.append({**said[1], "id": event(next(numbers))["id"], "revision": 9, **foreign})
        # all orders of arrival: what comes first lands with an earlier part
        yield from (original, *said) if place % 2 else (*said, original)


def claimed(numbers: Iterator[int]) -> Iterator[Record]:
    """Values that a run holds exactly, nearly and hardly, in each type, said more than once and
    forgotten by one who may and by one who may not.
    """
    at = NOW - timedelta(days=4)
    ben, cat = ({"customer": f"{one}@example.com"} for one in ("ben", "cat"))
    held = (1, 2.5, 1_000_000_000.5, 2**53, 2**53 + 2, 0.0, -3, "yes", "7", True)
    for number, (asked, fields) in enumerate(
        (
            ("held", {}),
            ("held", {"evidence_complete": False}),
            ("held", {"status": "failed"}),
            ("failed", {"status": "failed"}),
            ("no evidence", {"template": "health", "evidence": []}),
            ("other sql", {"sql": OTHER_SQL, "query_hash": OTHER_HASH}),
            ("incomplete", {"evidence_complete": False, "evidence": evidence(5)}),
            ("reported", {"evidence": evidence(6, basis="reported") + evidence(6)}),
        )
    ):
        own = {"evidence": evidence(*held), **fields}
        yield {**query_run(next(numbers), ts=stamp(at), asked=asked, **own), **ben}
        if number == 0:
            yield {**query_run(next(numbers), ts=stamp(at), asked=asked, **own), **cat}
    said = (
        *((value, "held") for value in (*held, "1", "true", False, None, 7, 2.5 + 1e-9)),
        *((value, "held") for value in (1_000_000_000.5 + 0.5, 1_000_000_002.5, 2**53 + 1, 1e-9)),
        *((2.5, asked) for asked in ("failed", "no evidence", "other sql", "nowhere", None)),
        *((value, asked) for value in (5, 6, None) for asked in ("incomplete", "reported")),
    )
    last = None
    for number, (value, asked) in enumerate(said):
        for who in (ben, cat):
            last = insight(
                next(numbers),
                ts=stamp(at + timedelta(minutes=number // 2)),
                subject="claims",
                metric=f"{asked} {number // 5}",
                value=value,
                provenance_query_hash=OTHER_HASH
                if asked == "other sql"
                else asked and hash_of(asked),
            )
            yield {**last, **who}
            if number % 7 == 3:
                for teller in (ben, cat):
                    forgotten = {"insight_id": last["id"]}
                    yield {
                        **event(
                            next(numbers),
                            activity="cdesk.insight_forgotten",
                            ts=stamp(at + timedelta(hours=1)),
                            feature_json=forgotten,
                        ),
                        **(teller if number % 2 else who),
                    }
