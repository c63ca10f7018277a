"""A renderer that serves, and a state directory to put results into as the worker does."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
import pytest
import uvicorn

from cdesk.artifacts.formats import store
from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.records import Artifact, keep_artifact
from cdesk.core.clock import IdSource, format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk_app.render.app import make_app
from cdesk_app.render.card import Card
from cdesk_app.render.server import make_renderer
from cdesk_app.render.start import card_link
from tests.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

ADA = "ada@example.com"
BOB = "bob@example.com"
DAY_NS = 86_400 * 10**9


@dataclass
class Answer:
    """What came over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Site:
    """A served state directory. `painted`: what was reported as painted."""

    home: StateDirectory
    settings: Settings
    port: int = 0
    painted: list[tuple[str, float, str]] = field(default_factory=list)
    ids: IdSource = field(default_factory=IdSource)

    def put(
        self,
        columns: dict[str, Any] | pa.Table,
        params: dict[str, Any] | None = None,
        *,
        template: str = "activity_by_period",
        customer: str = ADA,
        byte_cap: int = 2**30,
        kept_ns: int = 90 * DAY_NS,
        remembered: bool = True,
    ) -> str:
        """Store a result as a query run does; its artifact_id."""
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        id = self.ids.uuid7()
        query_hash = id.replace("-", "")[-16:]
        folder = LocalArtifacts(self.home.artifacts)
        with folder.write(customer, id) as draft:
            stored = store(
                table.schema,
                table.to_batches(max_chunksize=20_000),
                draft.path,
                query_hash=query_hash,
                byte_cap=byte_cap,
            )
        now = time.time_ns()
        artifact = Artifact(
            artifact_id=id,
            customer=customer,
            uri=draft.uri,
            format="parquet",
            query_hash=query_hash,
            rows=stored.kept_rows,
            bytes=stored.file_bytes,
            sampled=stored.sampled,
            created_at=format_ts(now),
            expires_at=format_ts(now + kept_ns),
        )
        answer = {
            "template": template,
            "query_hash": query_hash,
            "query_tag": "cdesk_1a2b3c4d",
            "as_of": format_ts(now),
            "params": params or {},
            "columns": stored.columns,
            "rows": stored.preview,
            "row_count": stored.row_count,
            "sampled": stored.sampled,
            "sampling_note": stored.sampling_note,
            "artifact": {"artifact_id": id, "uri": draft.uri},
        }
        with closing(open_state(self.home.state_db)) as state:
            keep_artifact(state, artifact)
            if remembered:
                state.execute(
                    "insert into query_runs (customer, query_hash, ticket_id, template, "
                    "values_complete, finished_at, result) values (?, ?, ?, ?, 1, ?, ?)",
                    (
                        customer,
                        query_hash,
                        id,
                        template,
                        format_ts(now),
                        orjson.dumps(answer).decode(),
                    ),
                )
        return id

    def file(self, id: str) -> Path:
        (path,) = self.home.artifacts.rglob(f"{id}-*.parquet")
        return path

    def link(self, id: str, *, customer: str = ADA, seconds: int = 3600) -> str:
        """Path and query of a signed link."""
        url = card_link(
            self.settings, self.home, artifact_id=id, customer=customer, seconds=seconds
        ).url
        return url.removeprefix(self.settings.render_url)

    def url(self, link: str) -> str:
        return f"http://127.0.0.1:{self.port}{link}"

    def part(self, link: str, part: str, **more: Any) -> str:
        """The address of a part of a card: `rows`, `chart.svg`, …"""
        path, _, query = link.partition("?")
        extra = urlencode(
            [(k, v) for k, vs in more.items() for v in (vs if isinstance(vs, list) else [vs])]
        )
        return f"{path}/{part}?{query}" + (f"&{extra}" if extra else "")

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """One for a module and no longer: while Playwright runs, no test of this process can have an
    event loop of its own.
    """
    with chromium() as context:
        yield context


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    """A page whose console must stay empty."""
    made = browser.new_page()
    said: list[str] = []
    made.on("console", lambda message: said.append(message.text))
    made.on("pageerror", lambda error: said.append(str(error)))
    made.on("dialog", lambda dialog: (said.append("dialog"), dialog.dismiss()))
    made.set_viewport_size({"width": 1100, "height": 900})
    yield made
    made.close()
    assert [text for text in said if "403" not in text] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for a module; its tests put results of their own."""
    home = StateDirectory(tmp_path_factory.mktemp("render") / "home").ensure()
    settings = Settings(home=home.root, customer=ADA, timezone="Europe/Berlin")
    made = Site(home, settings)

    def painted(card: Card, elapsed_ms: float, kind: str) -> None:
        made.painted.append((card.artifact_id, elapsed_ms, kind))

    app = make_app(replace(make_renderer(settings, home), painted=painted))
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    made.port = server.servers[0].sockets[0].getsockname()[1]
    yield made
    server.should_exit = True
    thread.join(60)


BERLIN = ZoneInfo("Europe/Berlin")
