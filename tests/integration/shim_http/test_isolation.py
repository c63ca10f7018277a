"""Two people on one service, each with secrets planted in everything that is theirs: neither sees a
byte of the other, whatever they ask for and whichever ids of the other they know.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.turn_path import fixtures
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk.state.pages import keep_pages
from cdesk.state.snapshot import SnapshotWriter
from mcp_shim.tools import TOOLS
from tests.integration.shim_http.harness import ADA, BOB, Answer, Service, serving, token

HASH = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Person:
    """A caller, the word that stands in everything of theirs, and the ids of their things."""

    customer: str
    token: str
    token_id: str
    secret: str
    tickets: Mapping[str, str]
    """Status → ticket."""
    insight: str
    artifact: str
    session: str = ""

    @property
    def ids(self) -> list[str]:
        return [
            self.customer,
            *self.tickets.values(),
            self.insight,
            self.artifact,
            self.session,
            self.token_id,
            f"cdesk://templates/{self.customer}",
            f"cdesk://context/{self.customer}",
            f"cdesk://artifacts/{self.artifact}",
            f"cdesk://tickets/{self.tickets['succeeded']}",
            f"../{self.customer}",
        ]


def plant(home: StateDirectory, customer: str, secret: str) -> Person:
    """Everything that a person can have in a state directory."""
    ids, now = IdSource(), format_ts(time.time_ns())
    later = format_ts(time.time_ns() + 10**15)
    made = token(home, customer)
    tickets = {name: ids.uuid7() for name in ("queued", "running", "succeeded", "failed")}
    insight, artifact = ids.uuid7(), ids.uuid7()
    result = {
        "template": "recent_activities",
        "query_hash": HASH,
        "query_tag": "cdesk_00000000",
        "as_of": now,
        "columns": [{"name": secret, "type": "string"}],
        "rows": [[secret]],
        "row_count": 30,
        "pages": 3,
        "summary": {"rows": 30, "columns": [{"name": secret, "type": "string", "max": secret}]},
        "byte_count": 1,
        "sampled": False,
        "sampling_note": secret,
        "artifact": {"artifact_id": artifact, "uri": f"file:///{secret}"},
    }
    with closing(open_state(home.state_db)) as state:
        for status, id in tickets.items():
            ended = status in ("succeeded", "failed")
            state.execute(
                "insert into tickets (ticket_id, customer, is_analyst, template, params, "
                "query_hash, query_tag, status, submitted_at, finished_at, expires_at, runner, "
                "progress, error_code, error_message, result) "
                "values (?, ?, 0, 'recent_activities', ?, ?, 'cdesk_00000000', ?, ?, ?, ?, ?, ?, "
                "?, ?, ?)",
                (
                    id, customer, json.dumps({"secret": secret}), HASH, status, now,
                    now if ended else None, later, secret, secret,
                    "failed" if status == "failed" else None,
                    secret if status == "failed" else None,
                    json.dumps(result) if status == "succeeded" else None,
                ),
            )  # fmt: skip
        state.execute(
            "insert into pending_insights values (?, ?, ?, ?, ?, ?, ?)",
            (insight, customer, now, secret, secret, json.dumps(secret), HASH),
        )
        state.execute(
            "insert into query_runs values (?, ?, ?, ?, ?, null, 1, ?, ?)",
            (
                customer, HASH, tickets["succeeded"], "recent_activities", secret, now,
                json.dumps(result),
            ),
        )  # fmt: skip
        pages = {page: [[secret]] for page in (1, 2)}
        keep_pages(state, artifact, pages, customer=customer, now=now)
        state.execute(
            "insert into artifacts values (?, ?, ?, 'parquet', ?, 1, 1, 0, ?, ?, 0)",
            (artifact, customer, f"file:///{secret}", HASH, now, later),
        )
    return Person(customer, made.token, made.id, secret, tickets, insight, artifact)


def contexts(people: list[Person]) -> Iterator[Any]:
    for person in people:
        blob = fixtures.context(person.customer, insights=3).decode()
        for word in ("project", "median minutes", "How many sessions", "The person's"):
            blob = blob.replace(word, f"{person.secret} {word}")
        assert blob.count(person.secret) > 10
        yield fixtures.row(person.customer, blob.encode())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> StateDirectory:
    home = StateDirectory(tmp_path_factory.mktemp("isolation") / "home").ensure()
    fixtures.catalog(home)
    return home


@pytest.fixture(scope="module")
def planted(home: StateDirectory) -> tuple[Person, Person]:
    people = plant(home, ADA, "zx-ada-7q"), plant(home, BOB, "zx-bob-9w")
    SnapshotWriter(home.context_db).apply(
        contexts(list(people)), refreshed_at=format_ts(time.time_ns())
    )
    return people


@pytest.fixture(scope="module")
def service(home: StateDirectory, planted: tuple[Person, Person]) -> Iterator[Service]:
    del planted
    limits = {"CDESK_HTTP_CALLS_PER_MINUTE": "1000000", "CDESK_HTTP_TICKETS_PER_MINUTE": "1000000"}
    with serving(home, **limits) as service:
        yield service


@pytest.fixture(scope="module")
def people(service: Service, planted: tuple[Person, Person]) -> tuple[Person, Person]:
    """With a session each, in which they have logged and remembered."""
    found = []
    for person in planted:
        hello = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": person.secret, "version": person.secret},
        }
        session = service.rpc(person.token, "initialize", hello).headers["Mcp-Session-Id"]
        in_session = {"headers": {"Mcp-Session-Id": session}}
        event = {"activity": "cdesk.user_asked", "feature_json": {"question": person.secret}}
        learned = {"subject": person.secret, "metric": person.secret, "value": person.secret}
        for tool, arguments in (("log_event", event), ("log_insight", learned)):
            assert not service.call(person.token, tool, arguments, **in_session).result["isError"]
        fields = {name: getattr(person, name) for name in Person.__slots__}
        found.append(Person(**{**fields, "session": session}))
    return found[0], found[1]


def said(answer: Answer) -> str:
    """Every byte that came back."""
    return f"{answer.status} {dict(answer.headers)} {answer.body.decode()}"


def test_what_is_planted_is_there(service: Service, people: tuple[Person, Person]) -> None:
    """Or else nothing could be found missing below."""
    for person in people:
        context = service.call(person.token, "get_context")
        assert context.body.decode().count(person.secret) > 10
        for id in person.tickets.values():
            assert person.secret in said(
                service.call(person.token, "get_result", {"ticket_id": id})
            )


VALID: dict[str, dict[str, Any]] = {
    "get_context": {},
    "log_event": {"activity": "cdesk.user_asked", "feature_json": {"question": "?"}},
    "submit_query": {"template": "recent_activities"},
    "get_result": {"ticket_id": "00000000-0000-7000-8000-000000000000"},
    "log_insight": {"subject": "s", "metric": "m", "value": 1},
    "describe_template": {"template": "recent_activities"},
    "forget_insight": {"insight_id": "00000000-0000-7000-8000-000000000000"},
}
"""Arguments with which each tool works."""


def test_every_tool_is_played() -> None:
    assert set(VALID) == set(TOOLS)


@pytest.mark.parametrize("tool", TOOLS)
def test_no_byte_of_another_crosses_through_any_argument(
    service: Service, people: tuple[Person, Person], tool: str
) -> None:
    for me, other in (people, people[::-1]):
        names = [*TOOLS[tool].arguments, "customer", "customer_id", "session_id", other.customer]
        for name in names:
            for id in other.ids:
                for value in (id, {"id": id}, [id]):
                    arguments = {**VALID[tool], name: value}
                    headers = {"X-Customer": other.customer, "X-Cdesk-Customer": other.customer}
                    answer = service.call(me.token, tool, arguments, headers=headers)
                    assert answer.status == 200
                    assert other.secret not in said(answer)


def test_no_byte_of_another_crosses_through_lists_and_resources(
    service: Service, people: tuple[Person, Person]
) -> None:
    for me, other in (people, people[::-1]):
        for method in (
            "tools/list", "resources/list", "resources/templates/list", "prompts/list", "ping",
        ):  # fmt: skip
            for cursor in (None, *other.ids):
                answer = service.rpc(me.token, method, {"cursor": cursor} if cursor else {})
                assert other.secret not in said(answer)
        uris = [one["uri"] for one in service.rpc(me.token, "resources/list").result["resources"]]
        assert uris
        for uri in [*uris, *other.ids, *(f"cdesk://templates/{id}" for id in other.ids)]:
            answer = service.rpc(me.token, "resources/read", {"uri": uri})
            assert other.secret not in said(answer)
        for method in ("completion/complete", "prompts/get", "resources/subscribe", "logging/set"):
            for id in other.ids:
                answer = service.rpc(me.token, method, {"uri": id, "name": id, "ref": {"uri": id}})
                assert other.secret not in said(answer)


def test_completions_results_and_forgetting_are_ones_own(
    service: Service, people: tuple[Person, Person]
) -> None:
    def complete(person: Person, ref: dict[str, str], argument: str) -> Answer:
        params = {"ref": ref, "argument": {"name": argument, "value": ""}}
        return service.rpc(person.token, "completion/complete", params)

    result = {"type": "ref/resource", "uri": "cdesk://artifacts/{id}{?page}"}
    for me, other in (people, people[::-1]):
        for prompt, argument in (("remember", "subject"), ("what_did_i_do", "topic")):
            answer = complete(me, {"type": "ref/prompt", "name": prompt}, argument)
            assert any(me.secret in value for value in answer.result["completion"]["values"])
            assert other.secret not in said(answer)
        assert complete(me, result, "id").result["completion"]["values"] == [me.artifact]
        pages = {1: [[me.secret]], 2: [[me.secret]], 3: None}
        for page, rows in pages.items():
            uri = f"cdesk://artifacts/{me.artifact}?page={page}"
            read = service.rpc(me.token, "resources/read", {"uri": uri})
            document = json.loads(read.result["contents"][0]["text"])
            assert document.get("rows") == rows
            assert document["status"] == ("running" if rows is None else "succeeded")
        theirs, none = (
            service.rpc(me.token, "resources/read", {"uri": f"cdesk://artifacts/{id}"}).body
            for id in (other.artifact, me.insight)
        )
        assert theirs.decode().replace(other.artifact, me.insight) == none.decode()
        service.call(me.token, "forget_insight", {"insight_id": other.insight})
        pending = service.call(other.token, "get_context").result["structuredContent"]["pending"]
        assert other.insight in [item["insight_id"] for item in pending]


@pytest.mark.parametrize("more", [{}, {"cancel": True}, {"wait_seconds": 0.1}, {"chart": True}, {"page": 2}, {"page": 3}])  # fmt: skip
def test_anothers_ticket_is_forbidden_as_one_that_does_not_exist(
    service: Service, people: tuple[Person, Person], more: dict[str, Any]
) -> None:
    for me, other in (people, people[::-1]):
        for status, id in other.tickets.items():
            nowhere = id[:-1] + ("0" if id[-1] != "0" else "1")
            theirs, none = (
                service.call(me.token, "get_result", {"ticket_id": one, **more})
                for one in (id, nowhere)
            )
            assert theirs.text.startswith("forbidden: ")
            assert theirs.body.decode().replace(id, nowhere) == none.body.decode()
            mine = service.call(other.token, "get_result", {"ticket_id": id}).text
            assert status in mine or status == "succeeded"  # nobody cancelled it


def test_a_page_is_its_owners_even_where_two_tickets_name_one_result(
    service: Service, people: tuple[Person, Person], home: StateDirectory
) -> None:
    """A ticket of mine that names another's result (a bug elsewhere) shows none of its pages."""
    me, other = people
    with closing(open_state(home.state_db)) as state:
        state.execute(
            "update tickets set result = json_set(result, '$.artifact.artifact_id', ?) "
            "where ticket_id = ?",
            (other.artifact, me.tickets["succeeded"]),
        )
    try:
        answer = service.call(
            me.token, "get_result", {"ticket_id": me.tickets["succeeded"], "page": 2}
        )
        assert other.secret not in said(answer)
    finally:
        with closing(open_state(home.state_db)) as state:
            state.execute(
                "update tickets set result = json_set(result, '$.artifact.artifact_id', ?) "
                "where ticket_id = ?",
                (me.artifact, me.tickets["succeeded"]),
            )
    mine = service.call(me.token, "get_result", {"ticket_id": me.tickets["succeeded"], "page": 2})
    assert mine.result["structuredContent"]["result"]["rows"] == [[me.secret]]


