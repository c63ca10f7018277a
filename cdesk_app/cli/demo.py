"""`make demo`: a real MCP client talks to the real server, the calls land in a warehouse that dbt
builds, and the next conversation knows.

Everything happens in `.demo/` (git-ignored). Run it again and it goes on from there; remove the
folder to start anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mcp import Client, MCPError, StdioServerParameters, stdio_client

from cdesk.contract.redaction import redact_value
from cdesk.core.config import Settings, load_settings
from cdesk.core.errors import CdeskError
from cdesk.core.home import StateDirectory, open_private
from cdesk.core.log import set_up_logging
from cdesk.queue.overview import gather
from cdesk_app.cli.context import told
from cdesk_app.cli.output import pairs, size, table, to_json, waiting
from cdesk_app.ops.clients.entry import config_path, entry, server_command

FOLDER: Final = ".demo"
CUSTOMER: Final = "ada@example.com"
WAIT_SECONDS: Final = 120.0
"""No single step takes longer, or the demo says so and ends."""

CONVERSATION: Final[Sequence[tuple[str, Mapping[str, Any]]]] = (
    (
        "user_asked",
        {"question": "Which of our pricing pages brings the most sign-ups?", "topic": "pricing"},
    ),
    ("file_read", {"path": "signups.csv", "kind": "csv", "bytes": 48_211}),
    (
        "claude_responded",
        {
            "model": "claude-sonnet-4-5",
            "input_tokens": 1_840,
            "output_tokens": 212,
            "latency_ms": 2_140,
        },
    ),
    ("user_asked", {"question": "Is that difference more than chance?", "topic": "pricing"}),
    (
        "claude_responded",
        {
            "model": "claude-sonnet-4-5",
            "input_tokens": 2_105,
            "output_tokens": 388,
            "latency_ms": 3_020,
        },
    ),
    ("user_asked", {"question": "Write that up for the team, one page.", "topic": "pricing"}),
    ("file_written", {"path": "pricing-memo.md", "kind": "markdown", "bytes": 2_312}),
    (
        "claude_responded",
        {
            "model": "claude-opus-4-1",
            "input_tokens": 2_640,
            "output_tokens": 905,
            "latency_ms": 7_480,
        },
    ),
)
"""What the demo's person and Claude do: activity (without `cdesk.`) and its details."""


