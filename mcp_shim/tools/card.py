"""The card inside the conversation (MCP Apps, SEP-1865, revision 2026-01-26): one page that a
client shows beside the answer of get_result, and what goes to it.

The page is whole in itself: script and style stand in it by their hash, nothing is fetched. What it
shows comes by the client's bridge: the result as the model has it, and the chart that the worker
painted, in `_meta`, which no model reads.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from cdesk.core.identity import customer_key

Json = dict[str, Any]

CARD_URI: Final = "ui://cdesk/card"
MIME_TYPE: Final = "text/html;profile=mcp-app"
EXTENSION: Final = "io.modelcontextprotocol/ui"
"""What a client names among its extensions when it shows such pages."""
TOOL_META: Final[Json] = {"ui": {"resourceUri": CARD_URI}}
CHART_META: Final = "cdesk/chart"
RESOURCE_META: Final[Json] = {"ui": {"csp": {}, "prefersBorder": True}}
MAX_PICTURE: Final = 400_000
"""Bytes of one picture beyond which an answer goes without."""


@cache
def card_page() -> str:
    """The page, with a policy that lets its own script and style run and nothing else."""
    from importlib.resources import files  # not before a client asks: a start costs less

    folder = files("mcp_shim.tools").joinpath("page")
    html, script, style = (
        folder.joinpath(name).read_text(encoding="utf-8")
        for name in ("card.html", "card.js", "card.css")
    )
    policy = (
        f"default-src 'none'; script-src '{_source(script)}'; style-src '{_source(style)}'; "
        "img-src data:"
    )
    return html.replace("{policy}", policy).replace("{style}", style).replace("{script}", script)


def shows_cards(capabilities: object) -> bool:
    """Whether a client with these capabilities shows pages of tools."""
    extensions = getattr(capabilities, "extensions", None) or {}
    offered = extensions.get(EXTENSION)
    if not isinstance(offered, Mapping):
        return False
    types = offered.get("mimeTypes")
    return types is None or MIME_TYPE in types


def chart_meta(charts: Path, customer: str, artifact_id: str) -> Json | None:
    """The chart of a result, light and dark, as the page takes it; None where it is not painted
    (yet).
    """
    found = {
        theme: _read(charts, customer, f"{artifact_id}.{theme}.svg") for theme in ("light", "dark")
    }
    if any(picture is None for picture in found.values()):
        return None
    return {CHART_META: {theme: picture.decode() for theme, picture in found.items() if picture}}


def chart_image(charts: Path, customer: str, artifact_id: str) -> Json | None:
    """The chart as image content for a model; None where it is not painted (yet)."""
    picture = _read(charts, customer, f"{artifact_id}.png")
    if picture is None:
        return None
    return {
        "type": "image",
        "data": base64.b64encode(picture).decode(),
        "mimeType": "image/png",
    }


def _read(charts: Path, customer: str, name: str) -> bytes | None:
    try:
        content = (charts / customer_key(customer) / name).read_bytes()
    except OSError:
        return None
    return content if len(content) <= MAX_PICTURE else None


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
