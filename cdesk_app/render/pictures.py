"""Charts painted ahead, for clients that show them inside the conversation:

    charts/<customer key>/<artifact_id>.<theme>.svg, .png

A customer's folder can be removed as a whole, and any picture can be painted again.
"""

from __future__ import annotations

import contextlib
import re
import time
from typing import Final, Protocol

from cdesk.artifacts.addresses import ID_PATTERN
from cdesk.artifacts.local import own_files
from cdesk.core.home import StateDirectory, make_private_folder, write_private
from cdesk.core.identity import customer_key
from cdesk_app.render.vega import THEMES, Json, ThemeName

KEEP_SECONDS: Final = 7 * 24 * 3600
"""As long as a ticket is remembered."""
_PICTURE: Final = re.compile(rf"{ID_PATTERN}\.(?:(?:{'|'.join(THEMES)})\.svg|png)\Z")


class Draws(Protocol):
    """What draws a chart: in this process (paint.py) or in one of its own (painting.py)."""

    def svg(self, spec: Json, theme: ThemeName) -> str: ...

    def png(self, spec: Json, theme: ThemeName) -> bytes: ...


def keep_pictures(
    home: StateDirectory, customer: str, artifact_id: str, spec: Json, painter: Draws
) -> None:
    """Paint and keep the chart of a result: SVG, light and dark, and PNG.

    Raises:
        OSError: they cannot be written, or what draws has ended. ValueError: the specification
        cannot be drawn.
    """
    folder = home.charts / customer_key(customer)
    make_private_folder(folder)
    for theme in THEMES:
        drawn = painter.svg(spec, theme).encode()
        write_private(folder / f"{artifact_id}.{theme}.svg", drawn)
    write_private(folder / f"{artifact_id}.png", painter.png(spec, "light"))


def forget_pictures(home: StateDirectory, *, older_than_seconds: float = KEEP_SECONDS) -> int:
    """Remove pictures older than that; how many. Other files, and links, are left alone."""
    removed = 0
    limit = time.time() - older_than_seconds
    for path in own_files(home.charts):
        if not _PICTURE.match(path.name):
            continue
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < limit:
                path.unlink()
                removed += 1
    return removed
