"""How long the parts of lines are in histories that people have published, and texts of such
lengths (docs/capture.md says whose, and what was left out).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

_AT: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""Shares of all that are at most as long as the numbers below, in bytes of JSON."""
_BYTES: Final = {
    "question": (1, 25, 43, 96, 245, 1_416, 6_436, 15_187, 60_157),
    "text": (4, 41, 62, 100, 220, 807, 1_326, 2_691, 6_402),
    "thinking": (9, 54, 80, 150, 437, 1_101, 1_901, 4_061, 10_279),
    "signature": (244, 304, 340, 432, 804, 1_720, 2_972, 8_696, 26_224),
    "input Bash": (22, 70, 86, 113, 169, 283, 464, 995, 4_677),
    "input Edit": (117, 296, 496, 889, 1_649, 3_135, 4_652, 8_825, 16_082),
    "input Grep": (31, 85, 114, 135, 155, 174, 186, 211, 246),
    "input Write": (74, 599, 2_404, 4_890, 9_012, 13_933, 18_013, 25_447, 39_871),
    "input other": (2, 35, 37, 200, 614, 1_069, 1_662, 6_466, 19_098),
    "content Bash": (2, 11, 69, 355, 1_149, 3_116, 5_810, 16_886, 30_784),
    "content Edit": (55, 100, 110, 123, 218, 1_131, 1_782, 4_275, 10_186),
    "content Grep": (12, 18, 82, 447, 2_044, 4_648, 7_709, 16_731, 20_615),
    "content Read": (22, 941, 1_487, 2_747, 5_645, 17_616, 29_051, 58_662, 88_220),
    "content Write": (63, 81, 92, 106, 137, 7_779, 13_489, 22_870, 25_904),
    "content other": (16, 24, 24, 162, 253, 2_947, 7_042, 16_957, 76_104),
    "detail Bash": (45, 79, 124, 419, 1_233, 3_297, 5_996, 22_121, 168_684),
    "detail Edit": (107, 4_680, 9_560, 19_645, 36_455, 46_721, 57_234, 81_671, 115_580),
    "detail Grep": (57, 72, 147, 527, 2_150, 5_694, 11_455, 34_499, 275_442),
    "detail Read": (139, 703, 1_144, 2_157, 4_619, 14_206, 23_404, 47_799, 71_030),
    "detail Write": (195, 1_173, 2_574, 6_051, 12_867, 23_697, 34_846, 48_800, 68_486),
    "detail other": (12, 67, 109, 211, 1_411, 4_957, 11_000, 25_735, 76_220),
    "patch": (138, 319, 429, 648, 1_150, 2_242, 3_679, 7_910, 15_214),
}
"""By part: what a person writes, blocks of an answer, what a tool is given, what it gives back
(`content`), and what the client keeps of that once more (`detail`; of an edit the file before it).
"""
TOOLS: Final = (
    ("Bash", 0.3),
    ("Read", 0.24),
    ("Edit", 0.21),
    ("Grep", 0.13),
    ("mcp__cdesk__get_context", 0.054),
    ("mcp__github__list_issues", 0.036),
    ("WebSearch", 0.018),
    ("Write", 0.012),
)
"""Shares of tools' calls; three stand for all others."""
STEPS_RATE: Final = 1 / 7.1
"""To a question there are 7.6 answers."""
THINKING: Final = 0.6
TEXT_BESIDE_CALL: Final = 0.46
"""Shares of answers with these blocks; over half of all have a text."""

