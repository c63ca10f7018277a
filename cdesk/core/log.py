"""The worker's log: one JSON object a line, to a file that is cut at its size or to a terminal.
Values of secrets never stand in it.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from cdesk.core.clock import format_ts

MAX_BYTES: Final = 4 * 1024 * 1024
SECRET_NAME: Final = re.compile(
    r"PASS|SECRET|TOKEN|PRIVATE_KEY|API_?KEY|CREDENTIAL|_PAT\b", re.IGNORECASE
)
"""Found in the name of a variable whose value is one."""
_SECRET_TEXT = re.compile(
    r"(?i)\b(password|passphrase|secret|token|authorization|api_?key)\b(\"?\s*[=:]\s*\"?)(bearer\s+)?[^\s\",;]+"
)
_BEARER = re.compile(r"(?i)\bbearer\s+[A-Za-z0-9._~+/=-]{8,}")
_HIDDEN: Final = "[hidden]"


class Redactor:
    """Takes secrets out of a text: the values of variables that are named like one, and what stands
    behind `password=` and the like.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        values = {
            value for name, value in environ.items() if SECRET_NAME.search(name) and len(value) >= 6
        }
        longest_first = sorted(values, key=lambda value: (-len(value), value))
        self._values = re.compile("|".join(map(re.escape, longest_first))) if values else None

    def __call__(self, text: str) -> str:
        if self._values is not None:
            text = self._values.sub(_HIDDEN, text)
        text = _BEARER.sub(f"Bearer {_HIDDEN}", text)
        return _SECRET_TEXT.sub(rf"\1\2{_HIDDEN}", text)


class JsonLines(logging.Formatter):
    """`ts`, `level`, `logger`, `message`, and the `facts` that a call gave as `extra={"facts":
    {…}}` (numbers, names; never a payload).
    """

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "ts": format_ts(int(record.created * 1e9)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return self._redact(orjson.dumps(entry, default=str).decode())


def set_up_logging(
    path: Path | None, environ: Mapping[str, str], *, level: int = logging.INFO
) -> None:
    """Send the whole process's log to `path` (None: standard error)."""
    handler: logging.Handler
    if path is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=MAX_BYTES, backupCount=1, encoding="utf-8"
        )
    handler.setFormatter(JsonLines(Redactor(environ)))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level)
