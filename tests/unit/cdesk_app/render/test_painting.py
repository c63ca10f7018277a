"""Charts are drawn in a process of their own, which comes and goes."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from unittest.mock import Mock

import orjson
import pytest

from cdesk_app.render import painting
from cdesk_app.render.paint import Painter
from cdesk_app.render.painting import PaintingProcess, serve
from cdesk_app.render.vega import Json

SPEC: Json = {
    "data": {"values": [{"v": 1}]},
    "mark": "point",
    "encoding": {"x": {"field": "v", "type": "quantitative"}},
}


@pytest.fixture
def painter() -> Iterator[PaintingProcess]:
    made = PaintingProcess(dict(os.environ))
    yield made
    made.close()


def test_a_chart_is_drawn_as_this_process_would(painter: PaintingProcess) -> None:
    assert painter.pid is None, "not before there is something to draw"
    drawn = painter.svg(SPEC, "light")
    assert drawn == Painter().svg(SPEC, "light")
    assert painter.svg(SPEC, "dark") != drawn
    assert painter.png(SPEC, "light").startswith(b"\x89PNG")
    pid = painter.pid
    with pytest.raises(ValueError, match=r"\w"):
        painter.svg({"mark": "no such mark"}, "light")
    assert painter.pid == pid, "what cannot be drawn costs no process"
    painter.close()
    assert painter.pid is None


def test_one_that_has_ended_is_replaced(painter: PaintingProcess) -> None:
    first = painter.svg(SPEC, "light")
    process = painter._process
    assert process is not None
    process.kill()
    process.wait(60)
    assert painter.svg(SPEC, "light") == first
    assert painter.pid not in (None, process.pid)


def test_it_ends_when_nobody_asks(painter: PaintingProcess) -> None:
    painter._idle_seconds = 0.01
    painter.svg(SPEC, "light")
    process = painter._process
    assert process is not None
    assert process.wait(60) == 0


def test_a_drawing_that_takes_too_long_is_given_up(painter: PaintingProcess) -> None:
    painter._longest_seconds = 0.0
    with pytest.raises(OSError, match="has ended"):
        painter.svg(SPEC, "light")
    assert painter.pid is None


def test_closing_ends_a_drawing_that_is_under_way(painter: PaintingProcess) -> None:
    painter.svg(SPEC, "light")
    process = painter._process
    assert process is not None
    failed: list[BaseException] = []

    def draw() -> None:
        try:
            painter.svg({"data": {"values": [{"v": 0.5}]}, "mark": "bar", "encoding": {}}, "light")
        except OSError as error:
            failed.append(error)

    answers, process.stdout = process.stdout, Mock(readline=lambda: process.wait(60) and b"")
    draws = threading.Thread(target=draw)
    draws.start()
    until = time.monotonic() + 60
    while not painter._turn.locked() and time.monotonic() < until:
        time.sleep(0.001)
    painter.close()
    draws.join(60)
    assert len(failed) == 1
    assert painter.pid is None
    assert answers is not None
    answers.close()


def test_it_answers_until_the_end_of_input() -> None:
    request = orjson.dumps({"as": "svg", "theme": "light", "spec": SPEC}) + b"\n"
    told = io.BytesIO()
    begun = time.monotonic()
    serve(io.BytesIO(request * 2), told, idle=3600.0)
    assert time.monotonic() - begun < 3600
    answers = [orjson.loads(line) for line in told.getvalue().splitlines()]
    assert len(answers) == 2
    assert answers[0] == {"drawn": Painter().svg(SPEC, "light"), "error": None}
    assert painting.IDLE_SECONDS > 0
