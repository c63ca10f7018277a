create or replace function CLAUDE_LOGS.ACTIVITIES.redact_document(document variant)
    returns variant
    language python
    immutable
    runtime_version = '3.11'
    handler = 'redact'
    as $$
# cdesk/contract/redaction

import json
import re
from functools import lru_cache
from typing import Any







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
_LEAST_CARD = 1e12
_LEAST_KEY = 13
"""Letters and digits of which a key can be a card or a token itself."""
_SECRET, _NAMES_ANOTHER, _IS_TEXT = 1, 2, 3


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
    if len(text) <= _MAX_EMBEDDED and text[:1] in "{[ \n\t" and text.strip()[-1:] in ("}", "]"):
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
    return _IS_TEXT if len(key) >= _LEAST_KEY or not key.isidentifier() else 0


def _collect(value: Any, texts: list[str]) -> bool:
    """Gather the texts of a document, names of keys included. True as soon as a key or a number
    gives a credential away.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if shows := _key_shows(key):
                if shows == _IS_TEXT:
                    texts.append(key)
                elif shows == _SECRET or (isinstance(item, str) and key_label(item)):
                    return True
            if isinstance(item, str):
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

def redact(value):
    return None if value is None else redact_value(value, personal=True)
$$;

create or replace function CLAUDE_LOGS.ACTIVITIES.redact_text(text varchar)
    returns varchar
    language python
    immutable
    runtime_version = '3.11'
    handler = 'redact'
    as $$
# cdesk/contract/redaction

import json
import re
from functools import lru_cache
from typing import Any







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
_LEAST_CARD = 1e12
_LEAST_KEY = 13
"""Letters and digits of which a key can be a card or a token itself."""
_SECRET, _NAMES_ANOTHER, _IS_TEXT = 1, 2, 3


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
    if len(text) <= _MAX_EMBEDDED and text[:1] in "{[ \n\t" and text.strip()[-1:] in ("}", "]"):
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
    return _IS_TEXT if len(key) >= _LEAST_KEY or not key.isidentifier() else 0


def _collect(value: Any, texts: list[str]) -> bool:
    """Gather the texts of a document, names of keys included. True as soon as a key or a number
    gives a credential away.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if shows := _key_shows(key):
                if shows == _IS_TEXT:
                    texts.append(key)
                elif shows == _SECRET or (isinstance(item, str) and key_label(item)):
                    return True
            if isinstance(item, str):
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

def redact(value):
    return None if value is None else redact_text(value, personal=True)
$$;

create or replace function CLAUDE_LOGS.ACTIVITIES.redact_json_text(text varchar)
    returns varchar
    language python
    immutable
    runtime_version = '3.11'
    handler = 'redact_json'
    as $$
# cdesk/contract/redaction

import json
import re
from functools import lru_cache
from typing import Any







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
_LEAST_CARD = 1e12
_LEAST_KEY = 13
"""Letters and digits of which a key can be a card or a token itself."""
_SECRET, _NAMES_ANOTHER, _IS_TEXT = 1, 2, 3


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
    if len(text) <= _MAX_EMBEDDED and text[:1] in "{[ \n\t" and text.strip()[-1:] in ("}", "]"):
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
    return _IS_TEXT if len(key) >= _LEAST_KEY or not key.isidentifier() else 0


