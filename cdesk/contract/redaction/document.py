"""Documents as JSON has them: texts, names of keys, numbers, keys that are data themselves."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from cdesk.contract.redaction.checks import is_card
from cdesk.contract.redaction.keys import key_label
from cdesk.contract.redaction.lookalikes import as_meant
from cdesk.contract.redaction.signs import signs_of
from cdesk.contract.redaction.text import redact_text

_OF = (
    r"(?P<of>(?:param(?:eter)?|option|field|header|prop(?:erty)?|attr(?:ibute)?|env(?:ironment)?|"
    r"var(?:iable)?|setting|config|input|item|entry|metadata|tag|secret|credential|form)[_-]?)?"
)
_NAMING = re.compile(
    _OF + r"(?:name|key|header|field|label|param|parameter|property|k|n|id|(?P<type>type))\Z"
)
_VALUED = re.compile(
    r"(?P<of>[a-z]{2,20}[_-]?)??(?:value|val|v|values|content|data|default|text)\Z"
)
_ANY_VALUE = (
    "default",
    "string",
    "secret",
    "current",
    "new",
    "raw",
    "plain",
    "initial",
    "resolved",
)
"""What a value may be called beside what its name is: `stringValue`."""
_NO_NAME_AS_TYPE = ("secret:token", "secret:key", "secret:security_code", "secret:secret", "name")
"""Labels that are words for kinds of things as well: `{"type": "token", "value": "if"}`."""
_STANDS_IN = re.compile(r"\[[a-z_:0-9 ]+\]\Z")
_MAX_EMBEDDED = 65_536
_OUR_ID = re.compile(
    r"(?!.*(?:[0-9]-?){13})"
    r"(?:[0-9a-f]{16}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\Z"
)
"""A UUID or a query's hash, with too few digits in a row for a card: by itself no credential."""
_PLAIN_KEY = re.compile(r"(?=.{1,32}\Z)[a-z]{1,12}(?:_[a-z]{1,12})*\Z")
"""Words: no pattern of the list takes them for a token, and the list need not be read for them."""
_LEAST_CARD = 1e12
_NOTHING, _SECRET, _NAMES_ANOTHER = 0, 1, 2


def redact_value(value: Any, *, personal: bool = False) -> Any:
    """A document as JSON has it, redacted at any depth: texts, numbers that are cards, what a key's
    name gives away, keys themselves, and JSON inside a text. Where nothing is found the same object
    comes back.
    """
    if isinstance(value, str):
        return _redact_leaf(value, personal)
    if isinstance(value, dict):
        return _redact_object(value, personal)
    if isinstance(value, list | tuple):
        return _redact_array(value, personal)
    if isinstance(value, int | float) and not isinstance(value, bool) and _is_card_number(value):
        return "[card]"
    return value


def _is_card_number(value: int | float) -> bool:
    if not _LEAST_CARD <= value < 1e19 or value != int(value):
        return False
    return is_card(str(int(value)))


def _redact_leaf(text: str, personal: bool) -> str:
    if len(text) <= _MAX_EMBEDDED and text[:1] in "{[ \n\r\t" and text.strip()[-1:] in ("}", "]"):
        try:
            document = json.loads(text)
            if isinstance(document, dict | list):
                redacted = redact_value(document, personal=personal)
                if redacted is document:
                    return text
                compact = '": ' not in text and ", " not in text
                return json.dumps(
                    redacted, ensure_ascii=False, separators=(",", ":") if compact else None
                )
        except (ValueError, RecursionError):
            pass  # no JSON after all, or none that a reader would follow: it is text
    return redact_text(text, personal=personal)


