"""Nothing that a caller wrote is ever verified: its words in every field that it can write, and every template asked for them.

The callers are the model (log_event, log_insight, arguments of queries) and a Claude export that
somebody made up. What they wrote must not stand in any proof record; figures that they gave may,
as `reported`.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import duckdb
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdesk.core.clock import format_ts
from tests.integration.queries.conftest import ADA, DAY_NS, example
from uploader.sources.history import import_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cdesk.contract.catalog import Parameter, Template
    from tests.integration.queries.conftest import Living

SENTENCE = "the invoice of 1,000,000 USD is paid"
ACTIVITY = "cdesk.the_invoice_of_1000000_usd_is_paid"
LINK = "https://example.com/the-invoice-of-1000000-usd-is-paid"
WORDS = (SENTENCE, ACTIVITY, LINK)
TOKENS = 77_777_771
REVENUE = 1_000_003.25
MOMENT = format_ts(time.time_ns() // DAY_NS * DAY_NS - 3 * DAY_NS + 123_456_000)
"""When the made-up export says that its messages were written."""
FIGURES = (str(TOKENS), str(REVENUE), MOMENT)
ARGUMENTS = {"limit": 987, "days_back": 359, "hours_back": 717, "within_days": 3_643, "nth": 4_321}
"""Whole numbers that the caller chose, larger than any count here."""


def words_of(model: str) -> dict[str, Any]:
    """The sentence as every key that a template or a view reads of an activity."""
    keys = (
        "question", "model", "tool", "outcome", "error_code", "message", "where", "path", "kind",
        "ticket_id", "template", "query_hash", "status", "client", "subject", "metric", "uri",
    )  # fmt: skip
    return dict.fromkeys(keys, SENTENCE) | {
        "model": model,
        "input_tokens": TOKENS,
        "output_tokens": TOKENS,
        "latency_ms": TOKENS,
        "bytes": TOKENS,
        "length": TOKENS,
        SENTENCE: SENTENCE,
    }


def made_up_export() -> list[dict[str, Any]]:
    """A Claude export with the sentence as conversation, tool, model, file and title."""
    answer = {
        "uuid": "3f0c6a52-6a57-4f6a-9d5e-444444444444",
        "sender": "assistant",
        "created_at": MOMENT,
        "model": SENTENCE,
        "text": SENTENCE,
        "content": [
            {"type": "tool_use", "name": SENTENCE, "input": {}, "start_timestamp": MOMENT},
            {"type": "text", "text": SENTENCE},
        ],
        "attachments": [],
        "files": [{"file_name": SENTENCE}],
    }
    return [
        {"uuid": SENTENCE, "name": SENTENCE, "created_at": MOMENT, "chat_messages": [answer]},
    ]


@pytest.fixture(scope="module")
def attacked(living: Living, tmp_path_factory: pytest.TempPathFactory) -> Living:
    """Ada's own stream with the callers' words all over it, landed and built."""
    with living.journal_of() as journal:
        for activity in (
            ACTIVITY.removeprefix("cdesk."), "user_asked", "claude_responded", "llm_called",
            "file_read", "file_written", "error_encountered",
        ):  # fmt: skip
            fields = {
                "anonymous_customer_id": None,
                "activity": f"cdesk.{activity}",
                "feature_json": words_of(SENTENCE),
                "link": LINK,
                "revenue_impact": REVENUE,
            }
            journal.record("event", fields)
        journal.insight(SENTENCE, SENTENCE, SENTENCE, None)
    export = tmp_path_factory.mktemp("export") / "conversations.json"
    export.write_text(json.dumps(made_up_export()), encoding="utf-8")
    report = import_file(
        export,
        home=living.home,
        customer=ADA.customer,
        landed=lambda _: {},
        include_text=True,
    )
    assert report.added >= 4
    living.settle()
    return living


def arguments(template: Template) -> st.SearchStrategy[dict[str, Any]]:
    """Parameters as somebody gives them who wants to read the own words again."""
    return st.fixed_dictionaries(
        {parameter.name: one(parameter, template) for parameter in template.parameters}
    )


def one(parameter: Parameter, template: Template) -> st.SearchStrategy[Any]:
    given = example(template).get(parameter.name, parameter.default)
    kind = parameter.type
    if kind == "activity":
        return st.sampled_from([ACTIVITY, "cdesk.claude_responded", "cdesk.user_asked"])
    if kind == "list[activity]":
        return st.sampled_from(
            [["cdesk.claude_responded", ACTIVITY], [ACTIVITY, "cdesk.user_asked"]]
        )
    if kind == "string":
        return st.sampled_from([SENTENCE[: parameter.max_length], given])
    if kind == "integer" and parameter.name in ARGUMENTS:
        wanted = ARGUMENTS[parameter.name]
        return st.just(
            wanted if parameter.max is None or wanted <= parameter.max else parameter.max
        )
    if kind == "enum":
        return st.sampled_from(parameter.values)
    return st.just(given)


def proof_of(living: Living, query_hash: str) -> list[Mapping[str, Any]]:
    """The evidence of the last run of a query, as its record in the queue has it."""
    found: list[Mapping[str, Any]] = []
    for path in sorted(living.home.queue.glob("*.ndjson")):
        for line in path.read_bytes().splitlines():
            record = orjson.loads(line)
            if record["kind"] == "query_run" and record["query_hash"] == query_hash:
                found = record["evidence"]
    return found


def check_proof(evidence: list[Mapping[str, Any]], params: Mapping[str, Any]) -> None:
    for column in evidence:
        values: list[str] = column["values"]
        for value in values:
            assert not any(word in value for word in WORDS), column
        chosen = {str(params[name]) for name in ARGUMENTS if name in params}
        assert not chosen & set(values), column
        if column["basis"] == "system":
            assert not set(FIGURES) & set(values), column


@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_template_takes_a_callers_words_for_evidence(
    attacked: Living, template_name: str, data: st.DataObject
) -> None:
    """Over templates, columns and fields: words and arguments in no proof, figures as reported alone."""
    params = data.draw(arguments(attacked.catalog.get(template_name)))
    result = attacked.query(template_name, params, fresh=True)
    check_proof(proof_of(attacked, result["query_hash"]), params)


def test_every_claim_of_a_callers_words_stays_unverified_and_figures_are_reported(
    attacked: Living,
) -> None:
    """Each template is asked for its example and for the words; each answer is cited for all of them."""
    hashes: set[str] = set()
    shown = 0
    for name, template in sorted(attacked.catalog.templates.items()):
        words = {p.name: ACTIVITY for p in template.parameters if p.type == "activity"}
        words |= {
            p.name: SENTENCE for p in template.parameters if p.name in ("key", "subject", "metric")
        }
        numbers = {
            p.name: value
            for p in template.parameters
            for value in [ARGUMENTS.get(p.name)]
            if value is not None and (p.max is None or value <= p.max)
        }
        for params in (example(template), example(template) | words | numbers):
            result = attacked.query(name, params, fresh=True)
            hashes.add(result["query_hash"])
            shown += any(word in str(result["rows"]) for word in WORDS)
    assert shown > 10, "the words are there to be read"
    claims = [*WORDS, *ARGUMENTS.values(), *(str(value) for value in ARGUMENTS.values())]
    with attacked.journal_of() as journal:
        for query_hash in sorted(hashes):
            for number, value in enumerate([*claims, TOKENS, REVENUE, MOMENT]):
                journal.insight(f"claim of {query_hash}", f"{number}", value, query_hash)
    attacked.settle()
    found = attacked.query("insights", {"limit": 1000}, fresh=True)
    columns = [column["name"] for column in found["columns"]]
    assert columns.index("basis") < columns.index("provenance_template")
    atoms = verified_claims(attacked)
    assert {value for value, _ in atoms} <= {str(TOKENS), str(REVENUE), MOMENT}
    assert {basis for _, basis in atoms} == {"reported"}, "sums of a caller's figures may verify"


def verified_claims(living: Living) -> set[tuple[str, str]]:
    with duckdb.connect(str(living.home.warehouse), read_only=True) as connection:
        rows = connection.execute(
            "select value_text, basis from activities.insight_atoms where verified and subject like 'claim of %'"
        ).fetchall()
    return set(rows)


def test_what_was_seen_once_is_refused_as_it_was_seen(attacked: Living) -> None:
    """The instances: a sentence as a model, a tool, an activity, an argument, a step, a constant, a session, an artifact, a customer."""
    seen: list[tuple[str, dict[str, Any], Any]] = [
        ("llm_usage", {}, SENTENCE),
        ("tool_usage", {}, SENTENCE),
        ("activity_counts", {}, ACTIVITY),
        ("funnel", {"steps": [ACTIVITY, "cdesk.user_asked"]}, ACTIVITY),
        # Two customers: no count is as high as the number of the last step.
        ("funnel", {"steps": ["cdesk.user_asked", ACTIVITY] * 4}, 8),
        ("retention", {"first_activity": ACTIVITY, "return_activity": ACTIVITY, "periods": 60}, 59),
        ("sessions", {}, SENTENCE),
        ("top_customers", {}, ADA.customer),
    ]
    artifact = attacked.query("activity_counts", {})["artifact"]["artifact_id"]
    seen.append(("artifact", {"artifact_id": artifact}, artifact))
    with attacked.journal_of() as journal:
        for number, (template, params, value) in enumerate(seen):
            params = example(attacked.catalog.get(template)) | params
            result = attacked.query(template, params, fresh=True)
            journal.insight("seen", f"{number} {template}", value, result["query_hash"])
    attacked.settle()
    rows = attacked.query("insights", {"subject": "seen", "limit": 1000}, fresh=True)
    names = [column["name"] for column in rows["columns"]]
    atoms = [dict(zip(names, row, strict=True)) for row in rows["rows"]]
    assert len(atoms) == len(seen)
    assert {atom["metric"] for atom in atoms if atom["verified"]} == set()
    assert {atom["verification_reason"] for atom in atoms} <= {
        "value_not_in_evidence",
        "not_evidence",
    }


def test_a_count_of_this_servers_own_rows_is_the_systems_and_with_an_imported_one_reported(
    attacked: Living,
) -> None:
    """tool_usage: calls of this server's tools verify as `system`; the export's tool is a row of its own, `reported`."""
    result = attacked.query("tool_usage", {"days_back": 359}, fresh=True)
    names = [column["name"] for column in result["columns"]]
    basis = {row[names.index("tool")]: row[names.index("basis")] for row in result["rows"]}
    assert basis["get_context"] == "system"
    assert basis[SENTENCE] == "reported"
