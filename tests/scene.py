"""The marks of a Vega-Lite specification where the charting engine puts them: what a test of a
chart's meaning reads, in place of a picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import vl_convert

from cdesk_app.render.vega import Json, ThemeName, themed


@dataclass(frozen=True)
class Mark:
    """One item of a picture. `kind`: rect, text, line, area, rule, symbol; `role`: mark, axis-label,
    axis-grid, legend-label, …; `look`: what else the engine says of it. Lines and areas are an item
    for each of their points.
    """

    kind: str
    role: str
    x: float
    y: float
    look: Json

    @property
    def wide(self) -> float:
        return self._across("width", "x2", "x")

    @property
    def tall(self) -> float:
        return self._across("height", "y2", "y")

    def _across(self, size: str, end: str, begin: str) -> float:
        at = self.look.get(begin, 0.0)
        return float(self.look.get(size, self.look.get(end, at) - at))

    @property
    def right(self) -> float:
        return self.x + self.wide

    @property
    def bottom(self) -> float:
        return self.y + self.tall

    @property
    def text(self) -> str:
        return str(self.look.get("text", ""))

    @property
    def is_seen(self) -> bool:
        return self.look.get("opacity", 1) != 0


@dataclass(frozen=True)
class Scene:
    """A picture's marks; x and y count from the upper left corner of the plot."""

    width: float
    height: float
    marks: list[Mark]

    def of(self, kind: str, role: str = "mark") -> list[Mark]:
        return [mark for mark in self.marks if (mark.kind, mark.role) == (kind, role)]

    def labels(self, role: str = "axis-label") -> list[str]:
        return [mark.text for mark in self.of("text", role) if mark.is_seen and mark.text]


def scene_of(spec: Json, theme: ThemeName = "light") -> Scene:
    """What is drawn of a specification."""
    drawn = vl_convert.vegalite_to_scenegraph(themed(spec, theme), allowed_base_urls=[])
    root = drawn["scenegraph"]
    return Scene(drawn["width"], drawn["height"], list(_marks(root, 0.0, 0.0, "")))


def _marks(node: Any, left: float, top: float, within: str) -> Iterator[Mark]:
    role = node.get("role", "")
    # An axis's or a legend's parts are named by themselves; what is in a mark's group is a mark.
    role = within if role in ("scope", "") else role
    for item in node.get("items", ()):
        x, y = left + item.get("x", 0.0), top + item.get("y", 0.0)
        if node.get("marktype") != "group":
            yield Mark(node["marktype"], role, x, y, item)
            continue
        for part in item.get("items", ()):
            yield from _marks(part, x, y, role)
