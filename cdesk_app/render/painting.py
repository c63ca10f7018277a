"""Charts drawn in a process of their own: the library that draws keeps every thread of its process
from going on, a tenth of a second for a chart and a second for the first.

One JSON object a line, to `python -m cdesk_app.render.painting SECONDS` and back (a PNG as Base64):

    ← {"as": "svg", "theme": "light", "spec": {…}}
    → {"drawn": "<svg …>", "error": null}

It ends at end of input, and after SECONDS without a request, to give its memory back.
"""

from __future__ import annotations

import base64
import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any, Final, NoReturn

import orjson

from cdesk.core.processes import be_nicer, divert_stdout, own_group
from cdesk_app.render.vega import Json, ThemeName

IDLE_SECONDS: Final = 60.0
LONGEST_SECONDS: Final = 60.0
"""A drawing that takes longer is given up, and its process with it."""
_END_SECONDS: Final = 1.0


class PaintingProcess:
    """Draws as a `Painter` does, one chart at a time. The process is started for the first and
    whenever the last one has ended. Safe to use from several threads.

    Every drawing may raise OSError: the process can't be started, or ended over it. ValueError: the
    specification cannot be drawn.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        idle_seconds: float = IDLE_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
    ) -> None:
        self._environ = dict(environ)
        self._idle_seconds = idle_seconds
        self._longest_seconds = longest_seconds
        self._turn = threading.Lock()
        self._ending = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, None where none runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def svg(self, spec: Json, theme: ThemeName) -> str:
        return self._drawn("svg", spec, theme)

    def png(self, spec: Json, theme: ThemeName) -> bytes:
        return base64.b64decode(self._drawn("png", spec, theme))

    def close(self) -> None:
        """End the process, at once: in the middle of a drawing, too."""
        self._ending = True
        try:
            if (process := self._process) is not None:
                process.kill()
            with self._turn:
                self._end()
        finally:
            self._ending = False

    def _drawn(self, kind: str, spec: Json, theme: ThemeName) -> str:
        request = {"as": kind, "theme": theme, "spec": spec}
        line = orjson.dumps(request, option=orjson.OPT_APPEND_NEWLINE)
        with self._turn:
            answer = b"" if self._process is None else self._ask(line)
            if not answer and not self._ending:  # one that was there may have ended idle just now
                answer = self._ask(line)
        if not answer:
            raise OSError("the process that draws has ended")
        said = orjson.loads(answer)
        if said["error"] is not None:
            raise ValueError(said["error"])
        return str(said["drawn"])

    def _ask(self, line: bytes) -> bytes:
        """Its answer; nothing, and no process any more, where it has ended."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(self._longest_seconds, process.kill)
        timer.daemon = True
        timer.start()
        answer = b""
        try:
            with contextlib.suppress(OSError):
                process.stdin.write(line)
                process.stdin.flush()
                answer = process.stdout.readline()
        finally:
            timer.cancel()
            if not answer.endswith(b"\n"):
                answer = b""
                self._end()
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "cdesk_app.render.painting", str(self._idle_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environ,
            **own_group(),
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def serve(given: IO[bytes], told: IO[bytes], *, idle: float) -> None:
    """Draw what is asked for until the end of input, or for `idle` seconds nothing."""
    from cdesk_app.render.paint import Painter

    painter = Painter()
    lines: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        for line in given:
            lines.put(line)
        lines.put(b"")

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=idle)
        except queue.Empty:
            return
        if not line:
            return
        answer: dict[str, Any] = {"drawn": None, "error": None}
        request = orjson.loads(line)
        try:
            if request["as"] == "svg":
                answer["drawn"] = painter.svg(request["spec"], request["theme"])
            else:
                drawn = painter.png(request["spec"], request["theme"])
                answer["drawn"] = base64.b64encode(drawn).decode()
        except ValueError as error:
            answer["error"] = str(error)
        told.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
        told.flush()


def main() -> NoReturn:
    """Argument: how long to wait for the next request."""
    be_nicer()
    given, told = os.fdopen(os.dup(0), "rb"), divert_stdout()
    with contextlib.suppress(BrokenPipeError):
        serve(given, told, idle=float(sys.argv[1]))
    os._exit(0)  # not sys.exit: Python aborts where a thread still reads


if __name__ == "__main__":
    main()
