"""Tickets from the service's door through the runner and back: who sees which rows, and nothing of
another's finished ticket.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from query_desk import desk

from cdesk.artifacts.factory import open_artifacts
from cdesk.core.identity import customer_key
from cdesk_app.render.links import LinkRefused, Links
from cdesk_app.render.presentation import CardPresenter
from cdesk_app.worker.presentation import Presenter
from tests.integration.shim_http.harness import ADA, BOB, Service, serving, token

if TYPE_CHECKING:
    from query_desk import Desk

__all__ = ["desk"]

GROUPS = (
    "select * from (values ('many', 7), ('zx-few', 4)) as t(label, customers) where (? = '' or ?)"
)


@pytest.fixture
def answering(desk: Desk) -> Iterator[tuple[Desk, Service]]:
    groups = {
        **desk.templates["expired_artifacts"],
        "sql": GROUPS,
        "parameters": [],
        "binds": ["customer", "is_analyst"],
        "customers_behind_row": "customers",
    }
    desk.write_catalog({**desk.templates, "groups": groups})
    with serving(desk.home) as service:
        yield desk, service


def ask(
    desk: Desk,
    service: Service,
    bearer: str,
    template: str,
    *,
    presenter: Presenter | None = None,
    **params: Any,
) -> dict[str, Any]:
    """What get_result answers once the runner is through."""
    given = {"template": template, "params": params}
    submitted = json.loads(service.call(bearer, "submit_query", given).text)
    runner = desk.runner(presenter=presenter)
    try:
        runner.poll()
        assert runner.wait_idle(30)
    finally:
        runner.close()
    answer = service.call(bearer, "get_result", {"ticket_id": submitted["ticket_id"]}).result
    result: dict[str, Any] = answer["structuredContent"]
    assert result["status"] == "succeeded", result
    return {**result["result"], "submitted": submitted}


def linked(result: dict[str, Any]) -> str:
    """What the link to a result's card is signed with."""
    (signed,) = parse_qs(urlsplit(result["card"]["url"]).query)["t"]
    return signed


def test_an_analyst_sees_no_row_of_few_customers_and_an_admin_does(
    answering: tuple[Desk, Service],
) -> None:
    desk, service = answering
    admin = token(desk.home, ADA, "analyst", "admin").token
    analyst = token(desk.home, ADA, "analyst").token
    for bearer, labels in ((admin, ["many", "zx-few"]), (analyst, ["many"])) * 2:
        result = ask(desk, service, bearer, "groups")
        assert [row[0] for row in result["rows"]] == labels
        assert result["query_hash"] == result["submitted"]["query_hash"]
        assert (result["sampling_note"] is None) == (bearer == admin)


def test_nothing_of_anothers_finished_ticket_comes_back(
    answering: tuple[Desk, Service],
) -> None:
    """Neither rows nor the link to the card, which opens it for whoever has it."""
    desk, service = answering
    ada, bob = token(desk.home, ADA).token, token(desk.home, BOB).token
    settings = replace(desk.settings, render="auto")
    store = open_artifacts(settings, desk.home)
    presenter = CardPresenter(settings, desk.home, store, starts=False)
    result = ask(desk, service, ada, "echo", presenter=presenter, text="zx-ada")
    own = ask(desk, service, bob, "echo", presenter=presenter, text="zx-bob")
    presenter.close()
    links = Links(desk.home)
    for opened, foreign, customer in ((result, own, ADA), (own, result, BOB)):
        artifact_id = opened["artifact"]["artifact_id"]
        link = linked(opened)
        assert links.check(link, "card", subject=artifact_id).customer_key == customer_key(customer)
        with pytest.raises(LinkRefused):
            links.check(link, "card", subject=foreign["artifact"]["artifact_id"])
    artifact = result["artifact"]["artifact_id"]
    assert result["rows"] == [["zx-ada"]]
    ticket_id = result["submitted"]["ticket_id"]
    unknown = ticket_id[:-4] + "0000"
    for arguments in ({}, {"page": 2}, {"cancel": True}):
        answer, other = (
            service.call(bob, "get_result", {**arguments, "ticket_id": id})
            for id in (ticket_id, unknown)
        )
        assert answer.body.replace(ticket_id.encode(), unknown.encode()) == other.body
        assert b"zx-ada" not in answer.body
        assert linked(result).encode() not in answer.body
    listed = service.rpc(bob, "resources/list").body + service.rpc(ada, "resources/list").body
    uris = {found["uri"] for found in service.rpc(ada, "resources/list").result["resources"]}
    patterns = service.rpc(ada, "resources/templates/list").result["resourceTemplates"]
    uris |= {
        pattern["uriTemplate"].replace("{artifact_id}", artifact).replace("{page}", "1")
        for pattern in patterns
    }
    assert any(artifact in uri for uri in uris), listed
    for uri in uris:
        body = service.rpc(bob, "resources/read", {"uri": uri}).body
        assert b"zx-ada" not in body
        assert linked(result).encode() not in body
    assert any(b"zx-ada" in service.rpc(ada, "resources/read", {"uri": uri}).body for uri in uris)
