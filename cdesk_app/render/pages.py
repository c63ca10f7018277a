"""The pages' templates, with everything that goes into them escaped."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

STATIC: Final = {
    "card.js": "text/javascript",
    "dashboard.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}


_PAUSE: Final = "\f"
"""Where a page may be sent so far; no text of a page is that (words.shown_text)."""
_UNIT: Final = re.compile(r"(?<=\d) (?=(?:%|ms|s|GiB|MiB|KiB|B)(?!\w))")


@cache
def environment() -> Environment:
    """Autoescape is on for every template, whatever its name."""
    made = Environment(
        loader=PackageLoader("cdesk_app.render", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["tight"] = tight
    return made


def tight(text: str) -> str:
    """The text with numbers and their units on one line: `18 %`."""
    return _UNIT.sub("\u00a0", text)


def page(name: str, **values: Any) -> str:
    """The HTML of a template."""
    return environment().get_template(name).render(asset=asset, **values)


def page_parts(name: str, **values: Any) -> Iterator[str]:
    """The HTML of a template, piece by piece: up to each `{{ pause }}`, and the rest."""
    piece: list[str] = []
    made = environment().get_template(name).generate(asset=asset, pause=_PAUSE, **values)
    for text in made:
        if text == _PAUSE:
            yield "".join(piece)
            piece.clear()
        else:
            piece.append(text)
    yield "".join(piece)


@cache
def static(name: str) -> bytes:
    """One of our own files. KeyError for a name that is none of STATIC."""
    if name not in STATIC:
        raise KeyError(name)
    return files("cdesk_app.render").joinpath("static", name).read_bytes()


@cache
def asset(name: str) -> str:
    """The address of one of our own files, another one when its content changes."""
    return f"/static/{name}?v={hashlib.sha256(static(name)).hexdigest()[:12]}"
