"""Painted charts are forgotten after a week; what else lies beside them stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cdesk.core.home import StateDirectory
from cdesk.core.identity import customer_key
from cdesk_app.render.pictures import forget_pictures

ID = "0190a5f0-0000-7000-8000-000000000000"


def old(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (0, 0))
    return path


def test_old_pictures_go_and_strangers_files_stay(state_home: StateDirectory) -> None:
    folder = state_home.charts / customer_key("ada")
    ours = [old(folder / f"{ID}.{end}") for end in ("light.svg", "dark.svg", "png")]
    theirs = [
        old(folder / "holiday.png"),
        old(folder / f"{ID}.svg"),
        old(state_home.charts / "album" / f"{ID}.png"),
    ]
    new = old(folder / f"{ID.replace('0', '1')}.png")
    os.utime(new)
    assert forget_pictures(state_home) == len(ours)
    assert [path.exists() for path in (*ours, *theirs, new)] == [False] * 3 + [True] * 4


def test_a_picture_is_kept_for_a_week(state_home: StateDirectory) -> None:
    folder = state_home.charts / customer_key("ada")
    kept, gone = (old(folder / f"{ID}.{end}") for end in ("png", "dark.svg"))
    for path, days in ((kept, 6), (gone, 8)):
        os.utime(path, (0, time.time() - days * 86_400))
    assert forget_pictures(state_home) == 1
    assert (kept.exists(), gone.exists()) == (True, False)


@pytest.mark.skipif(os.name == "nt", reason="making a link needs a privilege there")
def test_no_picture_is_removed_through_a_link(state_home: StateDirectory, tmp_path: Path) -> None:
    picture = old(tmp_path / "album" / customer_key("ada") / f"{ID}.png")
    state_home.charts.symlink_to(tmp_path / "album")
    assert forget_pictures(state_home) == 0
    assert picture.exists()
