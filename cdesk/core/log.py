"""The log of every process: one JSON object a line, to standard error or to a file that is rotated
by size. No secret's value stands in it.

    logger.info("landed", extra={"facts": {"rows": 3}})
    → {"ts": …, "level": "info", "logger": …, "message": "landed", "rows": 3}

The server writes by it too, so nothing here is imported or compiled before the first line is
written.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from cdesk.core.clock import format_ts
from cdesk.core.home import make_private_file

MAX_BYTES: Final = 4 * 1024 * 1024
OURS: Final = ("cdesk", "cdesk_app", "mcp_shim", "uploader")
"""The loggers whose messages are ours: constant texts, with names and numbers as facts."""
_SECRET_NAME: Final = (
    r"PASS|SECRET|TOKEN|CREDENTIAL|KENNWORT|MNEMONIC|AUTHORIZATION|SEED_?PHRASE|"
    r"(?:API|ACCESS|PRIVATE|ACCOUNT|SIGNING|ENCRYPTION|MASTER|SHARED)_?KEY|CONNECTION_?STRING|"
    r"(?:VERIFICATION|RECOVERY|BACKUP|MFA|OTP)_?CODE|WEBHOOK|"
    r"(?:^|_)(?:PAT|(?:[A-Z]*)PWD|AUTH|CREDS?|COOKIES?|DSN|JWT|T?OTP|PIN|CVV|SAS)(?:_|$)"
)
_HIDDEN: Final = "[hidden]"


@functools.cache
def _secret_name() -> re.Pattern[str]:
    return re.compile(_SECRET_NAME, re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret."""
    return _secret_name().search(name) is not None


class Redactor:
    """Takes secrets out of what a line says: the values of variables that are named like one, what
    stands behind `password=` and the like, and what `credentials` finds in a document.
    """

    def __init__(self, environ: Mapping[str, str], credentials: Callable[[Any], Any]) -> None:
        self._environ = environ
        self._credentials = credentials

    @functools.cached_property
    def _patterns(self) -> tuple[re.Pattern[str] | None, re.Pattern[str], re.Pattern[str]]:
        """Values of secrets, bearer tokens, and what stands behind a secret's name. The latter two
        are stricter than the list of credentials: a log loses nothing by them.
        """
        values = {
            value
            for name, value in self._environ.items()
            if len(value) >= 6 and is_secret_name(name)
        }
        longest_first = sorted(values, key=lambda value: (-len(value), value))
        return (
            re.compile("|".join(map(re.escape, longest_first))) if values else None,
            re.compile(r"(?i)\bbearer\s+[A-Za-z0-9._~+/=-]{8,}"),
            re.compile(
                r"(?i)\b(password|passphrase|secret|token|authorization|api_?key)\b"
                r"(\"?\s*[=:]\s*\"?)(bearer\s+)?[^\s\",;]+"
            ),
        )

    def __call__(self, document: Any) -> Any:
        """The document, a text or JSON of any depth, without them."""
        known = self._credentials(_changed(document, self._without_values))
        return _changed(known, self._without_named)

    def _without_values(self, text: str) -> str:
        values, _, _ = self._patterns
        return values.sub(_HIDDEN, text) if values is not None else text

    def _without_named(self, text: str) -> str:
        _, bearer, named = self._patterns
        return named.sub(rf"\1\2{_HIDDEN}", bearer.sub(f"Bearer {_HIDDEN}", text))


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """The document with each of its texts changed, names of keys included."""
    if isinstance(value, dict):
        return {change(key): _changed(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


class JsonLines(logging.Formatter):
    """`ts`, `level`, `logger`, `message`, and the `facts` that a call gave as `extra={"facts":
    {…}}` (numbers, names; never a payload).

    `only_ours`: of other packages' lines only where they come from is told, and no text: a library
    may put a payload into its message.
    """

    def __init__(self, redact: Redactor, *, only_ours: bool = False) -> None:
        super().__init__()
        self._redact = redact
        self._only_ours = only_ours

    def format(self, record: logging.LogRecord) -> str:
        hidden = self._only_ours and record.name.partition(".")[0] not in OURS
        said: dict[str, Any] = {
            "message": f"{record.module}:{record.lineno}" if hidden else record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if hidden and record.exc_info and record.exc_info[0]:
            said["error"] = record.exc_info[0].__name__
        elif record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        entry = {
            "ts": format_ts(int(record.created * 1e9)),
            "level": record.levelname.lower(),
            "logger": record.name,
            **self._redact(orjson.loads(orjson.dumps(said, default=str))),
        }
        return orjson.dumps(entry).decode()


class _StandardError(logging.StreamHandler[Any]):
    """Standard error that may be closed or full: that is no reason to stop."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        del record


def set_up_logging(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    credentials: Callable[[Any], Any],
    level: int = logging.INFO,
    only_ours: bool = False,
) -> None:
    """Send the whole process's log to `path` (None: standard error). `credentials` takes them out
    of a document. `only_ours`: other packages are heard from a warning on, without their texts.

    A file that cannot be written is no reason not to start: the log goes to standard error then,
    and says so; `cdesk doctor` names the file.
    """
    handler: logging.Handler = _StandardError(sys.stderr)
    problem: OSError | None = None
    if path is not None:
        try:
            handler = _file_handler(path)
        except OSError as error:
            problem = error
    handler.setFormatter(JsonLines(Redactor(environ, credentials), only_ours=only_ours))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING) if only_ours else level)
    for name in OURS:
        logging.getLogger(name).setLevel(level if only_ours else logging.NOTSET)
    if problem is not None:
        facts = {"file": str(path), "reason": problem.strerror}
        logging.getLogger(OURS[0]).warning("the log cannot be written", extra={"facts": facts})


def _file_handler(path: Path) -> logging.Handler:
    """A handler that rotates the file by size, and drops lines while the disk takes none. Raises
    OSError.
    """
    from logging.handlers import RotatingFileHandler  # brings sockets and pickles along

    class LogFile(RotatingFileHandler):
        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
            """A full disk loses lines, never the process, and fills no other file instead."""
            del record

    make_private_file(path)
    return LogFile(path, maxBytes=MAX_BYTES, backupCount=1, encoding="utf-8")
