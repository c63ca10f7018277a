"""Text that somebody wrote, made harmless for a terminal: nothing in it moves the cursor, changes
the window, turns the direction of what is read or hides.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but for tab and line feed, delete, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction
    "\u200b\u2028\u2029\u2060-\u2065\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # unseen
    "\ud800-\udfff]"
)


def plain(text: str) -> str:
    r"""The text with control, C1, bidirectional and unseen characters as escapes: `\x1b`, `\u202e`.
    Tabs and line feeds stay.
    """
    return _UNSAFE.sub(_escape, text)


def plain_json(encoded: bytes) -> bytes:
    """The same JSON document, with those characters inside its texts as JSON's own escapes."""
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded
    return _UNSAFE.sub(_json_escape, encoded.decode("utf-8")).encode("utf-8")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


def _json_escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:  # JSON's own white space between values
        return match[0]
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