def _collect(value: Any, texts: list[str]) -> bool:
    """Gather the texts of a document, names of keys included. True as soon as a key or a number
    gives a credential away.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if shows := _key_shows(key):
                if shows == _IS_TEXT:
                    texts.append(key)
                elif shows == _SECRET or (isinstance(item, str) and key_label(item)):
                    return True
            if isinstance(item, str):
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

import json


class Digits(float):
    """A number with the digits that it was written with."""


def number(text):
    made = Digits(text)
    made.text = text
    return made


def written(value):
    if isinstance(value, dict):
        parts = (json.dumps(key, ensure_ascii=False) + ":" + written(one) for key, one in value.items())
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, Digits):
        return value.text
    return json.dumps(value, ensure_ascii=False)


def redact_json(text):
    if text is None:
        return None
    try:
        document = json.loads(text, parse_float=number)
    except (ValueError, RecursionError):
        return '"[unreadable]"'
    return written(redact_value(document, personal=True))
$$;

create masking policy if not exists CLAUDE_LOGS.ACTIVITIES.mask_document as (value variant) returns variant ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_document(value) end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_document set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_document(value) end;

create masking policy if not exists CLAUDE_LOGS.ACTIVITIES.mask_landing as (value variant) returns variant ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else iff(invoker_role() = 'CDESK_TRANSFORMER', value, null) end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_landing set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else iff(invoker_role() = 'CDESK_TRANSFORMER', value, null) end;

create masking policy if not exists CLAUDE_LOGS.ACTIVITIES.mask_json_text as (value varchar) returns varchar ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_json_text(value) end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_json_text set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_json_text(value) end;

create masking policy if not exists CLAUDE_LOGS.ACTIVITIES.mask_text as (value varchar) returns varchar ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_text(value) end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_text set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_text(value) end;

create masking policy if not exists CLAUDE_LOGS.ACTIVITIES.mask_link as (value varchar) returns varchar ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_text(regexp_substr(value, '[^?#]*')) end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_link set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_text(regexp_substr(value, '[^?#]*')) end;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_document to role CDESK_TRANSFORMER;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_landing to role CDESK_TRANSFORMER;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_text to role CDESK_TRANSFORMER;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_json_text to role CDESK_TRANSFORMER;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_link to role CDESK_TRANSFORMER;

grant usage on function CLAUDE_LOGS.ACTIVITIES.redact_text(varchar) to role CDESK_TRANSFORMER;

create tag if not exists CLAUDE_LOGS.ACTIVITIES.sensitive allowed_values 'document';

alter tag CLAUDE_LOGS.ACTIVITIES.sensitive set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter schema CLAUDE_LOGS.ACTIVITIES set tag CLAUDE_LOGS.ACTIVITIES.sensitive = 'document';

alter table CLAUDE_LOGS.ACTIVITIES.landing modify column payload set masking policy CLAUDE_LOGS.ACTIVITIES.mask_landing force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_llm_events modify column session_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_llm_events modify column model set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_llm_events modify column question set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column session_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column tool set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column outcome set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column failed_in set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column error_code set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column message set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_file_events modify column session_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_file_events modify column path set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_sql_events modify column session_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_sql_events modify column error_code set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_events modify column link set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_events modify column _feature_json set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_artifacts modify column uri set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_insights modify column value set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_query_runs modify column params set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_query_runs modify column evidence set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.events_live modify column link set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter view CLAUDE_LOGS.ACTIVITIES.events_live modify column _feature_json set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.quarantined_events modify column detail set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter table CLAUDE_LOGS.ACTIVITIES.quarantined_events modify column raw set masking policy CLAUDE_LOGS.ACTIVITIES.mask_json_text force;

alter table CLAUDE_LOGS.ACTIVITIES.events modify column link set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter table CLAUDE_LOGS.ACTIVITIES.events modify column _feature_json set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.events modify column _session_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter table CLAUDE_LOGS.ACTIVITIES.events modify column _anonymous_customer_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.customer_stream modify column anonymous_customer_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.customer_stream modify column feature_json set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.customer_stream modify column link set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter table CLAUDE_LOGS.ACTIVITIES.insight_atoms modify column value set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.insight_atoms modify column value_text set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.artifact_retention modify column uri set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter table CLAUDE_LOGS.ACTIVITIES.provenance_chain modify column params set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.provenance_chain modify column evidence set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.context_cache modify column context set masking policy CLAUDE_LOGS.ACTIVITIES.mask_json_text force;

alter table CLAUDE_LOGS.ACTIVITIES.artifacts modify column uri set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

delete from CLAUDE_LOGS.ACTIVITIES.applied_setup where step = 'apply_masking';

insert into CLAUDE_LOGS.ACTIVITIES.applied_setup (step, fingerprint, applied_at) select 'apply_masking', '8f50990a4a24101c869ccc744ebe8185', sysdate();

