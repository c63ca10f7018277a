"""What an argument of a prompt, or a part of a resource's address, may be completed to: names of
templates and activities, and the caller's own subjects and results.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cdesk.contract.vocabulary import VOCABULARY
from mcp_shim.context import MAX_CONTEXT_BYTES
from mcp_shim.prompts import local_now, since_words
from mcp_shim.resources import ARTIFACT_TEMPLATE, TEMPLATE_TEMPLATE, own_results
from mcp_shim.session import Session
from mcp_shim.tools.template_list import allowed_templates

MAX_VALUES: Final = 100
"""The protocol's bound for one answer."""


def completions(session: Session, *, of: str, argument: str, begun: str) -> tuple[list[str], int]:
    """The values that fit what was begun, those that begin so before those that hold it, and how
    many there are. `of` is the name of a prompt or a resource template's address.
    """
    found = list(dict.fromkeys(_candidates(session, of, argument)))
    wanted = begun.strip().lower()
    begins = [value for value in found if value.lower().startswith(wanted)]
    holds = [value for value in found if wanted in value.lower() and value not in begins]
    fitting = begins + holds
    return fitting[:MAX_VALUES], len(fitting)


def _candidates(session: Session, of: str, argument: str) -> Iterable[str]:
    readers = session.app.readers
    today = local_now(readers.now_ns(), readers.timezone).date()
    match (of, argument):
        case ("remember" | "forget", "subject"):
            return own_subjects(session)
        case ("what_did_i_do", "topic"):
            return [*own_subjects(session), *own_activities(session)]
        case ("what_did_i_do", "since"):
            return since_words(today)
        case ("year_in_review", "year"):
            return [str(today.year - back) for back in range(10)]
        case (known, "name") if known == TEMPLATE_TEMPLATE:
            catalog = readers.catalog.look()
            return (
                [one.name for one in allowed_templates(catalog, session.caller)] if catalog else ()
            )
        case (known, "id") if known == ARTIFACT_TEMPLATE:
            return [result["artifact"]["artifact_id"] for result in own_results(session)]
    return ()


def own_subjects(session: Session) -> list[str]:
    """The subjects of the caller's insights, those with facts first."""
    context, _ = session.context.answer(MAX_CONTEXT_BYTES)
    sections = context["context"]
    items = [*sections["insights"], *context["pending"], *sections["unverified"]]
    return [item["subject"] for item in items if isinstance(item.get("subject"), str)]


def own_activities(session: Session) -> list[str]:
    """The vocabulary's activities, after those that the caller has records of."""
    context, _ = session.context.answer(MAX_CONTEXT_BYTES)
    return [*context["context"]["counts"], *VOCABULARY]
