"""What each tool does and answers, called as the server calls it, in this process."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from bench.turn_path import fixtures
from cdesk.core.errors import (
    CatalogPending,
    Forbidden,
    InvalidField,
    KillSwitchActive,
    NotFound,
    StateDirectoryError,
)
from cdesk.core.home import StateDirectory
from cdesk.core.identity import ANALYST, Caller, customer_key
from cdesk.core.locks import FileLock
from cdesk.state.database import open_state
from cdesk.state.facts import BuildUnderWay, write_status
from cdesk.state.kill_switch import turn_on
from cdesk.state.pages import keep_pages
from cdesk.state.snapshot import SnapshotWriter
from cdesk.state.status import LastBuild
from mcp_shim.context import WRITTEN_NOTE
from mcp_shim.tools.card import CHART_META
from tests.unit.mcp_shim.desk import ADA, NOW_NS, Desk, at, serve

ANALYST_ADA = Caller(ADA.customer, frozenset((ANALYST,)))
ARTIFACT = "019b76da-a800-7000-8000-000000000001"
RESULT = {**fixtures.RESULT, "artifact": {"artifact_id": ARTIFACT, "open_with": "x"}}


async def submitted(desk: Desk, **given: Any) -> str:
    answer = await desk.ask("submit_query", template="recent_activities", **given)
    return str(answer["ticket_id"])


def end(desk: Desk, ticket_id: str, status: str = "succeeded", **columns: Any) -> None:
    """As another process, the worker, writes it."""
    columns = {"status": status, "finished_at": at(0), **columns}
    if isinstance(columns.get("result"), dict):
        columns["result"] = orjson.dumps(columns["result"]).decode()
    given = ", ".join(f"{name} = ?" for name in columns)
    connection = desk.app.readers.state.connection()
    connection.execute(
        f"update tickets set {given} where ticket_id = ?", (*columns.values(), ticket_id)
    )


# -- what any call has


def test_an_argument_that_is_unknown_is_named_with_the_nearest(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        with pytest.raises(
            InvalidField, match=r"did you mean activity\?\); allowed: activity, fea"
        ):
            await desk.ask("log_event", activty="cdesk.user_asked", feature_json={})
        with pytest.raises(
            InvalidField, match=r"^x{60}: unknown for get_context; allowed"
        ) as error:
            await desk.ask("get_context", **{"x" * 200: 1})
        assert error.value.field == "x" * 60

    run(test)


def test_what_a_client_sends_as_text_is_taken_as_meant(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        await desk.ask(
            "log_event", activity="cdesk.x", feature_json='{"a":1}', link="", revenue_impact="1.5"
        )
        (record,) = desk.records("event")
        assert record["feature_json"] == {"a": 1}
        assert (record["link"], record["revenue_impact"]) == (None, 1.5)

    run(test)


def test_while_the_catalog_is_made_a_client_is_told_to_wait(state_home: StateDirectory) -> None:
    async def test(desk: Desk) -> None:
        for call in (
            desk.ask("submit_query", template="x"),
            desk.ask("describe_template", template="x"),
        ):
            answer = await call
            assert (answer["status"], answer["retry_after_seconds"]) == ("setting_up", 10)
            assert re.match(r"setting up: .*; call this again in 10 seconds$", answer["message"])

    async def never(desk: Desk) -> None:
        with pytest.raises(CatalogPending, match="cdesk worker --once"):
            await desk.ask("submit_query", template="x")

    async def failed(desk: Desk) -> None:
        for status in ("succeeded", "tests_failed"):
            write_status(desk.app.readers.state.connection(), LastBuild(status=status), now=at(0))
            await test(desk)
        write_status(desk.app.readers.state.connection(), LastBuild(status="x"), now=at(0))
        await never(desk)

    serve(lambda: Desk(state_home, worker="auto"), test)
    serve(lambda: Desk(state_home), never)
    with FileLock(state_home.worker_lock) as taken:
        assert taken
        serve(lambda: Desk(state_home), test)
        serve(lambda: Desk(state_home), failed)


# -- log_event


def test_an_event_stands_in_the_queue_when_its_answer_comes(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        answer = await desk.ask(
            "log_event",
            activity="cdesk.user_asked",
            feature_json={"question": "why?"},
            link="https://a/b",
            revenue_impact=-2,
        )
        (record,) = desk.records("event")
        assert answer == {"accepted": "queued", "activity_id": record["id"], "ts": record["ts"]}
        assert record["ts"] == at(0)
        assert (record["customer"], record["session_id"]) == (
            ADA.customer,
            desk.session.recorder.session_id,
        )
        assert record["feature_json"] == {"question": "why?"}
        assert (record["link"], record["revenue_impact"]) == ("https://a/b", -2)
        for missing in ("activity", "feature_json"):
            given = {"activity": "cdesk.x", "feature_json": {}}
            del given[missing]
            with pytest.raises(InvalidField, match=f"^{missing}: missing"):
                await desk.ask("log_event", **given)
        assert len(desk.records()) == 1

    run(test)


def test_what_is_shed_is_said_to_be_sampled_and_counted(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        desk.shedder.level = 8
        answers = [
            await desk.ask("log_event", activity="cdesk.file_read", feature_json={})
            for _ in range(3)
        ]
        assert {answer["accepted"] for answer in answers} == {"sampled"}
        assert desk.records() == []
        told = desk.shedder.counted(ADA.customer)["activities"]
        assert told == {"cdesk.file_read": {"kept": 0, "shed": 3, "weight": 256}}
        desk.app.tick()
        assert [name for name, _ in desk.events()] == ["cdesk.fallback_triggered"]

    run(test)


# -- get_context


def test_a_context_is_the_callers_alone_and_of_a_bounded_size(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        own = await desk.ask("get_context")
        assert own["customer"] == ADA.customer
        assert await desk.ask("get_context", customer_id=ADA.customer) == own
        for size in (2_048, 262_144):
            assert (await desk.ask("get_context", max_bytes=size))["customer"] == ADA.customer
        SnapshotWriter(desk.home.context_db).apply(
            [fixtures.row("bob@example.com", fixtures.context("bob@example.com", insights=1))],
            refreshed_at=at(0),
        )
        for customer in ("bob@example.com", "nobody-knows-this-one"):
            with pytest.raises(Forbidden, match="one customer") as caught:
                await desk.ask("get_context", customer_id=customer)
            assert "bob" not in str(caught.value)
        for wrong in ({"customer_id": 5}, {"max_bytes": 2_047}, {"max_bytes": 262_145}):
            with pytest.raises(InvalidField, match=f"^{next(iter(wrong))}: "):
                await desk.ask("get_context", **wrong)

    run(test)


# -- describe_template


def test_a_template_is_told_without_its_plumbing(
    run: Callable[..., None], state_home: StateDirectory
) -> None:
    async def test(desk: Desk) -> None:
        told = await desk.ask("describe_template", template="recent_activities")
        assert told.keys() == {
            *("name", "description", "scope", "parameters", "evidence_columns", "example"),
        }
        assert [one["name"] for one in told["parameters"]] == ["hours_back", "limit"]
        with pytest.raises(NotFound, match="did you mean recent_activities"):
            await desk.ask("describe_template", template="recent_activity")
        with pytest.raises(InvalidField, match=r"^template: missing"):
            await desk.ask("describe_template")

    run(test)
    fixtures.catalog(state_home, scope="org")

    async def needs_role(desk: Desk) -> None:
        for tool in ("describe_template", "submit_query"):
            with pytest.raises(Forbidden, match="needs the analyst role"):
                await desk.ask(tool, template="recent_activities")

    serve(lambda: Desk(state_home), needs_role)

    async def has_role(desk: Desk) -> None:
        for tool in ("describe_template", "submit_query"):
            assert await desk.ask(tool, template="recent_activities")

    serve(lambda: Desk(state_home, ANALYST_ADA), has_role)


# -- submit_query


def test_a_query_becomes_a_ticket_of_the_callers(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        answer = await desk.ask(
            "submit_query",
            template="recent_activities",
            params={"hours_back": 3},
            byte_cap=1_024,
            fresh=True,
        )
        (ticket,) = desk.rows("tickets")
        assert answer == {
            "ticket_id": ticket["ticket_id"],
            "status": "queued",
            "query_hash": ticket["query_hash"],
            "query_tag": ticket["query_tag"],
            "expires_at": at(900),
        }
        assert orjson.loads(ticket["params"]) == {"hours_back": 3, "limit": 100}
        kept = {name: ticket[name] for name in ("customer", "session_id", "template", "byte_cap", "dry_run", "fresh", "submitted_at", "expires_at", "is_analyst", "least_customers")}  # fmt: skip
        assert kept == {
            "customer": ADA.customer,
            "session_id": desk.session.recorder.session_id,
            "template": "recent_activities",
            "byte_cap": 1_024,
            "dry_run": 0,
            "fresh": 1,
            "submitted_at": at(0),
            "expires_at": at(900),
            "is_analyst": 0,
            "least_customers": 1,
        }
        await asyncio.sleep(0.01)
        assert desk.waking.sent == 1, "somebody waits for it"
        same = await desk.ask("submit_query", template="recent_activities", params='{"hours_back": "3", "limit": null}')  # fmt: skip
        assert same["query_hash"] == answer["query_hash"]
        assert same["ticket_id"] != answer["ticket_id"]

    run(test)


def test_an_estimate_answers_with_the_sql_and_what_is_bound(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        answer = await desk.ask("submit_query", template="recent_activities", dry_run=True)
        assert answer["dry_run"]["binds"] == [ADA.customer, 24, 100]
        assert answer["dry_run"]["sql"].startswith("select activity, ts")
        assert desk.rows("tickets")[0]["dry_run"] == 1

    run(test)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "^template: missing"),
        ({"template": "recent_activities", "params": [1]}, "^params: is list"),
        ({"template": "recent_activities", "params": {"limit": 0}}, "^limit: 0 is not allowed"),
        ({"template": "recent_activities", "byte_cap": 1_023}, "^byte_cap: 1,023 is out"),
        ({"template": "recent_activities", "byte_cap": 2**30 + 1}, "^byte_cap: "),
        ({"template": "recent_activities", "byte_cap": True}, "^byte_cap: is bool"),
        ({"template": "recent_activities", "dry_run": 1}, "^dry_run: is int"),
        ({"template": "recent_activities", "fresh": "perhaps"}, "^fresh: is str"),
    ],
)
def test_what_cannot_be_asked_leaves_no_ticket(
    run: Callable[..., None], given: dict[str, Any], problem: str
) -> None:
    async def test(desk: Desk) -> None:
        with pytest.raises(InvalidField, match=problem):
            await desk.ask("submit_query", **given)
        assert desk.rows("tickets") == []

    run(test)


def test_while_queries_are_off_no_ticket_is_made(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        turn_on(desk.app.readers.state.connection(), desk.home, reason="too dear", now=at(0))
        with pytest.raises(KillSwitchActive, match="too dear"):
            await submitted(desk)
        assert desk.rows("tickets") == []

    run(test)


def test_an_activity_that_the_vocabulary_nearly_has_is_hinted_at(
    state_home: StateDirectory,
) -> None:
    fixtures.catalog(
        state_home,
        parameters=[{"name": "activity", "type": "activity"}],
        sql="select ?",
        binds=["activity"],
    )

    async def test(desk: Desk) -> None:
        for activity, hints in (("cdesk.user_askd", 1), ("cdesk.user_asked", 0)):
            answer = await desk.ask(
                "submit_query", template="recent_activities", params={"activity": activity}
            )
            assert len(answer.get("hints", [])) == hints

    serve(lambda: Desk(state_home), test)


# -- get_result


def test_a_ticket_that_waits_says_for_what(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        tickets = [await submitted(desk) for _ in range(3)]
        told = [(await desk.ask("get_result", ticket_id=one))["progress"] for one in tickets]
        assert told == [
            "queued, next of yours",
            "queued, 1 of your queries before it",
            "queued, 2 of your queries before it",
        ]
        assert await desk.ask("get_result", ticket_id=tickets[0]) == {
            "ticket_id": tickets[0],
            "status": "queued",
            "progress": "queued, next of yours",
            "error": None,
            "result": None,
            "note": None,
        }
        connection = desk.app.readers.state.connection()
        for since, is_told in ((-3_599, True), (-3_600, False), (-5, True)):
            write_status(connection, BuildUnderWay(since=at(since), what="build"), now=at(0))
            for one in tickets:
                progress = (await desk.ask("get_result", ticket_id=one))["progress"]
                is_build = (
                    progress == f"waiting for the build of the tables, under way since {at(since)}"
                )
                assert is_build == is_told
        end(desk, tickets[0], "running", progress="waiting again: its worker stopped")
        end(desk, tickets[1], "running", progress="half of it")
        told = [(await desk.ask("get_result", ticket_id=one))["progress"] for one in tickets[:2]]
        assert told[0].startswith("waiting for the build")
        assert told[1] == "half of it"
        write_status(connection, BuildUnderWay(), now=at(0))
        end(desk, tickets[2], "queued", progress="waiting again: its worker stopped")
        answer = await desk.ask("get_result", ticket_id=tickets[2])
        assert answer["progress"] == "waiting again: its worker stopped"

    run(test)


@pytest.mark.parametrize(("seconds", "status"), [(900, "queued"), (900.000001, "expired")])
def test_a_ticket_that_nobody_took_in_time_has_expired(
    run: Callable[..., None], seconds: float, status: str
) -> None:
    async def test(desk: Desk) -> None:
        ticket = await submitted(desk)
        desk.now_ns = NOW_NS + round(seconds * 1e9)
        answer = await desk.ask("get_result", ticket_id=ticket)
        assert answer["status"] == status
        if status == "expired":
            assert answer["progress"] is None
            assert answer["error"]["code"] == "expired"
            assert "submit again" in answer["error"]["message"]

    run(test)


def test_a_result_comes_with_its_text_and_whose_words_it_holds(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        ticket = await submitted(desk)
        end(desk, ticket, result=RESULT, progress="left behind")
        answer = await desk.answer("get_result", ticket_id=ticket, wait_seconds=20)
        structured = orjson.loads(answer.structured)
        assert (structured["status"], structured["progress"]) == ("succeeded", None)
        assert structured["result"] == RESULT
        assert structured["note"] == WRITTEN_NOTE
        assert answer.text is not None
        assert "250 rows" in answer.text
        assert (answer.more, answer.meta) == ((), None)
        failed = await submitted(desk)
        end(desk, failed, "failed", error_code="query_timeout", error_message="too long")
        told = await desk.answer("get_result", ticket_id=failed)
        assert told.text is None
        assert orjson.loads(told.structured)["error"] == {
            "code": "query_timeout",
            "message": "too long",
        }
        end(desk, failed, "failed", error_code="query_timeout", error_message=None)
        assert (await desk.ask("get_result", ticket_id=failed))["error"][
            "message"
        ] == "query_timeout"
        estimated = await submitted(desk)
        end(desk, estimated, result={**RESULT, "dry_run": True})
        assert (await desk.answer("get_result", ticket_id=estimated)).text is None

    run(test)


def test_anothers_ticket_and_none_are_told_alike(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        ticket = await submitted(desk)
        connection = desk.app.readers.state.connection()
        connection.execute("update tickets set customer = 'bob'")
        for asked in (ticket, "none"):
            with pytest.raises(Forbidden, match=f"ticket '{asked}' is none of yours"):
                await desk.ask("get_result", ticket_id=asked)
            with pytest.raises(Forbidden, match="none of yours"):
                await desk.ask("get_result", ticket_id=asked, cancel=True)
        assert desk.state("select status, cancel_requested from tickets") == [("queued", 0)]

    run(test, shared=True)

    async def alone(desk: Desk) -> None:
        with pytest.raises(NotFound, match="not known here"):
            await desk.ask("get_result", ticket_id="none")

    run(alone)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"ticket_id": 5}, "^ticket_id: is int"),
        ({}, "^ticket_id: missing"),
        ({"wait_seconds": 20.1}, "^wait_seconds: 20.1 is out of range; allowed: a number from 0 to 20"),
        ({"wait_seconds": -1}, "^wait_seconds: "),
        ({"wait_seconds": True}, "^wait_seconds: is bool"),
        ({"page": 0}, "^page: 0 is out"),
        ({"page": 26}, "^page: 26 is beyond the last one; allowed: 1 to 25"),
        ({"cancel": "maybe"}, "^cancel: is str"),
        ({"chart": 1}, "^chart: is int"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_of_a_ticket_is_refused(
    run: Callable[..., None], given: dict[str, Any], problem: str
) -> None:
    async def test(desk: Desk) -> None:
        ticket = await submitted(desk)
        end(desk, ticket, result=RESULT)
        asked = given if "ticket_id" in given or not given else {"ticket_id": ticket, **given}
        with pytest.raises(InvalidField, match=problem):
            await desk.ask("get_result", **asked)

    run(test)


def test_a_ticket_is_cancelled_at_once_where_it_waits_and_by_request_where_it_runs(
    run: Callable[..., None],
) -> None:
    async def test(desk: Desk) -> None:
        waiting, running, ended = [await submitted(desk) for _ in range(3)]
        end(desk, running, "running")
        end(desk, ended, result=RESULT)
        await asyncio.sleep(0.01)
        sent = desk.waking.sent
        answers = [
            await desk.ask("get_result", ticket_id=one, cancel=True)
            for one in (waiting, running, ended)
        ]
        assert [answer["status"] for answer in answers] == ["cancelled", "running", "succeeded"]
        assert answers[0]["error"]["code"] == "cancelled"
        assert desk.state("select finished_at from tickets where ticket_id = ?", waiting) == [
            (at(0),)
        ]
        assert dict(desk.state("select ticket_id, cancel_requested from tickets"))[running] == 1
        await asyncio.sleep(0.01)
        assert desk.waking.sent > sent

    run(test)


def test_who_waits_is_told_of_progress_and_answered_when_the_query_ends(
    run: Callable[..., None],
) -> None:
    async def test(desk: Desk) -> None:
        ticket = await submitted(desk)
        said: list[tuple[float, str]] = []

        async def progress(done: float, total: float, message: str) -> None:
            assert done >= 0
            assert total == 20
            said.append((done, message))
            # The worker, over a connection of its own.
            if len(said) == 1:
                fixtures.finish(desk.home, ticket, RESULT)

        answer = await desk.ask("get_result", progress, ticket_id=ticket, wait_seconds=20)
        assert answer["status"] == "succeeded"
        assert [message for _, message in said] == ["queued, next of yours"]
        waits = await submitted(desk)
        end(desk, waits, "running", progress=None)
        answer = await desk.ask("get_result", ticket_id=waits, wait_seconds=0.02)
        assert answer["status"] == "running"

    run(test)


def test_pages_beyond_the_first_are_asked_for_and_shown_once_they_are_written(
    run: Callable[..., None],
) -> None:
    async def test(desk: Desk) -> None:
        ticket = await submitted(desk)
        end(desk, ticket, result=RESULT)
        answer = await desk.ask("get_result", ticket_id=ticket, page=2)
        assert (answer["status"], answer["result"]) == ("running", None)
        assert answer["progress"] == "page 2 is being written; ask again in a moment"
        (asked,) = desk.rows("result_pages")
        assert (asked["artifact_id"], asked["page"], asked["customer"], asked["asked_at"]) == (ARTIFACT, 2, ADA.customer, at(0))  # fmt: skip
        await asyncio.sleep(0.01)
        assert desk.waking.sent
        connection = desk.app.readers.state.connection()
        connection.execute("update result_pages set error_code = 'gone', error_message = 'it went'")
        answer = await desk.ask("get_result", ticket_id=ticket, page=2, wait_seconds=20)
        assert (answer["status"], answer["result"]) == ("failed", None)
        assert answer["error"] == {"code": "gone", "message": "it went"}
        desk.now_ns += 30 * 10**9 - 1_000
        assert (await desk.ask("get_result", ticket_id=ticket, page=2))["status"] == "failed"
        desk.now_ns += 1_000  # and is tried again after a while
        assert (await desk.ask("get_result", ticket_id=ticket, page=2))["status"] == "running"
        connection.execute("update result_pages set rows = '[[1]]'")
        answer = await desk.ask("get_result", ticket_id=ticket, page=2)
        assert answer["status"] == "succeeded"
        assert (answer["result"]["page"], answer["result"]["rows"]) == (2, [[1]])

        async def written(*_: Any) -> None:
            with closing(open_state(desk.home.state_db)) as state:
                keep_pages(state, ARTIFACT, {3: [[21]]}, customer=ADA.customer, now=at(1))

        answer = await desk.ask("get_result", written, ticket_id=ticket, page=3, wait_seconds=20)
        assert (answer["result"]["page"], answer["result"]["rows"]) == (3, [[21]])
        without = await submitted(desk)
        end(desk, without, result={**RESULT, "artifact": None})
        assert (await desk.ask("get_result", ticket_id=without, page=2))["result"]["rows"] == RESULT["rows"]  # fmt: skip

    run(test)


def test_a_client_that_shows_cards_gets_the_chart_and_how_long_it_was_waited_for_is_recorded(
    run: Callable[..., None],
) -> None:
    async def test(desk: Desk) -> None:
        folder = desk.home.charts / customer_key(ADA.customer)
        folder.mkdir(parents=True)
        ticket = await submitted(desk)
        end(desk, ticket, result={**RESULT, "chart": "line"}, finished_at=at(2))
        desk.session.shows_cards = True
        desk.now_ns = NOW_NS + 1 * 10**9
        assert (await desk.answer("get_result", ticket_id=ticket)).meta is None, "not painted yet"
        for theme in ("light", "dark"):
            (folder / f"{ARTIFACT}.{theme}.svg").write_text(f"<svg {theme}/>", encoding="utf-8")
        desk.now_ns = NOW_NS + 5 * 10**9
        for _ in range(2):
            answer = await desk.answer("get_result", ticket_id=ticket)
            assert answer.meta == {CHART_META: {"light": "<svg light/>", "dark": "<svg dark/>"}}
        ready = [features for name, features in desk.events() if name == "cdesk.card_ready"]
        assert ready == [
            {
                "artifact_id": ARTIFACT,
                "query_hash": RESULT["query_hash"],
                "template": "recent_activities",
                "chart": "line",
                "rows": 250,
                "elapsed_ms": 3_000.0,
                "shown_in": "chat",
            }
        ]
        assert (await desk.answer("get_result", ticket_id=ticket, chart=True)).more == ()
        (folder / f"{ARTIFACT}.png").write_bytes(b"png")
        (image,) = (await desk.answer("get_result", ticket_id=ticket, chart=True)).more
        assert image == {"type": "image", "data": "cG5n", "mimeType": "image/png"}
        (folder / f"{ARTIFACT}.png").write_bytes(b"x" * 400_000)
        assert len((await desk.answer("get_result", ticket_id=ticket, chart=True)).more) == 1
        (folder / f"{ARTIFACT}.png").write_bytes(b"x" * 400_001)
        assert (await desk.answer("get_result", ticket_id=ticket, chart=True)).more == ()
        desk.session.shows_cards = False
        assert (await desk.answer("get_result", ticket_id=ticket)).meta is None

    run(test)


def test_whoever_waits_is_told_what_goes_on(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 0.0)  # it is for the worker to end it
    monkeypatch.setattr("mcp_shim.tools.get_result.time", clock)

    async def test(desk: Desk) -> None:
        async def said(ticket: str, **given: Any) -> list[str]:
            """What is told until it has been told thrice."""
            told: list[str] = []

            async def progress(done: float, total: float, message: str) -> None:
                assert (done, total) == (0, 20)
                told.append(message)
                if len(told) == 3:
                    end(desk, ticket, "cancelled")
                with closing(open_state(desk.home.state_db)) as other:
                    other.execute("insert or replace into worker_status values ('x', '1', '')")

            await desk.ask("get_result", progress, ticket_id=ticket, wait_seconds=20, **given)
            return told

        ticket = await submitted(desk)
        end(desk, ticket, "running", progress="half of it")
        assert await said(ticket) == ["half of it"] * 3
        ticket = await submitted(desk)
        end(desk, ticket, "running", progress=None)
        assert await said(ticket) == ["running"] * 3
        ticket = await submitted(desk)
        end(desk, ticket, result=RESULT)
        assert await said(ticket, page=2) == ["page 2 is being written; ask again in a moment"] * 3

    run(test)


def test_the_pages_of_a_result_are_those_that_it_says_it_has(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        ticket = await submitted(desk)
        end(desk, ticket, result={**RESULT, "pages": 3})
        assert (await desk.ask("get_result", ticket_id=ticket, page=3))["status"] == "running"
        with pytest.raises(InvalidField, match=r"^page: 4 is beyond the last one; allowed: 1 to 3"):
            await desk.ask("get_result", ticket_id=ticket, page=4)
        for result, status in ((None, "succeeded"), (RESULT, "failed"), ({}, "succeeded")):
            end(desk, ticket, status, result=result)
            answer = await desk.answer("get_result", ticket_id=ticket, page=4)
            told = orjson.loads(answer.structured)
            assert (told["status"], told["result"]) == (status, result), "it has no pages"
            assert (told["note"] is None) == (result is None)
        connection = desk.app.readers.state.connection()
        end(desk, ticket, result=RESULT)
        connection.execute("update result_pages set error_code = 'gone', error_message = null")
        answer = await desk.ask("get_result", ticket_id=ticket, page=3)
        assert answer["error"] == {"code": "gone", "message": "gone"}
        assert len(desk.rows("result_pages")) == 1, "the first page is in the result"

    run(test)


def test_where_no_worker_can_run_a_caller_who_waits_is_told_why(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        desk.app._starter._missing = "no worker is installed here"
        ticket = await submitted(desk)
        end(desk, ticket, result=RESULT)
        answer = await desk.ask("get_result", ticket_id=ticket, page=2)
        assert (answer["status"], answer["progress"]) == ("running", "no worker is installed here")
        ticket = await submitted(desk)
        desk.now_ns += 901 * 10**9
        answer = await desk.ask("get_result", ticket_id=ticket)
        assert answer["error"] == {"code": "expired", "message": "no worker is installed here"}
        desk.app._starter._missing = None
        answer = await desk.ask("get_result", ticket_id=ticket)
        assert answer["error"]["message"] == (
            "no worker took it in time; see 'cdesk status', then submit again"
        )
        end(desk, ticket, "running", progress=None)
        assert (await desk.ask("get_result", ticket_id=ticket))["status"] == "running", "in time"

    run(test)


def test_a_chart_goes_only_to_who_sees_one_and_only_of_what_has_one(
    run: Callable[..., None],
) -> None:
    async def test(desk: Desk) -> None:
        folder = desk.home.charts / customer_key(ADA.customer)
        folder.mkdir(parents=True)
        for name in ("light.svg", "dark.svg", "png"):
            (folder / f"{ARTIFACT}.{name}").write_text(name, encoding="utf-8")

        async def shown(**given: Any) -> tuple[bool, int, bool]:
            """Whether the answer has a text, how many images, whether the page gets its chart."""
            answer = await desk.answer("get_result", ticket_id=ticket, **given)
            return answer.text is not None, len(answer.more), answer.meta is not None

        ticket = await submitted(desk)
        end(desk, ticket, result=RESULT)
        assert await shown() == (True, 0, False)
        assert await shown(chart=True) == (True, 1, False)
        desk.session.shows_cards = True
        assert await shown() == (True, 0, True)
        assert await shown(chart=True) == (True, 1, True)
        end(desk, ticket, result={**RESULT, "artifact": None})
        assert await shown(chart=True) == (True, 0, False)
        end(desk, ticket, result={**RESULT, "dry_run": {}})
        assert await shown(chart=True) == (True, 1, True)
        end(desk, ticket, result={**RESULT, "dry_run": {"rows": 1}})
        assert await shown(chart=True) == (False, 0, False)
        end(desk, ticket, "failed", result=RESULT)
        assert await shown(chart=True) == (False, 0, False)
        end(desk, ticket, result=RESULT, finished_at=None)
        assert await shown() == (True, 0, True)
        ready = [features for name, features in desk.events() if name == "cdesk.card_ready"]
        assert len(ready) == 1, "a chart is recorded when it is shown first"

    run(test)


# -- insights


def test_an_insight_is_recorded_and_pending_at_once(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        given = {
            "subject": "atlas",
            "metric": "open",
            "value": 3,
            "provenance_query_hash": "0" * 16,
        }
        answer = await desk.ask("log_insight", **given)
        assert (answer["accepted"], answer["status"], answer["ts"]) == ("queued", "pending", at(0))
        (record,) = desk.records("insight")
        assert record["id"] == answer["insight_id"]
        assert {name: record[name] for name in given} == given
        (pending,) = (await desk.ask("get_context"))["pending"]
        assert pending == {**given, "ts": at(0), "insight_id": record["id"]}
        ((name, features),) = desk.events()
        assert name == "cdesk.insight_recorded"
        assert features == {
            "insight_id": record["id"],
            **{name: given[name] for name in ("subject", "metric", "provenance_query_hash")},
        }
        for missing in ("subject", "metric", "value"):
            less = {name: value for name, value in given.items() if name != missing}
            with pytest.raises(InvalidField, match=f"^{missing}: missing"):
                await desk.ask("log_insight", **less)
        with pytest.raises(InvalidField, match=r"^subject: is blank"):
            await desk.ask("log_insight", **{**given, "subject": " "})
        for wrong, problem in ((5, "5 is int"), ("", "0 characters")):
            with pytest.raises(InvalidField, match=f"^subject: {problem}"):
                await desk.ask("log_insight", **{**given, "subject": wrong})
        assert len(desk.records("insight")) == 1
        await desk.ask("log_insight", subject="s", metric="m", value=None)
        assert desk.records("insight")[1]["value"] is None

    run(test)


def test_an_insight_that_state_db_does_not_take_is_recorded_and_remembered_here(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(desk: Desk) -> None:
        state = type(desk.app.readers.state)
        write = state.write

        async def busy(*_: Any) -> None:
            raise StateDirectoryError("busy")

        async def after(self: Any, operation: Any) -> None:
            await write(self, operation)
            raise StateDirectoryError("the commit failed")

        ids = []
        for how in (busy, after):
            with monkeypatch.context() as patch:
                patch.setattr(state, "write", how)
                answer = await desk.ask("log_insight", subject="s", metric=how.__name__, value=1)
            ids.append(answer["insight_id"])
        assert sorted(one["id"] for one in desk.records("insight")) == sorted(ids), "each once"
        pending = (await desk.ask("get_context"))["pending"]
        assert sorted(one["insight_id"] for one in pending) == sorted(ids)
        told = [features for name, features in desk.events() if name == "cdesk.fallback_triggered"]
        assert told[0] == {
            "component": "state.db",
            "fallback": "memory",
            "error_code": "state_directory",
        }
        assert len(told) == 2
        await desk.ask("forget_insight", insight_id=ids[0])
        pending = (await desk.ask("get_context"))["pending"]
        assert [one["insight_id"] for one in pending] == ids[1:]

    run(test)


def test_a_forgotten_insight_is_hidden_and_its_forgetting_recorded(
    run: Callable[..., None],
) -> None:
    async def test(desk: Desk) -> None:
        made = await desk.ask("log_insight", subject="s", metric="m", value=1)
        desk.now_ns += 10**9
        answer = await desk.ask("forget_insight", insight_id=made["insight_id"])
        assert answer == {"accepted": "queued", "insight_id": made["insight_id"], "ts": at(1)}
        assert (await desk.ask("get_context"))["pending"] == []
        assert desk.rows("forgotten_insights") == [
            {"customer": ADA.customer, "insight_id": made["insight_id"], "ts": at(1)}
        ]
        assert ("cdesk.insight_forgotten", {"insight_id": made["insight_id"]}) in desk.events()
        for wrong, problem in (({}, "missing"), ({"insight_id": "x"}, "does not match")):
            with pytest.raises(InvalidField, match=f"^insight_id: .*{problem}"):
                await desk.ask("forget_insight", **wrong)

    run(test)


# -- the session


def test_a_session_records_its_beginning_its_calls_and_its_end(run: Callable[..., None]) -> None:
    async def test(desk: Desk) -> None:
        session = desk.session
        session.end("never begun")
        assert not session.begun
        session.begin(client=("n" * 300, "v" * 300), protocol_version="2025-11-25")
        session.called("get_context", latency_ms=1.5, error_code=None)
        session.called("submit_query", latency_ms=2.5, error_code="kill_switch_active")
        session.called("get_result", latency_ms=3.5, error_code=None, cancelled=True)
        session.end("client")
        assert not session.begun
        events = desk.events()
        begun, *calls, ended = events
        assert begun[0] == "cdesk.session_started"
        assert (begun[1]["client_name"], begun[1]["client_version"]) == ("n" * 200, "v" * 200)
        assert begun[1]["protocol_version"] == "2025-11-25"
        assert [
            (name, features.get("outcome"), features["error_code"]) for name, features in calls
        ] == [
            ("cdesk.tool_called", "ok", None),
            ("cdesk.tool_called", "error", "kill_switch_active"),
            ("cdesk.error_encountered", None, "kill_switch_active"),
            ("cdesk.tool_called", "cancelled", None),
        ]
        assert calls[0][1] == {"tool": "get_context", "latency_ms": 1.5, "outcome": "ok", "error_code": None}  # fmt: skip
        assert ended[0] == "cdesk.session_ended"
        assert (ended[1]["reason"], ended[1]["calls"], ended[1]["errors"]) == ("client", 3, 1)
        session.begin(client=None, protocol_version="x")
        assert desk.events()[-1][1]["client_name"] is None

    run(test)


def test_the_time_to_the_first_token_runs_from_the_context_to_the_query(
    run: Callable[..., None],
) -> None:
    async def test(desk: Desk) -> None:
        def call(tool: str, seconds: float) -> None:
            desk.session.called(tool, latency_ms=seconds * 1_000, error_code=None)

        call("submit_query", 9)  # of no turn
        call("get_context", 0.25)
        call("log_event", 0.5)
        call("submit_query", 1)
        call("submit_query", 9)
        call("get_context", 1)
        call("get_result", 1)  # the turn goes on without a query
        call("submit_query", 9)
        table = {metric.name: found for metric, found in desk.counts._table.items()}
        first = table["cdesk_first_token_path_seconds"][("stdio",)]
        assert (first.value, sum(first.buckets or [])) == (1.75, 1)
        calls = table["cdesk_tool_calls_total"]
        assert calls[("submit_query", "stdio", "ok")].value == 4
        assert table["cdesk_tool_call_duration_seconds"][("get_context", "stdio")].value == 1.25

    run(test)
