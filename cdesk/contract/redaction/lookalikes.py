"""Letters that look like others, and characters that nobody sees, inside words: a name that is
written with them is the name still.

After Unicode's confusables (https://www.unicode.org/reports/tr39/): those whose prototype is one of
the letters that names of credentials are written in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

_LATIN = "".join(map(chr, (*range(65, 91), *range(97, 123))))
_FULLWIDTH = "".join(map(chr, (*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))))
_LOOKALIKES = (
    # Cyrillic
    (
        "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u0501\u04bb\u051b\u051d",
        "aeopcyxsijdhqw",
    ),
    ("\u043a\u043c\u0442\u043d\u0432\u0475\u04cf\u0433", "kmthbvlr"),
    (
        "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408\u050c\u051a\u051c",
        "ABEKMHOPCTYXSIJGQW",
    ),
    # Greek
    (
        "\u03b1\u03b5\u03bf\u03c1\u03bd\u03b9\u03ba\u03c5\u03c4\u03c7\u03c9\u03b3\u03b7\u03c3",
        "aeopvikutxwyno",
    ),
    (
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
        "ABEZHIKMNOPTYX",
    ),
    # Armenian, Latin of other shapes, small capitals
    (
        "\u0585\u057d\u0570\u0578\u0581\u0131\u0251\u0261\u026a\u0274\u0280\u028f\u1d00\u1d04\u1d05\u1d07\u1d0b\u1d0d\u1d0f\u1d18\u1d1b\u1d20\u1d21\ua731",
        "ouhngiaginryacdekmoptvws",
    ),
    (_FULLWIDTH, _LATIN),
    ("\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff3f\uff0d", "0123456789_-"),
    # Mathematical letters: thirteen alphabets one after another
    ("".join(map(chr, range(0x1D400, 0x1D400 + 52 * 13))), _LATIN * 13),
)
_UNSEEN = "".join(
    map(
        chr,
        (
            *(0xAD, 0x34F, 0x61C, 0x180E, 0xFEFF),
            *range(0x200B, 0x2010),
            *range(0x202A, 0x202F),
            *range(0x2060, 0x2070),
            *range(0xFE00, 0xFE10),
        ),
    )
)
WRITTEN = "".join(written for written, _ in _LOOKALIKES) + _UNSEEN
"""Every character that stands for another, and behind them those that stand for none."""
MEANT = "".join(meant for _, meant in _LOOKALIKES)
"""What the characters of `WRITTEN` stand for, in the same order."""
WORD = (
    "[A-Za-z0-9_\u00ad\u034f\u00c0-\u058f\u061c\u180e\u1d00-\u1d2b\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ua731\ufe00-\ufe0f\ufeff\uff0d\uff10-\uff19\uff21-\uff3a\uff3f\uff41-\uff5a"
    "\U0001d400-\U0001d6a3]+"
)
"""Letters, digits, and what may stand between them unseen."""
_ANY_LATIN = "[A-Za-z\uff21-\uff3a\uff41-\uff5a\U0001d400-\U0001d6a3]"
IS_LATIN = f"{_ANY_LATIN}[^\n]*{_ANY_LATIN}"
"""Where a word has two of these, the others in it are meant for such as well. A word that is
Cyrillic or Greek throughout stays what it is.
"""


_STYLED = "\uff21-\uff3a\uff41-\uff5a\U0001d400-\U0001d6a3"


def _as_class(characters: str) -> str:
    """The characters as the inside of a class, in ranges: a long list is slow to look through."""
    runs: list[list[int]] = []
    for code in sorted(map(ord, characters)):
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in runs)


ANY_WRITTEN = _as_class(WRITTEN)


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    shows = (f"[A-Za-z0-9_][{ANY_WRITTEN}]", f"[{ANY_WRITTEN}][A-Za-z0-9_]", f"[{_STYLED}]")
    return tuple(re.compile(pattern) for pattern in (f"[{ANY_WRITTEN}]", WORD, IS_LATIN, *shows))


@cache
def _meanings() -> Mapping[int, str | int | None]:
    return str.maketrans(WRITTEN[: len(MEANT)], MEANT, _UNSEEN)


def as_meant(text: str) -> str:
    """The text with the letters that are meant in place of those that look like them, in words of
    Latin letters; the same object where there are none.
    """
    if text.isascii():
        return text
    written, word, is_latin, *shows = _patterns()
    # Most text in another script has no word of two: that is seen in a fraction of the time.
    if not written.search(text) or not any(pattern.search(text) for pattern in shows):
        return text

    def meant(match: re.Match[str]) -> str:
        found = match.group()
        if found.isascii() or not is_latin.search(found):
            return found
        return found.translate(_meanings())

    plain = word.sub(meant, text)
    return text if plain == text else plain