def _redact_object(document: dict[Any, Any], personal: bool) -> dict[Any, Any]:
    named, of = "", ""
    for key, told in document.items():
        if not (isinstance(key, str) and isinstance(told, str)):
            continue
        if (naming := _NAMING.match(key.lower())) and (
            named := _told(naming, key_label(told, personal=personal))
        ):
            of = naming["of"] or ""
            break
    changed = False
    result: dict[Any, Any] = {}
    for key, item in document.items():
        label = key_label(key, personal=personal) if isinstance(key, str) else ""
        if not label and named and isinstance(key, str) and _is_value_of(key.lower(), of):
            label = named
        new = _stand_in(item, label) if label else item
        if new is item:
            new = redact_value(item, personal=personal)
        new_key = (
            redact_text(key, personal=personal) if isinstance(key, str) and len(key) > 5 else key
        )
        if new_key != key:
            new_key = _free(new_key, result, document)
        changed = changed or new is not item or new_key != key
        result[new_key] = new
    return result if changed else document


def _told(naming: re.Match[str], label: str) -> str:
    """The label that a pair's name gives to its value."""
    return "" if naming["type"] and label in _NO_NAME_AS_TYPE else label


def _is_value_of(key: str, of: str) -> bool:
    """Whether a key is the value beside a name: `parameterValue` beside `parameterKey`."""
    found = _VALUED.match(key)
    return found is not None and (
        not found["of"] or found["of"].rstrip("_-") in (of.rstrip("_-"), *_ANY_VALUE)
    )


def _free(key: str, *taken: dict[Any, Any]) -> str:
    """The key, numbered where it is taken: two addresses as keys are two values still."""
    number, free = 2, key
    while any(free in names for names in taken):
        free = f"{key} {number}"
        number += 1
    return free


def _redact_array(items: list[Any] | tuple[Any, ...], personal: bool) -> Any:
    if (
        len(items) == 2
        and isinstance(items[0], str)
        and (label := key_label(items[0], personal=personal))
    ):
        second = _stand_in(items[1], label)
        if second is not items[1]:
            return [items[0], second]
    result = [redact_value(item, personal=personal) for item in items]
    if all(new is old for new, old in zip(result, items, strict=True)):
        return items
    return result


def _stand_in(value: Any, label: str) -> Any:
    """`[label]` in place of a value that says something. Null, true and false, and what stands in
    already stay.
    """
    if value is None or isinstance(value, bool) or value in ("", [], {}):
        return value
    if isinstance(value, str) and _STANDS_IN.match(value):
        return value
    if isinstance(value, int | float) and label in (
        "name",
        "address",
        "secret:token",
        "secret:secret",
    ):
        return value  # a count or a length, as in {"token": 12}
    return f"[{label}]"


def redact_fields(value: Any) -> Any:
    """`redact_value(value)` without personal data, for where somebody waits: most values hold no
    credential, and a look at their keys, and at their texts all at once, shows it.
    """
    texts: list[str] = []
    if not _collect(value, texts):
        if not texts:
            return value
        text = as_meant(" ".join(texts))
        if "\\" not in text and not signs_of(text.lower(), text.encode("utf-8", "surrogatepass")):
            return value
    return redact_value(value)


@lru_cache(maxsize=4096)
def _key_shows(key: str) -> int:
    """What is to be done about a key: nothing as a rule."""
    if key_label(key):
        return _SECRET
    if _NAMING.match(key.lower()):
        return _NAMES_ANOTHER
    if _PLAIN_KEY.match(key):
        return _NOTHING
    return _SECRET if redact_text(key) != key else _NOTHING


def _collect(value: Any, texts: list[str]) -> bool:
    """Gather the texts of a document that may say something. True as soon as a key or a number
    gives a credential away.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            shows = _key_shows(key)
            if shows == _SECRET or (shows and isinstance(item, str) and key_label(item)):
                return True
            if isinstance(item, str):
                if len(item) not in (16, 36) or not _OUR_ID.match(item):
                    texts.append(item)
            elif isinstance(item, int | float):
                if item >= _LEAST_CARD and _is_card_number(item):
                    return True
            elif item is not None and _collect(item, texts):
                return True
    elif isinstance(value, str):
        texts.append(value)
    elif isinstance(value, list | tuple):
        if len(value) == 2 and isinstance(value[0], str) and key_label(value[0]):
            return True
        for item in value:
            if _collect(item, texts):
                return True
    elif isinstance(value, int | float) and value >= _LEAST_CARD:
        return _is_card_number(value)
    return False
