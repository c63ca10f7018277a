"""Vega-Lite specifications as SVG and PNG, drawn in this process; nothing is fetched."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

import orjson

from cdesk_app.render.locales import Formats
from cdesk_app.render.vega import Json, ThemeName, narrowed, themed

KEPT: Final = 200
PNG_SCALE: Final = 2.0

T = TypeVar("T", str, bytes)


class Painter:
    """Draws specifications; what was drawn lately is kept. Safe to use from several threads.

    One drawing at a time: the engine below has one interpreter. `formats`: how a locale writes
    numbers and months, English where it is left out.
    """

    def __init__(self, formats: Formats | None = None) -> None:
        self._formats = {} if formats is None else formats.chart()
        self._drawing = threading.Lock()
        self._kept: OrderedDict[tuple[str, bytes], str | bytes] = OrderedDict()
        self._lock = threading.Lock()

    def svg(self, spec: Json, theme: ThemeName, *, narrow: bool = False) -> str:
        """The chart as SVG with a transparent background, `narrow` for a phone."""
        import vl_convert

        full = themed(narrowed(spec) if narrow else spec, theme)
        return self._once(
            "svg",
            full,
            lambda: str(vl_convert.vegalite_to_svg(full, allowed_base_urls=[], **self._formats)),
        )

    def png(self, spec: Json, theme: ThemeName) -> bytes:
        """The chart as PNG at twice its size, on the theme's surface."""
        import vl_convert

        from cdesk_app.render.vega import THEMES

        full = themed(spec, theme)
        full["config"] = {**full["config"], "background": THEMES[theme].surface}
        return self._once(
            "png",
            full,
            lambda: bytes(
                vl_convert.vegalite_to_png(
                    full, scale=PNG_SCALE, allowed_base_urls=[], **self._formats
                )
            ),
        )

    def warm(self) -> None:
        """Start the engine, which takes about a second the first time."""
        self.svg({"data": {"values": [{"v": 1}]}, "mark": "point", "encoding": {}}, "light")

    def _once(self, kind: str, spec: Json, draw: Callable[[], T]) -> T:
        key = (kind, orjson.dumps(spec, option=orjson.OPT_SORT_KEYS))
        with self._lock:
            if (known := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return known  # type: ignore[return-value]
        with self._drawing:
            drawn = draw()
        with self._lock:
            self._kept[key] = drawn
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return drawn