def test_anothers_context_is_forbidden_as_that_of_nobody(
    service: Service, people: tuple[Person, Person]
) -> None:
    for me, other in (people, people[::-1]):
        theirs, none = (
            service.call(me.token, "get_context", {"customer_id": one})
            for one in (other.customer, "nobody@example.com")
        )
        assert theirs.text.startswith("forbidden: ")
        assert theirs.body == none.body


@pytest.mark.parametrize(
    "name",
    [
        "X-Customer",
        "X-Customer-Id",
        "Customer",
        "From",
        "X-Forwarded-User",
        "X-Remote-User",
        "Cookie",
    ],
)
def test_no_header_names_another_customer(
    service: Service, people: tuple[Person, Person], name: str
) -> None:
    me, other = people
    for value in (other.customer, f"customer={other.customer}", other.token):
        answer = service.call(me.token, "get_context", headers={name: value})
        assert json.loads(answer.text)["customer"] == me.customer
        assert other.secret not in said(answer)


def test_two_at_the_same_time_get_their_own(
    service: Service, people: tuple[Person, Person]
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def ask(number: int) -> tuple[Person, Person, str]:
        me, other = people if number % 2 else people[::-1]
        return me, other, said(service.call(me.token, "get_context"))

    with ThreadPoolExecutor(8) as pool:
        for me, other, text in pool.map(ask, range(120)):
            assert me.secret in text
            assert other.secret not in text


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_order_of_calls_with_any_ids_of_the_other_stays_apart(
    service: Service, people: tuple[Person, Person], data: st.DataObject
) -> None:
    me, other = data.draw(st.permutations(people))
    tool = data.draw(st.sampled_from(list(TOOLS)))
    foreign = st.sampled_from(other.ids)
    value = st.recursive(
        foreign | st.none() | st.booleans() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(foreign, inner, max_size=3),
        max_leaves=5,
    )
    names = st.sampled_from([*TOOLS[tool].arguments, "customer", "session_id"])
    arguments = {**VALID[tool], **data.draw(st.dictionaries(names, value, max_size=3))}
    session = data.draw(st.sampled_from([None, me.session, other.session]))
    answer = service.call(
        me.token, tool, arguments, headers={"Mcp-Session-Id": session} if session else {}
    )
    assert answer.status == (404 if session == other.session else 200)
    assert other.secret not in said(answer)