@dataclass(slots=True)
class Calls:
    """The tool calls of the demo: (tool, what for, milliseconds)."""

    made: list[tuple[str, str, float]] = field(default_factory=list)

    async def call(
        self, client: Client, tool: str, arguments: Mapping[str, Any], what: str = ""
    ) -> dict[str, Any]:
        """Call a tool and time it.

        Raises:
            CdeskError: the tool answered with an error.
        """
        started = time.perf_counter()
        answer = await client.call_tool(tool, dict(arguments), read_timeout_seconds=WAIT_SECONDS)
        self.made.append((tool, what, (time.perf_counter() - started) * 1000))
        if answer.is_error:
            raise CdeskError(
                f"{tool} answered: {' '.join(getattr(part, 'text', '') for part in answer.content)}"
            )
        found = answer.structured_content
        assert isinstance(found, dict)
        return found

    def by_tool(self) -> list[tuple[str, int, float, float]]:
        """Tool, calls, median and slowest in milliseconds."""
        times: dict[str, list[float]] = defaultdict(list)
        for tool, _, milliseconds in self.made:
            times[tool].append(milliseconds)
        return [
            (tool, len(found), round(sorted(found)[len(found) // 2], 2), round(max(found), 2))
            for tool, found in times.items()
        ]


HISTORY_RESPONSES: Final = 250
ASKED: Final[Sequence[tuple[str, str, dict[str, Any], tuple[str, ...]]]] = (
    (
        "What did Claude cost me, week by week?",
        "token_usage",
        {"period": "week"},
        ("period_start", "total_tokens", "cost_usd", "responses"),
    ),
    (
        "Which conversations cost most?",
        "conversations",
        {"order": "costliest", "limit": 4},
        ("title", "project", "turns", "tool_calls", "cost_usd"),
    ),
    (
        "Which tools fail?",
        "tools",
        {"days_back": 60},
        ("server", "tool", "calls", "error_rate", "latency_p95_ms"),
    ),
)
"""What the demo asks of the history: the question, template, parameters, columns shown."""


def main() -> int:
    """Run the demo in `.demo/` of the working directory; the exit code."""
    started = time.monotonic()
    folder = Path.cwd() / FOLDER
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CDESK_")}
    problems: list[str] = []
    try:
        settings = load_settings({**environ, "CDESK_HOME": str(folder), "CDESK_CUSTOMER": CUSTOMER})
        home = StateDirectory(settings.home).ensure()
        set_up_logging(home.worker_log, settings.environ, credentials=redact_value)
        with _worker_ended(home):
            asyncio.run(_demo(settings, home, load_settings(os.environ)))
    except* CdeskError as group:  # a client's task group wraps what is raised inside it
        problems += _messages(group)
    except* MCPError as group:
        problems += [
            f"{text}; the server's log is {folder / 'server.log'}" for text in _messages(group)
        ]
    if problems:
        print(f"cdesk demo: {problems[0]}", file=sys.stderr)
        return 1
    print(f"\nThe demo took {time.monotonic() - started:.0f} s.")
    return 0


async def _demo(settings: Settings, home: StateDirectory, own: Settings) -> None:
    calls = Calls()
    _heading(f"A conversation ({shlex.join(server_command())})")
    async with _session(settings, home) as client:
        before = await calls.call(client, "get_context", {}, "at the start")
        known = len(before["context"]["insights"])
        _say(f"get_context answers: {_known(before, known)}")
        for activity, details in CONVERSATION:
            await calls.call(
                client,
                "log_event",
                {"activity": f"cdesk.{activity}", "feature_json": details},
                activity,
            )
        slowest = max(milliseconds for _, _, milliseconds in calls.made)
        _say(
            f"{len(CONVERSATION)} activities logged, the slowest call took {slowest:.0f} ms; "
            "nothing waited for a warehouse."
        )

        _heading("The worker lands them and dbt builds")
        _say(await _round(settings))

        _heading("A question to the warehouse, and what was learned from it")
        result = await _ask(calls, client, "activity_counts", {"days_back": 7})
        columns = [column["name"] for column in result["columns"]]
        print(table(columns[:2], [row[:2] for row in result["rows"]], indent=2))
        counts = {row[0]: row[1] for row in result["rows"]}
        insight = {
            "subject": "pricing work",
            "metric": "questions asked in 7 days",
            "value": counts["cdesk.user_asked"],
            "provenance_query_hash": result["query_hash"],
        }
        await calls.call(client, "log_insight", insight, "questions asked")
        pending = await calls.call(client, "get_context", {}, "right after log_insight")
        _say(
            f"log_insight: {insight['subject']}, {insight['metric']} = {insight['value']}, "
            f"from query {result['query_hash']}; "
            f"get_context shows {len(pending['pending'])} pending at once."
        )
        _say(
            f"The record stood in the warehouse {await _landed(settings, home):.1f} s after "
            "it was logged."
        )

    _heading("A month of Claude's own history, made up (cdesk import)")
    _say(_bring_in(settings, home))
    _heading("The worker lands, builds and checks the insight against the query's result")
    _say(await _round(settings))

    _heading("The next conversation")
    async with _session(settings, home) as client:
        after = await calls.call(client, "get_context", {}, "next conversation")
        health = await _ask(calls, client, "health", {})
        lag = await _ask(calls, client, "stream_metrics", {"hours_back": 1})
        answers = [
            (asked, shown, await _ask(calls, client, template, params))
            for asked, template, params, shown in ASKED
        ]
    learned = [
        item
        for item in after["context"]["insights"]
        if (item["subject"], item["metric"], item["value"])
        == (insight["subject"], insight["metric"], insight["value"])
    ]
    if not learned:
        raise CdeskError(
            "the insight did not come back as verified; 'make demo' again, and if it stays so "
            "look into "
            f"{home.worker_log} and {home.dbt / 'logs' / 'dbt.log'}"
        )
    _say(
        f"get_context knows it as a verified fact: {learned[0]['metric']} = {learned[0]['value']}."
    )
    _report(calls, counts_of(after), dict(zip_row(health)), dict(zip_row(lag)), after, home, own)
    _heading("What Claude can now answer, without having been there")
    for asked, shown, answer in answers:
        print(f"  {asked}")
        names = [column["name"] for column in answer["columns"]]
        places = [names.index(name) for name in shown]
        rows = [[_rounded(row[place]) for place in places] for row in answer["rows"][:4]]
        print(table(shown, rows, indent=4))
    _say("'cdesk capture on' follows the real histories of this computer; it is off until then.")


def _bring_in(settings: Settings, home: StateDirectory) -> str:
    """A made-up history, as Claude's programs would keep it, into the backlog; what came of it."""
    from datetime import UTC, datetime, timedelta

    from uploader.histories import histories_in, import_histories
    from uploader.sources.sample import write_history

    folder = home.root / "history"
    if not folder.exists():  # it ends before the week that the demo's first question is about
        end = datetime.now(UTC) - timedelta(days=8)
        write_history(folder, responses=HISTORY_RESPONSES, days=30, end=end)
    source = histories_in(folder)
    if source is None:
        raise CdeskError(f"{folder} holds no history any more; remove it, and 'make demo' again")
    report = import_histories(source, home=home, customer=settings.customer)
    if not report.added:
        return "It is the same as the last time: nothing came in twice."
    answers = report.records.get("claude_responded", 0)
    return (
        f"{report.files:,} files with copies in resumed sessions, sub-agents and a second stream: "
        f"{answers:,} responses, each once, {report.added:,} activities in all."
    )


def _rounded(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) else value


def _report(
    calls: Calls,
    landed: Sequence[tuple[str, int]],
    health: Mapping[str, Any],
    lag: Mapping[str, Any],
    after: Mapping[str, Any],
    home: StateDirectory,
    own: Settings,
) -> None:
    _heading("What was called")
    print(table(("tool", "calls", "median ms", "slowest ms"), calls.by_tool(), indent=2))
    _heading(f"What landed ({health.get('activity_count', 0):,} activities in all)")
    print(table(("activity", "today"), landed[:10], indent=2))
    _heading("Ingestion lag, from a record's birth to its landing, this hour")
    p50, p95 = (lag.get(f"ingestion_lag_{share}_seconds") or 0.0 for share in ("p50", "p95"))
    _say(
        f"Half within {p50:.1f} s, 95 % within {p95:.1f} s. The first records of a new "
        "directory wait for the first build."
    )
    _heading("What get_context says now")
    print("\n".join(f"  {line}".rstrip() for line in told(after, rows=5).splitlines()))
    _heading("The five slowest calls")
    slowest = sorted(calls.made, key=lambda made: -made[2])[:5]
    print(
        table(
            ("tool", "for", "ms"),
            [(tool, what, round(ms, 1)) for tool, what, ms in slowest],
            indent=2,
        )
    )
    _heading("Where everything lies")
    places = (
        ("warehouse (DuckDB)", home.warehouse),
        ("context snapshot", home.context_db),
        ("query catalog", home.catalog),
        ("queue", home.queue),
        ("results", home.artifacts),
        ("dbt's logs and target", home.dbt),
        ("worker's log", home.worker_log),
    )
    print(pairs([(name, f"{_relative(path)}  {_weight(path)}") for name, path in places], indent=2))
    _say(
        f"Look around with: CDESK_HOME={_relative(home.root)} "
        f"{_relative(Path(server_command()[0]))} status"
    )
    _heading("Connect Claude Desktop")
    print("  'cdesk connect' does it, and '--dry-run' shows what it would do. By hand:")
    print(f"  put this into {config_path(own)}")
    print(
        f"  (beside what stands there), and restart Claude Desktop. Its records go to {own.home}\n"
    )
    print("\n".join(f"  {line}" for line in to_json(entry(own)).splitlines()))


# -- the parts of a conversation


@contextlib.asynccontextmanager
async def _session(settings: Settings, home: StateDirectory) -> AsyncIterator[Client]:
    """A client connected to a server process of its own; the server's log goes to `server.log`."""
    command, *arguments = server_command()
    environ = {
        "CDESK_HOME": str(settings.home),
        "CDESK_CUSTOMER": settings.customer,
        "CDESK_ROLES": "analyst",  # all that is recorded in the demo's directory is its person's
        "CDESK_WORKER": "auto",
        "CDESK_RENDER": "off",  # it would outlive the demo, on the port of the real one
    }
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with os.fdopen(open_private(home.root / "server.log", flags), "a", encoding="utf-8") as log:
        parameters = StdioServerParameters(command=command, args=arguments, env=environ)
        async with Client(stdio_client(parameters, errlog=log)) as client:
            yield client


async def _ask(
    calls: Calls, client: Client, template: str, params: Mapping[str, Any]
) -> dict[str, Any]:
    """Submit a query and wait for its result.

    Raises:
        CdeskError: it failed, or took too long.
    """
    submitted = await calls.call(
        client, "submit_query", {"template": template, "params": dict(params)}, template
    )
    deadline = time.monotonic() + WAIT_SECONDS
    with waiting(f"waiting for {template}"):
        while time.monotonic() < deadline:
            wait = {"ticket_id": submitted["ticket_id"], "wait_seconds": 10}
            answer = await calls.call(client, "get_result", wait, f"{template}, waiting for it")
            if answer["status"] == "succeeded":
                result: dict[str, Any] = answer["result"]
                return result
            if answer["error"]:
                raise CdeskError(f"{template}: {answer['error']['message']}")
    raise CdeskError(f"{template} had no answer within {WAIT_SECONDS:.0f} s")


async def _round(settings: Settings) -> str:
    """One round of the worker that the server started, or by ourselves where it has not come up
    yet; what it did, in words.
    """
    from cdesk_app.cli.worker import describe
    from cdesk_app.worker.main import run_once

    started = time.monotonic()
    with waiting("the worker") as say:
        report = await asyncio.to_thread(
            run_once, settings, progress=lambda *stage: say(describe(*stage))
        )
    seconds = time.monotonic() - started
    if report.handed_over:
        return f"Done by the worker that the server had started, in {seconds:.1f} s."
    return f"{report.landed:,} records landed and built, in {seconds:.1f} s."


async def _landed(settings: Settings, home: StateDirectory) -> float:
    """Wait until nothing is left in the queue; seconds."""
    started = time.monotonic()
    with waiting("landing"):
        while gather(settings, home).queue.records and time.monotonic() - started < WAIT_SECONDS:
            await asyncio.sleep(0.05)
    return time.monotonic() - started


@contextlib.contextmanager
def _worker_ended(home: StateDirectory) -> Iterator[None]:
    """The demo leaves no process behind: the worker that the server started is told to stop, and
    waited for.
    """
    from cdesk.core.locks import is_held
    from cdesk_app.worker.alone import stop_worker

    try:
        yield
    finally:
        came_up = time.monotonic() + 5  # a demo that failed at once may be quicker than the worker
        while not is_held(home.worker_lock) and time.monotonic() < came_up:
            time.sleep(0.05)
        stop_worker(home)


# -- words


def _messages(group: BaseExceptionGroup[Exception]) -> list[str]:
    """The texts of all errors in a group, however deep."""
    found: list[str] = []
    for error in group.exceptions:
        found += (
            _messages(error)
            if isinstance(error, BaseExceptionGroup)
            else [" ".join(str(error).split())]
        )
    return found


def zip_row(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and values of a result's first row; nothing where it has none."""
    if result["rows"]:
        yield from zip(
            [column["name"] for column in result["columns"]], result["rows"][0], strict=True
        )


def counts_of(answer: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Today's activities by number, from an answer of get_context."""
    counts = ((name, count.get("d1", 0)) for name, count in answer["context"]["counts"].items())
    return sorted(counts, key=lambda item: (-item[1], item[0]))


def _known(answer: Mapping[str, Any], insights: int) -> str:
    if answer["as_of"] is None:
        return "nothing is known yet."
    return (
        f"{insights} verified insights, {sum(count for _, count in counts_of(answer)):,} "
        "activities today."
    )


def _heading(text: str) -> None:
    print(f"\n{text}\n", flush=True)


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _weight(path: Path) -> str:
    if path.is_dir():
        files = [item for item in path.rglob("*") if item.is_file()]
        return f"{len(files)} files, {size(sum(item.stat().st_size for item in files))}"
    return size(path.stat().st_size) if path.exists() else "not there"


if __name__ == "__main__":
    sys.exit(main())
