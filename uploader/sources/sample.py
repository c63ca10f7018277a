"""A made-up history in the forms that Claude's programs write, for the demo, tests and benchmarks,
with the truth about it: each response once, with its final usage.
"""

from __future__ import annotations

import math
import os
import random
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from cdesk.core.home import open_private
from uploader.sources.sample_lengths import (
    STEPS_RATE,
    TEXT_BESIDE_CALL,
    THINKING,
    PublishedLengths,
)
from uploader.sources.sample_lengths import TOOLS as _PUBLISHED_TOOLS

MODELS: Final = (
    ("claude-sonnet-4-5-20250929", 0.62),
    ("claude-opus-4-1-20250805", 0.2),
    ("claude-haiku-4-5-20251001", 0.18),
)
PROJECTS: Final = ("atlas", "harbour", "lantern", "meadow", "notes", "tidepool")
_TITLES: Final = (
    "Untangle the retry loop",
    "A faster import",
    "Why the nightly build is red",
    "Tests for the price table",
    "Release notes",
    "Charts that print well",
    "Move settings into one file",
    "The slow query of Monday",
)
_QUESTIONS: Final = (
    "Why does this test fail on Windows only?",
    "Make the export resume after a crash.",
    "Explain this query plan to me.",
    "Write the release notes from the log.",
    "Rename the module and fix the imports.",
    "How long did the last ten builds take?",
)
_TOOLS: Final = (
    ("Read", 0.3),
    ("Edit", 0.2),
    ("Bash", 0.2),
    ("Grep", 0.12),
    ("Write", 0.06),
    ("mcp__cdesk__get_context", 0.06),
    ("mcp__github__list_issues", 0.04),
    ("WebSearch", 0.02),
)
_KINDS: Final = ("py", "sql", "md", "yml", "ts", "css")


@dataclass(slots=True)
class Truth:
    """What the history holds. by_day: (UTC day, model) → counts, by the names of `usage`."""

    responses: int = 0
    lines: int = 0
    bytes: int = 0
    questions: int = 0
    sessions: int = 0
    by_day: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)


