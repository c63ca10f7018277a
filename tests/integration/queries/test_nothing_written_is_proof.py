"""Whatever a caller writes, wherever, and whatever they ask then: no text of theirs is ever evidence,
and no number or time of theirs is the system's word.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdesk.contract.catalog import Basis, Parameter, Template
from cdesk.contract.events import make_event
from cdesk.contract.records import SourceSystem, encode
from cdesk.core.clock import IdSource
from cdesk.query.evidence import Evidence
from tests.integration.queries.conftest import ADA

if TYPE_CHECKING:
    from tests.integration.queries.conftest import Built

ACTIVITIES = (
    *("cdesk.user_asked", "cdesk.claude_responded", "cdesk.llm_called", "cdesk.file_read"),
    *("cdesk.error_encountered", "cdesk.decision_recorded", "cdesk.of_their_own"),
)
KEYS = (
    *("model", "tool", "outcome", "kind", "error_code", "message", "question", "topic", "path"),
    *("input_tokens", "output_tokens", "latency_ms", "length", "rows", "of_their_own"),
)
SOURCES: tuple[SourceSystem, ...] = ("claude_desktop", "import", "claude_export")
IDS = IdSource()
WORDS = st.text("abcdefghijklmnopqrstuvwxyz ", min_size=8, max_size=40).map(
    lambda word: f"z{word}q"
)
NUMBERS = st.integers(10**9, 2**53) | st.integers(10**9, 10**12).map(lambda whole: whole + 0.25)


class Written:
    """What a caller wrote, as an answer would show it."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self.texts: set[str] = set()
        self.figures: set[str] = set()

    def word(self) -> str:
        word = self._data.draw(WORDS)
        self.texts.add(word)
        return word

    def number(self) -> int | float:
        number = self._data.draw(NUMBERS)
        self.figures.add(str(number))
        return number

    def value(self) -> Any:
        """A value of a feature: text, a number, a number as text, or JSON."""
        kind = self._data.draw(st.integers(0, 4))
        if kind == 0:
            return self.word()
        if kind == 1:
            return self.number()
        if kind == 2:
            return str(self.number())
        return [self.word()] if kind == 3 else {"deep": self.number()}

    def event(self, activity: str) -> bytes:
        """A line with their words in every field that they may fill."""
        draw = self._data.draw
        at = datetime.now(UTC) - timedelta(seconds=draw(st.integers(1, 6 * 3600)))
        features = {key: self.value() for key in KEYS}
        if draw(st.booleans()):
            features[self.word()] = self.value()
        return encode(
            make_event(
                activity,
                features,
                id=IDS.uuid7(),
                ts=at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                customer=ADA.customer,
                session_id=self.word() if draw(st.booleans()) else None,
                query_tag="cdesk_00000000",
                link=f"https://example.org/{self.word().replace(' ', '-')}",
                revenue_impact=self.number() if draw(st.booleans()) else None,
                source_system=draw(st.sampled_from(SOURCES)),
            )
        )

    def argument(self, parameter: Parameter, params: Mapping[str, Any]) -> Any:
        """An argument of a template, theirs as well where its type lets it be."""
        draw, kind = self._data.draw, parameter.type
        if kind in ("string", "list[string]"):
            word = self.word()[: parameter.max_length or 60]
            self.texts.add(word)
            return [word] if kind.startswith("list") else word
        if kind == "activity":
            return draw(st.sampled_from(ACTIVITIES))
        if kind == "list[activity]":
            return draw(st.lists(st.sampled_from(ACTIVITIES), min_size=2, max_size=3, unique=True))
        if kind == "enum":
            return draw(st.sampled_from(parameter.values))
        if kind == "boolean":
            return draw(st.booleans())
        return params.get(parameter.name)


@pytest.fixture(scope="module")
def warehouse(
    original: Built, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    file = tmp_path_factory.mktemp("written") / "warehouse.duckdb"
    shutil.copy(original.home.warehouse, file)
    with duckdb.connect(str(file)) as connection:
        connection.execute("set timezone = 'UTC'")
        yield connection


def proven(
    connection: duckdb.DuckDBPyConnection,
    template: Template,
    params: dict[str, Any],
    columns: Mapping[str, Basis] | None = None,
) -> list[dict[str, Any]]:
    """What a run would hand in as evidence; of other columns than those declared."""
    binds = template.bind(template.check_params(params), customer=ADA.customer, is_analyst=True)
    reader = connection.execute(template.sql, binds).to_arrow_reader()  # planned once
    found = Evidence(reader.schema, columns or template.evidence_columns)
    for batch in reader:
        found.add(batch)
    return found.record()


@contextmanager
def landed(connection: duckdb.DuckDBPyConnection, lines: Sequence[bytes]) -> Iterator[None]:
    """The lines as they lie there before the next build; gone afterwards."""
    connection.execute("begin")
    try:
        for offset, line in enumerate(lines):
            connection.execute(
                "insert into activities.landing select ? ->> 'id', 'event', ?, 'written', ?, "
                "now() at time zone 'UTC', null",
                [line.decode(), line.decode(), offset],
            )
        yield
    finally:
        connection.execute("rollback")


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_nothing_that_a_caller_wrote_is_the_systems_word(
    original: Built, warehouse: duckdb.DuckDBPyConnection, data: st.DataObject
) -> None:
    templates = sorted(
        (one for one in original.catalog.templates.values() if one.evidence_columns),
        key=lambda one: one.name,
    )
    written = Written(data)
    with landed(warehouse, [written.event(activity) for activity in ACTIVITIES]):
        for template in data.draw(st.lists(st.sampled_from(templates), min_size=6, max_size=6)):
            params = dict(template.example)
            for parameter in template.parameters:
                if data.draw(st.booleans()):
                    params[parameter.name] = written.argument(parameter, params)
            for column in proven(warehouse, template, params):
                values = set(column["values"])
                assert not values & written.texts, (template.name, column["column"])
                if column["basis"] == "system":
                    assert not values & written.figures, (template.name, column["column"])


def test_what_a_caller_wrote_would_be_seen(
    original: Built, warehouse: duckdb.DuckDBPyConnection
) -> None:
    """The lines do reach the templates: their figures are evidence, as reported."""
    number = 123_456_789_012
    line = encode(
        make_event(
            "cdesk.llm_called",
            {"model": "theirs", "input_tokens": number},
            id=IDS.uuid7(),
            ts=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            customer=ADA.customer,
            session_id=None,
            query_tag="cdesk_00000000",
        )
    )
    template = original.catalog.get("llm_usage")
    with landed(warehouse, [line]):
        found = proven(warehouse, template, {})
        label = proven(warehouse, template, {}, {"model": "system"})
    assert "theirs" in label[0]["values"]
    assert {column["basis"] for column in found if str(number) in column["values"]} == {"reported"}
