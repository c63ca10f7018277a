"""Two people of one service on Snowflake, through HTTP and the worker's runner: whatever they ask,
the answers hold nothing of the other. The account's own policies, which would hold even for a wrong
template, are `test_governance.py`'s; here the templates stand alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdesk.contract.catalog import Template, load_catalog
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.state.catalog import write_catalog
from cdesk.state.database import open_state
from cdesk.warehouse.protocol import LandedLine
from cdesk.warehouse.snowflake.login import Login
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse
from cdesk_app.worker.dbt.catalog_export import export_catalog
from cdesk_app.worker.tickets import TicketRunner
from tests.integration.shim_http.harness import Service, serving, token
from tests.integration.snowflake.account import FakeAccount
from tests.integration.snowflake.conftest import land_on_snowflake
from tests.integration.snowflake.dbt_process import Dbt

PEOPLE = {"zx-ada-7q@example.com": "zx-ada-7q", "zx-bob-9w@example.com": "zx-bob-9w"}
"""Customer → the word that stands in everything of theirs."""
FILE = "isolation-000001.ndjson"
ASKED: dict[str, dict[str, Any]] = {
    "recent_activities": {},
    "search_history": {"text": "zx-"},
    "sessions": {},
    "feature_values": {"activity": "cdesk.user_asked", "key": "topic"},
    "first_ever": {
        "cohort_activity": "cdesk.session_started", "append_activity": "cdesk.user_asked"
    },
    "paths": {},
    "funnel": {},
}  # fmt: skip
"""Template → parameters beside those of its example: of each shape of answer one."""


def records(customer: str, secret: str) -> Iterator[dict[str, Any]]:
    ids = IdSource()
    for activity, features in (
        ("cdesk.session_started", {"client": secret, "project": secret}),
        ("cdesk.user_asked", {"question": f"{secret}?", "topic": secret, "project": secret}),
        ("cdesk.file_read", {"kind": secret, "path": f"/{secret}", "project": secret}),
    ):
        yield {
            "v": 1,
            "kind": "event",
            "id": ids.uuid7(),
            "ts": format_ts(time.time_ns()),
            "customer": customer,
            "session_id": secret,
            "query_tag": "cdesk_1a2b3c4d",
            "source_system": "claude_desktop",
            "source_version": "2.0",
            "anonymous_customer_id": secret,
            "activity": activity,
            "feature_json": features,
            "link": f"https://example.com/{secret}",
            "revenue_impact": None,
        }


@pytest.fixture(scope="module")
def landed(account: FakeAccount, compiled: Dbt) -> Iterator[Dbt]:
    """Lines that no build has seen: the live stream shows them."""
    lines = [
        LandedLine(record["id"], "event", json.dumps(record), FILE, offset)
        for customer, secret in PEOPLE.items()
        for offset, record in enumerate(
            records(customer, secret), start=len(secret) * ord(secret[3])
        )
    ]
    land_on_snowflake(account, lines, datetime.now(UTC).replace(tzinfo=None))
    yield compiled
    with account.connect() as connection, connection.cursor() as cursor:
        cursor.execute("delete from landing where source_file = ?", (FILE,))


@pytest.fixture(scope="module")
def home(landed: Dbt, tmp_path_factory: pytest.TempPathFactory) -> StateDirectory:
    home = StateDirectory(tmp_path_factory.mktemp("service") / "home").ensure()
    file = tmp_path_factory.mktemp("catalog") / "catalog.json"
    now = format_ts(time.time_ns())
    export_catalog(landed.manifest("snowflake"), file, dialect="snowflake", now=now)
    with closing(open_state(home.state_db)) as state:
        write_catalog(home, state, json.loads(file.read_text(encoding="utf-8")), now=now)
    return home


@pytest.fixture(scope="module")
def templates(home: StateDirectory) -> dict[str, Template]:
    return dict(load_catalog(Path(home.catalog)).templates)


def run_all(home: StateDirectory, account: FakeAccount) -> None:
    """What the worker of a service does with the tickets that wait."""
    warehouse = SnowflakeWarehouse(Login(account.environ))
    settings = Settings(
        home=home.root, customer="service", target="snowflake", render="off", environ=os.environ
    )
    with closing(warehouse), closing(QueueWriter(home.queue)) as queue:
        runner = TicketRunner(settings, home, warehouse, queue)
        try:
            runner.poll()
            assert runner.wait_idle(120)
        finally:
            runner.close()


def everything(service: Service, bearer: str, tickets: list[str]) -> bytes:
    """All bytes that somebody gets who knows these tickets."""
    bodies = [service.call(bearer, "get_result", {"ticket_id": one}).body for one in tickets]
    bodies += [
        service.call(bearer, "get_result", {"ticket_id": one, "page": 2}).body for one in tickets
    ]
    bodies += [service.call(bearer, "get_context").body, service.rpc(bearer, "resources/list").body]
    for resource in service.rpc(bearer, "resources/list").result["resources"]:
        bodies.append(service.rpc(bearer, "resources/read", {"uri": resource["uri"]}).body)
    return b"".join(bodies)


def test_no_answer_on_snowflake_holds_a_byte_of_another(
    home: StateDirectory, account: FakeAccount, templates: dict[str, Template]
) -> None:
    bearers = {customer: token(home, customer).token for customer in PEOPLE}
    tickets: dict[str, list[str]] = {customer: [] for customer in PEOPLE}
    with serving(home, CDESK_HTTP_CALLS_PER_MINUTE="10000") as service:
        for name, more in ASKED.items():
            template = templates[name]
            own = template.check_params({**template.example, **more})
            for customer, bearer in bearers.items():
                given = {"template": name, "params": own}
                answer = json.loads(service.call(bearer, "submit_query", given).text)
                tickets[customer].append(answer["ticket_id"])
        run_all(home, account)
        ada, bob = PEOPLE
        known = tickets[ada] + tickets[bob]
        found: dict[str, set[str]] = {customer: set() for customer in PEOPLE}
        for customer, other in ((ada, bob), (bob, ada)):
            seen = everything(service, bearers[customer], known)
            assert PEOPLE[other].encode() not in seen
            # which is no wonder where nothing comes at all
            for ticket, name in zip(tickets[customer], ASKED, strict=True):
                asked = service.call(bearers[customer], "get_result", {"ticket_id": ticket})
                told = asked.result["structuredContent"]
                assert told["status"] == "succeeded", (name, told)
                found[customer].update([name] if told["result"]["row_count"] else [])
            assert seen.count(PEOPLE[customer].encode()) > 10
        assert found[ada] == found[bob]
        assert found[ada] >= {"recent_activities", "search_history", "sessions"}
