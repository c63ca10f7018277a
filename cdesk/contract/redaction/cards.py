"""Payment cards: credentials as much as personal data."""

from __future__ import annotations

from cdesk.contract.redaction.rules import DASHES, SPACES, STAND_IN, Rule

_CARD_GAP = f"(?:[{SPACES}{DASHES}+./_-]|%20){{0,3}}"
_CARD = (
    rf"(\b|_)(?:[2-6][0-9]{{3}}(?:{_CARD_GAP}[0-9]{{4}}){{3}}(?:{_CARD_GAP}[0-9]{{3}})?\b"
    rf"|3[0-9]{{3}}{_CARD_GAP}[0-9]{{6}}{_CARD_GAP}[0-9]{{4,5}}\b|[2-6][0-9]{{12,18}}\b)"
)
UUID = r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b"
CARDS: tuple[Rule, ...] = (
    STAND_IN,
    Rule("", UUID),
    Rule("", r"\b[0-9]+\.[0-9]{9,}\b"),
    Rule(
        "card",
        r"(?i)(\b(?:(?:credit|debit)[ _-]?card|card|kreditkarte|karte|carte(?: bancaire)?|visa|ma"
        r"stercard|"
        r"amex|american express|pan)(?:[ _-]?(?:number|num|no|nr|nummer|numéro))?\.?[\"']?"
        rf"(?:[ \t]+(?:is|ist|est|ending))?[ \t:=#\"']{{0,6}})(?:[0-9]{{4}}(?:{_CARD_GAP}[0-9]{{4"
        rf"}}){{3}}|"
        rf"[0-9]{{4}}{_CARD_GAP}[0-9]{{6}}{_CARD_GAP}[0-9]{{4,5}}|[0-9]{{13,19}})\b",
        r"\1[card]",
    ),
    Rule("card", _CARD, r"\1[card]", check="card"),
)
