"""Text: the passes of the list over it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

from cdesk.contract.redaction.checks import CHECKS
from cdesk.contract.redaction.lookalikes import as_meant
from cdesk.contract.redaction.rules import CARD, Rule, compiled
from cdesk.contract.redaction.signs import signs_of


@cache
def _signed(rules: tuple[Rule, ...], signs: int) -> tuple[Rule, ...]:
    """Those that may match a text with these signs."""
    return tuple(rule for rule in rules if not rule.needs or rule.needs & signs)


def _is_hinted(rule: Rule, lower: str) -> bool:
    for hint in rule.hints:
        if hint in lower:
            return True
    return not rule.hints


def _run(rules: tuple[Rule, ...], text: str, lower: str, signs: int) -> str:
    """One pass over the text."""
    active = [
        (rule, compiled(rule.pattern)) for rule in _signed(rules, signs) if _is_hinted(rule, lower)
    ]
    if not any(rule.label for rule, _ in active):
        return text
    nexts = [pattern.search(text) for _, pattern in active]
    parts: list[str] = []
    place = 0
    while True:
        first: re.Match[str] | None = None
        for index, (_, pattern) in enumerate(active):
            found = nexts[index]
            if found is not None and found.start() < place:
                found = nexts[index] = pattern.search(text, place)
            if found is not None and (first is None or found.start() < first.start()):
                first = found
        if first is None:
            break
        end = first.end()
        parts += (text[place : first.start()], _become(active, first.group()))
        if end == first.start():  # no pattern matches nothing, but a loop must end
            parts.append(text[end : end + 1])
            end += 1
        place = end
    parts.append(text[place:])
    return "".join(parts)


def _become(active: Sequence[tuple[Rule, re.Pattern[str]]], match: str) -> str:
    for rule, pattern in active:
        whole = pattern.fullmatch(match)
        if whole is not None and (not rule.check or CHECKS[rule.check](match)):
            if not rule.label:
                return match
            return whole.expand(rule.becomes) if rule.becomes else f"[{rule.label}]"
    return match


_SHORT: Final = 80
_MOST_KNOWN: Final = 4_096
_harmless: dict[tuple[str, bool], None] = {}
"""Short texts in which nothing was found: names of models, tools and projects come again and again.
No credential is ever kept here.
"""


def redact_text(text: str, *, personal: bool = False) -> str:
    """The text with credentials, and where `personal` personal data, replaced by what they were.

    Letters that only look like those of a name are read as what they are meant for. They stay where
    nothing is found behind them, but not in what others look at.
    """
    if not text.isascii() and (plain := as_meant(text)) is not text:
        if personal:
            text = plain
        elif (found := _redact(plain, False)) != plain:
            return found
    return _redact(text, personal)


def _redact(text: str, personal: bool) -> str:
    if len(text) > _SHORT:
        return _passed(text, personal)
    if (text, personal) in _harmless:
        return text
    redacted = _passed(text, personal)
    if redacted == text:
        if len(_harmless) >= _MOST_KNOWN:
            _harmless.clear()
        _harmless[text, personal] = None
        return text
    return redacted


def _passed(text: str, personal: bool) -> str:
    lower = text.lower()
    signs = signs_of(lower, text.encode("utf-8", "surrogatepass"))
    if not signs and not personal:
        return text
    # The list is read when a text first needs it: a server that starts has none yet.
    from cdesk.contract.redaction.passes import CARDS, CREDENTIALS, NUMBERS, PEOPLE

    if signs:
        text = _run(CREDENTIALS, text, lower, signs)
        if signs & CARD:
            text = _run(CARDS, text, text.lower(), 0)
    if personal:
        for rules in (PEOPLE, NUMBERS):
            text = _run(rules, text, text.lower(), 0)
    return text
