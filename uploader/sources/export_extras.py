"""What a Claude data export holds beside its conversations: projects, whose names the sessions
bear; Claude's own memories, which come in as unverified insights; and what is left out, by name.

Shapes read (what is not listed is ignored):

    projects.json   [{"uuid", "name", …}]
    memories.json   [{"conversations_memory": "text",
                      "project_memories": {"<project's uuid>": "text"}}], or one such object
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from cdesk.contract.records import MAX_NAME, MAX_VALUE, Record, make_record
from cdesk.core.errors import InvalidField
from uploader.sources.claude_export import NAMESPACE, Tally

PROJECTS: Final = "projects.json"
MEMORIES: Final = "memories.json"
USERS: Final = "users.json"
MAX_BYTES: Final = 64 * 1024 * 1024
SUBJECT: Final = "Claude's memory"
_NOT_NEEDED: Final = "the account's name and address, which nothing here needs"


@dataclass(frozen=True, slots=True)
class Beside:
    """One file beside the conversations. `ts` is when it was written (RFC 3339, UTC)."""

    name: str
    size: int
    ts: str
    read: Callable[[], bytes]


@dataclass(slots=True)
class Extras:
    """What is read before the conversations, for them and after them."""

    projects: Mapping[str, str] = field(default_factory=dict)
    """Uuid → name."""
    memories: list[tuple[str, str, str]] = field(default_factory=list)
    """(metric, text, ts) of each memory."""


def read_extras(files: list[Beside], tally: Tally) -> Extras:
    """What `files` hold; what is not taken in goes into the tally."""
    extras = Extras()
    by_name = {file.name: file for file in files}
    if (file := by_name.pop(PROJECTS, None)) is not None:
        extras.projects = dict(_projects(_document(file, tally)))
    if (file := by_name.pop(MEMORIES, None)) is not None:
        extras.memories = list(_memories(_document(file, tally), extras.projects, file.ts))
    for name, file in sorted(by_name.items()):
        why = _NOT_NEEDED if name == USERS else "not known to this version"
        tally.leave_out(file.name, why)
    return extras


def memory_records(
    extras: Extras, *, customer: str, include_text: bool, tally: Tally
) -> Iterator[Record]:
    """Claude's memories as insights without a proof; none without `include_text`."""
    if extras.memories and not include_text:
        tally.leave_out(
            MEMORIES,
            f"{len(extras.memories):,} memories of Claude's own, which --include-text takes in",
        )
        return
    for metric, text, ts in extras.memories:
        parts = list(_parts(text))
        for number, part in enumerate(parts, start=1):
            named = metric if len(parts) == 1 else f"{metric}, part {number}"
            key = json.dumps(["memory", customer, named, part, ts])
            try:
                yield make_record(
                    "insight",
                    id=str(uuid.uuid5(NAMESPACE, key)),
                    ts=ts,
                    customer=customer,
                    session_id=None,
                    query_tag="cdesk_" + uuid.uuid5(NAMESPACE, key + " tag").hex[:8],
                    source_system="claude_export",
                    fields={
                        "subject": SUBJECT,
                        "metric": named[:MAX_NAME],
                        "value": part,
                        "provenance_query_hash": None,
                    },
                )
            except InvalidField as error:
                tally.leave_out(f"{MEMORIES}, {named}", str(error))


def project_of(conversation: Mapping[str, Any], extras: Extras) -> str | None:
    """The name of the project that a conversation belongs to, where the export says so."""
    project = conversation.get("project")
    own = project if isinstance(project, dict) else {}
    known = extras.projects.get(str(own.get("uuid") or conversation.get("project_uuid")))
    name = known or own.get("name")
    return name if isinstance(name, str) and name else None


def _document(file: Beside, tally: Tally) -> Any:
    if file.size > MAX_BYTES:
        tally.leave_out(file.name, f"{file.size:,} bytes, more than {MAX_BYTES:,}")
        return None
    try:
        return orjson.loads(file.read().removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        tally.leave_out(file.name, f"it is no JSON ({' '.join(str(error).split())[:80]})")
        return None


def _projects(document: object) -> Iterator[tuple[str, str]]:
    for item in document if isinstance(document, list) else [document]:
        if isinstance(item, dict):
            project, name = item.get("uuid"), item.get("name")
            if isinstance(project, str) and isinstance(name, str) and name.strip():
                yield project, " ".join(name.split())[:200]


def _memories(
    document: object, projects: Mapping[str, str], ts: str
) -> Iterator[tuple[str, str, str]]:
    for item in document if isinstance(document, list) else [document]:
        if not isinstance(item, dict):
            continue
        whole = item.get("conversations_memory")
        if isinstance(whole, str) and whole.strip():
            yield "conversations", whole.strip(), ts
        of_projects = item.get("project_memories")
        for project, text in (of_projects if isinstance(of_projects, dict) else {}).items():
            if isinstance(text, str) and text.strip():
                yield f"project {projects.get(project, project)}"[:200], text.strip(), ts


def _parts(text: str) -> Iterator[str]:
    """The text in pieces that an insight can hold, cut between paragraphs, lines or words."""
    rest = text
    while len(rest) > MAX_VALUE:
        head = rest[:MAX_VALUE]
        cut = next(
            (at for mark in ("\n\n", "\n", " ") if (at := head.rfind(mark)) > MAX_VALUE // 2),
            MAX_VALUE,
        )
        yield rest[:cut].rstrip()
        rest = rest[cut:].lstrip()
    if rest:
        yield rest
