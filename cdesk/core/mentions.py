"""Finding a customer's name in text that somebody else wrote, or whose owner nobody knows."""

from __future__ import annotations

import json
import re
from typing import Final

import orjson

# What joins a longer name: ada@example.com stands in neither nada@example.com nor
# ada@example.com.au. Letters of other alphabets join nothing, as many of them write no spaces. An
# escape of JSON before the name ends in a letter and is none.
_BEFORE: Final = rb"(?:(?<!\w)|(?<=\\[nrtbf])|(?<=\\u[0-9a-f]{4}))(?<!\w[.+@-])"
_AFTER: Final = rb"(?!\w)(?![.+@-]\w)"


def spellings(customer: str) -> tuple[bytes, ...]:
    """How a customer may stand in a file: as it is, and as JSON writes it."""
    escaped = customer.encode("unicode_escape")
    texts = {customer.encode(), orjson.dumps(customer)[1:-1], escaped}
    texts.add(json.dumps(customer)[1:-1].encode())  # as who writes ASCII alone has it
    texts.add(re.sub(rb"\\x([0-9a-f]{2})", rb"\\u00\1", escaped))
    return tuple(sorted(texts))


class Mentions:
    """Tells whether a text names a customer, in any of its spellings and not as a part of a longer
    name.
    """

    def __init__(self, customer: str) -> None:
        self.spellings = spellings(customer)
        names = b"|".join(map(re.escape, self.spellings))
        self._pattern = re.compile(_BEFORE + b"(?:" + names + b")" + _AFTER)

    def in_bytes(self, data: bytes) -> bool:
        return any(text in data for text in self.spellings) and bool(self._pattern.search(data))

    def in_text(self, text: str) -> bool:
        return self.in_bytes(text.encode("utf-8", "surrogatepass"))