_LINES: Final = (
    "def total(rows: Sequence[Row], *, until: datetime) -> Decimal:",
    '    """What is open at that time, in the currency of the account."""',
    "    found = Decimal(0)",
    "    for row in rows:",
    '        if row.booked_at > until or row.state != "open":',
    "            continue",
    "\t\tfound += row.amount * RATES[row.currency]",
    "\treturn found.quantize(CENT)",
    "",
)
_CODE: Final = "\n".join(_LINES * 1_500)
_OTHER_CODE: Final = _CODE.replace("What is open at that time,", "What is open then – its sum,")
"""As long, and no ASCII, which takes longer to decode: nearly half of all text is that."""
_NUMBERED: Final = "\n".join(f"{at % 1_000:6d}→{line}" for at, line in enumerate(_LINES * 1_500))
_SIGNED: Final = "EpQBCkYIBxgCKkD3vXw9" * 2_000
"""Whence texts are cut: files, files as they are shown, and what was signed."""
_BYTES_OF_CODE: Final = 1.06
_BYTES_OF_NUMBERED: Final = 1.10
"""Of JSON, for each character."""


class PublishedLengths:
    """Draws texts as long as those that were published."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def text(self, part: str) -> str:
        """A text for one of these parts."""
        size = _at(part, self._rng.random())
        return _SIGNED[:size] if part == "signature" else self._cut(size)

    def given(self, tool: str, path: str | None) -> dict[str, Any]:
        """What a tool is given."""
        if tool == "Read":
            return {"file_path": path}
        kind = _kind(tool)
        text = self._cut(_at(f"input {kind}", self._rng.random()))
        if tool == "Edit":
            half = len(text) // 2
            return {"file_path": path, "old_string": text[:half], "new_string": text[half:]}
        if tool == "Write":
            return {"file_path": path, "content": text}
        return {{"Bash": "command", "Grep": "pattern"}.get(kind, "query"): text}

    def result(self, tool: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """What a tool gives back, and what the client keeps beside it; both are long together."""
        rank, kind = self._rng.random(), _kind(tool)
        size = _at(f"content {kind}", rank)
        text = _NUMBERED[: int(size / _BYTES_OF_NUMBERED)] if tool == "Read" else self._cut(size)
        kept = self._cut(_at(f"detail {kind}", rank))
        path = given.get("file_path")
        if tool == "Read":
            of_file = {"filePath": path, "content": kept, "numLines": kept.count("\n") + 1}
            return text, {"type": "text", "file": {**of_file, "startLine": 1}}
        if tool == "Edit":
            patch = {"oldStart": 1, "newStart": 1, "lines": self._patch()}
            strings = {"oldString": given["old_string"], "newString": given["new_string"]}
            return text, {
                "filePath": path, **strings, "originalFile": kept, "structuredPatch": [patch],
                "userModified": False, "replaceAll": False,
            }  # fmt: skip
        if tool == "Write":
            return text, {"type": "create", "filePath": path, "content": kept}
        if tool == "Bash":
            return text, {"stdout": kept, "stderr": "", "interrupted": False, "isImage": False}
        return text, {"mode": "content", "numFiles": 0, "filenames": [], "content": kept}

    def _patch(self) -> list[str]:
        lines = self._cut(_at("patch", self._rng.random())).split("\n")
        third = len(lines) // 3
        signs = " " * third + "-" * third + "+" * (len(lines) - 2 * third)
        return [sign + line for sign, line in zip(signs, lines, strict=True)]

    def _cut(self, size: int) -> str:
        """So many bytes of JSON, nearly."""
        text = _OTHER_CODE if self._rng.random() < 0.5 else _CODE
        length = int(size / _BYTES_OF_CODE)
        start = self._rng.randrange(len(text) - length)
        return text[start : start + length]


def _kind(tool: str) -> str:
    return tool if f"content {tool}" in _BYTES else "other"


def _at(part: str, rank: float) -> int:
    """The length that a share `rank` of all have at most; between two that are known, by ratio."""
    known = _BYTES[part]
    above = next((place for place, share in enumerate(_AT) if share > rank), len(_AT))
    if above == len(_AT):
        return known[-1]
    low, high = known[above - 1], known[above]
    share = (rank - _AT[above - 1]) / (_AT[above] - _AT[above - 1])
    return int(low * (high / low) ** share)