class _Writer:
    """Lines by file, written at the end of a conversation."""

    def __init__(self, root: Path, truth: Truth) -> None:
        self._root = root
        self._truth = truth
        self._lines: dict[Path, list[bytes]] = defaultdict(list)

    def add(self, path: Path, line: dict[str, Any]) -> None:
        self._lines[path].append(orjson.dumps(line))

    def flush(self) -> None:
        for path, lines in self._lines.items():
            target = self._root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            data = b"\n".join(lines) + b"\n"
            fd = open_private(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            with os.fdopen(fd, "ab") as file:
                file.write(data)
            self._truth.lines += len(lines)
            self._truth.bytes += len(data)
        self._lines.clear()


def write_history(
    root: Path,
    *,
    responses: int,
    days: int = 30,
    end: datetime | None = None,
    seed: int = 1,
    duplicates: bool = True,
    published_lengths: bool = False,
) -> Truth:
    """Write about `responses` responses over `days` before `end` into `root`, laid out as a home:
    `.claude/projects` and Claude Desktop's data folder of Linux. Without `duplicates` each response
    stands once, on one line. With `published_lengths` lines are of the kinds and lengths that
    people's are, three times as long as otherwise.
    """
    rng = random.Random(seed)
    lengths = PublishedLengths(rng) if published_lengths else None
    end = end or datetime.now(UTC)
    truth = Truth()
    writer = _Writer(root, truth)
    while truth.responses < responses:
        _conversation(rng, writer, truth, end - timedelta(days=days), days, duplicates, lengths)
        writer.flush()
    return truth


def _pick(rng: random.Random, weighted: tuple[tuple[str, float], ...]) -> str:
    return rng.choices([name for name, _ in weighted], [weight for _, weight in weighted])[0]


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _begin(rng: random.Random, start: datetime, days: int) -> datetime:
    """In working hours mostly, fewer at weekends, with some late evenings."""
    while True:
        day = rng.randrange(days)
        hour = rng.choices((9.5, 11, 14, 16, 21), (3, 4, 4, 3, 1.5))[0] + rng.gauss(0, 0.8)
        moment = start.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(
            days=day, hours=hour % 24, seconds=rng.randrange(3600), milliseconds=rng.randrange(1000)
        )
        busy = 0.25 if moment.weekday() >= 5 else 1.0
        busy *= 0.55 + 0.45 * math.sin(day / 4.0)
        if start <= moment < start + timedelta(days=days) and rng.random() < busy:
            return moment


@dataclass(slots=True)
class _Talk:
    """One conversation while it is written."""

    session: str
    project: str
    file: Path
    source: str
    now: datetime
    model: str
    cached: int = 18_000
    parent: str | None = None
    lengths: PublishedLengths | None = None

    def line(self, kind: str, rng: random.Random, **more: Any) -> dict[str, Any]:
        own = _uuid(rng)
        line = {
            "parentUuid": self.parent,
            "isSidechain": False,
            "userType": "external",
            "cwd": f"/home/ada/work/{self.project}",
            "sessionId": self.session,
            "version": "2.0.31",
            "gitBranch": "main",
            "entrypoint": "cli" if self.source == "code" else "claude-desktop",
            "type": kind,
            "uuid": own,
            "timestamp": _stamp(self.now),
            **more,
        }
        self.parent = own
        return line


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _conversation(
    rng: random.Random,
    writer: _Writer,
    truth: Truth,
    start: datetime,
    days: int,
    duplicates: bool,
    lengths: PublishedLengths | None,
) -> None:
    session = _uuid(rng)
    project = rng.choices(PROJECTS, (6, 4, 3, 2, 2, 1))[0]
    slug = f"-home-ada-work-{project}"
    source = rng.choices(("code", "desktop", "cowork"), (6, 2, 2))[0] if duplicates else "code"
    title = rng.choice(_TITLES)
    data = Path(".config/Claude")
    home = Path(".claude/projects") / slug
    if source == "cowork":
        local = data / "local-agent-mode-sessions" / _uuid(rng) / _uuid(rng) / f"local_{session}"
        home = local / ".claude" / "projects" / slug
        described: dict[str, Any] = {
            "sessionId": f"local_{session}",
            "processName": "p",
            "cwd": "/sessions/p",
        }
        described |= {"cliSessionId": session, "title": title, "createdAt": 0, "lastActivityAt": 0}
        writer.add(local.with_name(f"{local.name}.json"), described)
    elif source == "desktop":
        tab = data / "claude-code-sessions" / "account" / "org" / f"local_{session}.json"
        writer.add(tab, {"cliSessionId": session, "title": title})
    talk = _Talk(
        session, project, home / f"{session}.jsonl", source, _begin(rng, start, days),
        _pick(rng, MODELS), lengths=lengths,
    )  # fmt: skip
    truth.sessions += 1
    written: list[tuple[Path, dict[str, Any]]] = []

    def put(path: Path, line: dict[str, Any]) -> None:
        writer.add(path, line)
        written.append((path, line))

    put(talk.file, {"type": "file-history-snapshot", "messageId": "x", "snapshot": {}})
    for _ in range(1 + min(int(rng.expovariate(0.35)), 14)):
        _turn(rng, talk, truth, put, duplicates)
        talk.now += timedelta(seconds=rng.expovariate(1 / 140))
    if rng.random() < 0.1:
        talk.now += timedelta(seconds=3)
        about = {"trigger": "auto", "preTokens": 155_000}
        put(talk.file, talk.line("system", rng, subtype="compact_boundary", compactMetadata=about))
    named = {"type": "ai-title", "aiTitle": title, "sessionId": session}
    put(talk.file, named)
    if duplicates and source == "cowork":
        audit = talk.file.parents[3] / "audit.jsonl"
        for path, line in written:
            if path == talk.file and line.get("type") in ("user", "assistant"):
                kept = {name: line[name] for name in ("type", "uuid", "message", "timestamp")}
                writer.add(audit, {**kept, "session_id": session, "parent_tool_use_id": None})
    if duplicates and rng.random() < 0.16:
        _copy(rng, writer, talk, written)


def _copy(
    rng: random.Random, writer: _Writer, talk: _Talk, written: list[tuple[Path, dict[str, Any]]]
) -> None:
    """Resumed or forked: the same lines under another session id, with other ids of lines, and
    sometimes another request id.
    """
    other, forked = _uuid(rng), rng.random() < 0.5
    target = talk.file.with_name(f"{other}.jsonl")
    for path, line in written:
        if path != talk.file or "sessionId" not in line:
            continue
        copied = {**line, "sessionId": other}
        if "uuid" in line:
            copied["uuid"] = _uuid(rng)
            if forked:
                copied["forkedFrom"] = {"sessionId": talk.session, "messageUuid": line["uuid"]}
        if "requestId" in line and rng.random() < 0.3:
            copied["requestId"] = f"req_{rng.getrandbits(64):016x}"
        writer.add(target, copied)


def _turn(rng: random.Random, talk: _Talk, truth: Truth, put: Any, duplicates: bool) -> None:
    lengths = talk.lengths
    more = lengths.text("question") if lengths else "x" * rng.randrange(200)
    text = f"{rng.choice(_QUESTIONS)} {more}"
    message: dict[str, Any]
    put(talk.file, talk.line("user", rng, message={"role": "user", "content": text}))
    truth.questions += 1
    steps = 1 + min(int(rng.expovariate(STEPS_RATE if lengths else 0.4)), 60 if lengths else 20)
    for step in range(steps):
        talk.now += timedelta(seconds=1.5 + rng.expovariate(1 / 4))
        tool = None
        if step + 1 < steps:
            tool = _pick(rng, _PUBLISHED_TOOLS if lengths else _TOOLS)
        calls = _response(rng, talk, truth, put, tool, duplicates)
        for call, name, given in calls:
            talk.now += timedelta(seconds=0.05 + rng.expovariate(1 / 2.5))
            bad = rng.random() < 0.05
            block = {"type": "tool_result", "tool_use_id": call, "is_error": bad}
            if lengths:
                block["content"], detail = lengths.result(name, given)
                kept = f"Error: {block['content']}" if bad else detail
                message = {"role": "user", "content": [block]}
                put(talk.file, talk.line("user", rng, message=message, toolUseResult=kept))
                continue
            block["content"] = [{"type": "text", "text": "y" * int(rng.expovariate(1 / 900))}]
            result = talk.line("user", rng, message={"role": "user", "content": [block]})
            if name == "Edit" and not bad:
                lines = ["+a"] * rng.randrange(1, 30) + ["-b"] * rng.randrange(12)
                result["toolUseResult"] = {"structuredPatch": [{"lines": lines}], **given}
            put(talk.file, result)
    if duplicates and rng.random() < 0.06:
        _agent(rng, talk, truth, put)
    if rng.random() < 0.02:
        text = "API Error: Rate limit reached"
        message = {"id": _uuid(rng), "role": "assistant"}
        message["model"] = "<synthetic>"
        message |= {"content": [{"type": "text", "text": text}], "usage": {"input_tokens": 0}}
        put(talk.file, talk.line("assistant", rng, isApiErrorMessage=True, message=message))
    if rng.random() < 0.02:
        stopped = [{"type": "text", "text": "[Request interrupted by user]"}]
        put(talk.file, talk.line("user", rng, message={"role": "user", "content": stopped}))


def _agent(rng: random.Random, talk: _Talk, truth: Truth, put: Any) -> None:
    """A sub-agent with a file of its own; some of its responses stand in the parent's file too."""
    agent = f"{rng.getrandbits(32):08x}"
    own = _Talk(
        talk.session,
        talk.project,
        talk.file.parent / talk.session / "subagents" / f"agent-{agent}.jsonl",
        talk.source,
        talk.now,
        "claude-haiku-4-5-20251001",
        cached=9_000,
        lengths=talk.lengths,
    )
    in_parent = rng.random() < 0.4

    def put_own(path: Path, line: dict[str, Any]) -> None:
        line = {**line, "isSidechain": True, "agentId": agent}
        put(path, line)
        if in_parent:
            put(talk.file, {**line, "uuid": _uuid(rng)})

    for _ in range(rng.randrange(1, 5)):
        own.now += timedelta(seconds=2 + rng.expovariate(1 / 3))
        _response(rng, own, truth, put_own, None, duplicates=True)
    talk.now = own.now + timedelta(seconds=1)


def _response(
    rng: random.Random, talk: _Talk, truth: Truth, put: Any, tool: str | None, duplicates: bool
) -> list[tuple[str, str, dict[str, Any]]]:
    """One response, a line for each block with usage that grows; its tool calls."""
    identity = f"msg_01{rng.getrandbits(100):025x}"
    request = f"req_01{rng.getrandbits(100):025x}"
    created = int(rng.expovariate(1 / 2_500))
    long_lived = created if rng.random() < 0.15 else 0
    final = 40 + int(rng.expovariate(1 / 420))
    usage = {
        "input_tokens": 3 + rng.randrange(40),
        "cache_creation_input_tokens": created,
        "cache_read_input_tokens": talk.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": created - long_lived,
            "ephemeral_1h_input_tokens": long_lived,
        },
        "service_tier": "standard",
    }
    talk.cached = min(talk.cached + created, 190_000)
    blocks: list[dict[str, Any]] = []
    lengths = talk.lengths
    if rng.random() < (THINKING if lengths else 0.4):
        thought = {"thinking": "t" * rng.randrange(800), "signature": "s"}
        if lengths:
            thought = {name: lengths.text(name) for name in thought}
        blocks.append({"type": "thinking", **thought})
    if lengths is None:
        blocks.append({"type": "text", "text": "r" * (20 + int(rng.expovariate(1 / 500)))})
    elif tool is None or rng.random() < TEXT_BESIDE_CALL:
        blocks.append({"type": "text", "text": lengths.text("text")})
    calls: list[tuple[str, str, dict[str, Any]]] = []
    if tool:
        call = f"toolu_01{rng.getrandbits(100):025x}"
        given: dict[str, Any] = {"command": "make"}
        if tool in ("Read", "Edit", "Write"):
            name = f"{rng.choice(_TOOLS)[0].lower()[:6]}_{rng.randrange(40)}.{rng.choice(_KINDS)}"
            given = {"file_path": f"/home/ada/work/{talk.project}/{name}"}
            if tool == "Write":
                given["content"] = "line\n" * rng.randrange(1, 120)
        if lengths:
            given = lengths.given(tool, given.get("file_path"))
        blocks.append({"type": "tool_use", "id": call, "name": tool, "input": given})
        calls.append((call, tool, given))
    groups = [[block] for block in blocks] if duplicates else [blocks]
    began = talk.now.strftime("%Y-%m-%d")  # a response is of the day on which it began
    for place, group in enumerate(groups, start=1):
        is_last = place == len(groups)
        said = final if is_last else max(1, final * place // (len(groups) * 3))
        message = {
            "id": identity,
            "type": "message",
            "role": "assistant",
            "model": talk.model,
            "content": group,
            "stop_reason": ("tool_use" if tool else "end_turn") if is_last else None,
            "usage": {**usage, "output_tokens": said},
        }
        put(talk.file, talk.line("assistant", rng, requestId=request, message=message))
        if is_last:
            break
        talk.now += timedelta(milliseconds=200 + rng.randrange(900))
    truth.responses += 1
    day = truth.by_day.setdefault((began, talk.model), defaultdict(int))
    for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"):
        day[name] += int(usage[name])  # type: ignore[call-overload]
    day["output_tokens"] += final
    day["responses"] += 1
    return calls


def sample_files(root: Path) -> Iterator[Path]:
    """All files of a history that `write_history` wrote."""
    yield from sorted(root.rglob("*.json*"))
