"""The catalog in a few thousand characters, for the description of submit_query: every name is in
it, whatever the number of templates; describe_template says the rest of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from cdesk.contract.catalog import Catalog, Template
from cdesk.core.identity import Caller

MAX_LIST: Final = 3_000
"""Characters of the whole list. What does not fit with parameters and a phrase for each is listed
with shorter phrases, without any, or in the end by name.
"""
PHRASES: Final = (72, 64, 56, 48, 40, 32)
"""Characters of a phrase, in the order in which they are tried."""


def allowed_templates(catalog: Catalog, caller: Caller) -> list[Template]:
    """The templates that `caller` may ask."""
    return [
        template
        for template in catalog.templates.values()
        if template.scope != "org" or caller.is_analyst
    ]


def template_list(templates: Iterable[Template], caller: Caller) -> str:
    """One line for each template, or family of templates; the richest form within MAX_LIST."""
    single: list[Template] = []
    families: dict[str, list[Template]] = {}
    for template in templates:
        if not template.listed:
            continue
        if template.family is None:
            single.append(template)
        else:
            families.setdefault(template.family, []).append(template)
    forms = [
        *([_with_phrase(template, length, caller) for template in single] for length in PHRASES),
        [_signature(template) for template in single],
        [", ".join(template.name for template in single)],
    ]
    tail = [_family(text, members, caller) for text, members in families.items()]
    for lines in forms:
        listed = "\n".join(f"- {line}" for line in (*lines, *tail) if line)
        if len(listed) <= MAX_LIST:
            break
    return listed


def _with_phrase(template: Template, length: int, caller: Caller) -> str:
    return (
        f"{_signature(template)}{_scope(template, caller)}: {phrase(template.description, length)}"
    )


def _scope(template: Template, caller: Caller) -> str:
    asking = template.as_asked_by(caller)
    sees_everyone = template.scope != "customer" and asking.is_analyst
    return " [all]" if sees_everyone else ""


def _signature(template: Template) -> str:
    return f"{template.name}({_names([template])})"


def _names(templates: Sequence[Template]) -> str:
    """The parameters that all of these have; `?` behind those that one of them does without."""
    first, *others = templates
    parts = []
    for parameter in first.parameters:
        same = [
            other for item in others for other in item.parameters if other.name == parameter.name
        ]
        if parameter.type != "timezone" and len(same) == len(others):
            optional = any(not item.required for item in (parameter, *same))
            parts.append(parameter.name + ("?" if optional else ""))
    return ", ".join(parts)


def phrase(description: str, length: int) -> str:
    """How a description begins, up to `length` characters, cut where a part of it ends (an item
    of a list is none).
    """
    text = description.removeprefix("For analysts: ").strip()
    if len(text) <= length:
        return text.rstrip(".")
    head = text[: length + 1]
    ends = [match.start() for match in re.finditer(r"[.;](?= )| \(", head)]
    if ends and ends[-1] >= length // 3:
        return head[: ends[-1]]
    return head[: head.rindex(" ") if " " in head else length].rstrip(",") + "…"


def _family(text: str, members: Sequence[Template], caller: Caller) -> str:
    scope = _scope(members[0], caller)
    return f"{_folded([member.name for member in members])}({_names(members)}){scope}: {text}"


def _folded(names: Sequence[str]) -> str:
    """Names of the form a_c, a_d, b_c, b_d as (a|b)_(c|d); what has no fellows as it is."""
    by_end: dict[str, list[str]] = {}
    for name in names:
        begin, _, end = name.partition("_")
        by_end.setdefault(end, []).append(begin)
    by_begins: dict[tuple[str, ...], list[str]] = {}
    for end, begins in by_end.items():
        by_begins.setdefault(tuple(begins), []).append(end)
    return ", ".join(
        "_".join(part for part in (_either(begins), _either(ends)) if part)
        for begins, ends in by_begins.items()
    )


def _either(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({'|'.join(parts)})"
