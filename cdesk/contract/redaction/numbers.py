"""Personal data: numbers."""

from __future__ import annotations

from collections.abc import Sequence

from cdesk.contract.redaction.cards import UUID
from cdesk.contract.redaction.people import PHONE_GAP
from cdesk.contract.redaction.rules import DASHES, SEP, SPACES, STAND_IN, Rule

_IBAN_LENGTHS: Sequence[tuple[int, str]] = (
    (15, "NO"),
    (16, "BE"),
    (18, "DK|FI|FO|GL|NL|SD|FK"),
    (19, "MK|SI"),
    (20, "AT|BA|EE|KZ|LT|LU|XK|MN"),
    (21, "CH|HR|LI|LV"),
    (22, "BG|BH|CR|DE|GB|GE|IE|ME|RS|VA"),
    (23, "AE|GI|IL|IQ|TL|OM|SO"),
    (24, "AD|CZ|ES|MD|PK|RO|SA|SE|SK|TN|VG"),
    (25, "LY|PT|ST"),
    (26, "IS|TR"),
    (27, "BI|DJ|FR|GR|IT|MC|MR|SM"),
    (28, "AL|AZ|BY|CY|DO|GT|HU|LB|NI|PL|SV"),
    (29, "BR|EG|PS|QA|UA"),
    (30, "JO|KW|MU|YE"),
    (31, "MT|SC"),
    (32, "LC"),
    (33, "RU"),
)
_IBAN = "|".join(
    rf"(?:{countries})[0-9]{{2}}(?:{SEP}?[A-Za-z0-9]){{{length - 4}}}"
    for length, countries in _IBAN_LENGTHS
)
_YEAR = "(?:19|20)[0-9]{2}"
_EDGE = "(^|[^0-9A-Za-z_.,:/+-])"
NUMBERS: tuple[Rule, ...] = (
    STAND_IN,
    Rule("", UUID),
    Rule("", r"(?i)\bhttps?://[^ \t\r\n\"'<>]+"),
    Rule(
        "",
        rf"[^0-9A-Za-z]?\b{_YEAR}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,2}}(?:[T _-][0-9]{{2}}[:.-]?[0-9]"
        rf"{{2}}(?:[:.-]?[0-9]{{2}})?(?:[.,][0-9]+)?(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?)?",
    ),
    Rule("", rf"[^0-9A-Za-z]?\b[0-3]?[0-9][ ./-][0-3]?[0-9][ ./-]{_YEAR}\b"),
    Rule("", rf"[^0-9A-Za-z]?\b{_YEAR}[0-9]{{4}}(?:[-_T]?[0-9]{{4,6}})?Z?\b"),
    Rule("", rf"\b{_YEAR}[ ]?(?:[-/]|–|—)[ ]?{_YEAR}\b"),
    Rule("", r"(?i)\b(?:isbn|issn|ean|doi|pmid|orcid)(?:-1[03])?:?[ ]*[0-9][0-9 -]{6,18}[0-9xX]\b"),
    Rule("", r"\b97[89][- ]?[0-9](?:[- ]?[0-9]){8}[- ]?[0-9X]\b"),
    Rule("", r"\b[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?\b"),
    Rule(
        "",
        r"(?i)\b(?:sn|s/n|serial|part|p/n|pn|sku|model|item|order|ref|rev|art(?:ikel)?|ticket|inv"
        r"oice|rechnung|tracking|batch|lot|build)(?:[ -]?(?:no|nr|number|num|nummer|id))?[.:# ]{1"
        r",3}[0-9][0-9A-Z-]*",
    ),
    Rule("iban", rf"(?i)\b(?:{_IBAN})\b", check="iban"),
    Rule(
        "ssn",
        rf"\b(?:00[1-9]|0[1-9][0-9]|[1-578][0-9]{{2}}|6(?:[0-57-9][0-9]|6[0-57-9]))[{SPACES}"
        rf"{DASHES}.-](?:0[1-9]|[1-9][0-9])"
        rf"[{SPACES}{DASHES}.-](?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{{2}}|[1-9][0-9]{{3}})\b",
    ),
    Rule("ssn", r"\b9[0-9]{2}-(?:5[0-9]|6[0-5]|7[0-9]|8[0-8]|9[0-24-9])-[0-9]{4}\b"),
    Rule(
        "id_number",
        r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[A-D]\b",
    ),
    Rule(
        "id_number",
        r"\b[12][ ]?[0-9]{2}[ ]?(?:0[1-9]|1[0-2]|[2-9][0-9])[ ]?(?:[0-9]{2}|2[AB])[ ]?[0-9]{3}[ ]"
        r"?[0-9]{3}[ ]?[0-9]{2}\b",
        check="nir",
    ),
    Rule("id_number", r"\b[1-9][0-9][ ][0-9]{3}[ ][0-9]{3}[ ][0-9]{3}\b", check="mod11_10"),
    Rule("id_number", r"\b[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}\b"),
    Rule("id_number", r"\b756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}\b"),
    Rule("id_number", r"(?i)\b[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]\b"),
    Rule("id_number", r"\b[0-9]{8}-?[A-HJ-NP-TV-Z]\b", check="dni"),
    # Phones: international, then North American, then national ones that begin with 0.
    Rule(
        "phone",
        rf"(^|[^0-9A-Za-z_)+.])(?:\+|＋|%2[Bb])[ ]?(?:[1-9][0-9]{{8,14}}|[1-9][0-9]{{0,3}}(?:"
        rf"{PHONE_GAP}{{1,3}}[0-9]{{1,12}}){{1,7}})\b",
        r"\1[phone]",
        check="phone",
    ),
    Rule(
        "phone",
        rf"{_EDGE}(?:00[2-9][0-9]{{9,12}}|001[2-9][0-9]{{9}}|00[1-9][0-9]{{0,2}}(?:{PHONE_GAP}{{"
        rf"1,3}}[0-9]{{1,12}}){{1,7}})\b",
        r"\1[phone]",
        check="phone",
    ),
    Rule(
        "phone",
        rf"(?:\b1[{SPACES}{DASHES}.-]{{1,2}})?(?:\([2-9][0-9]{{2}}\)[{SPACES}{DASHES}.-]{{0,2"
        rf"}}|\b[2-9][0-9]{{2}}[{SPACES}{DASHES}./-])"
        rf"[2-9][0-9]{{2}}[{SPACES}{DASHES}.-][0-9]{{4}}\b(?:[ ]?(?:x|ext\.?|extension)[ ]?[0-9"
        rf"]{{1,5}}\b)?",
    ),
    Rule(
        "phone",
        rf"(^|[^0-9A-Za-z_.,:/+-])(?:\(0[1-9][0-9]{{0,4}}\){PHONE_GAP}{{0,3}}[0-9]{{1,8}}|0[1-9]"
        rf"[0-9]{{0,4}}{PHONE_GAP}{{1,3}}[0-9]{{1,8}})"
        rf"(?:{PHONE_GAP}{{1,3}}[0-9]{{1,8}}){{0,4}}\b",
        r"\1[phone]",
        check="national",
    ),
    Rule("phone", rf"{_EDGE}0[1-9][0-9]{{8,9}}\b", r"\1[phone]"),
    Rule("phone", r"０[０-９]{1,4}[-‐−ー－][０-９]{1,4}[-‐−ー－][０-９]{3,4}"),
    # Words with digits in them: names of things, versions, hashes, tags.
    Rule("", r"\b[A-Za-z_][A-Za-z0-9_]*(?:[-._][A-Za-z0-9_]+)+"),
    Rule("", r"\b[0-9]+[A-Za-z_][A-Za-z0-9_]*(?:[-._][A-Za-z0-9_]+)*"),
)
