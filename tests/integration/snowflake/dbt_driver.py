"""One process that runs dbt commands one after the other, so that dbt is imported and the project
parsed once: a JSON list of arguments in, a result out.

Run as `python -m tests.integration.snowflake.dbt_driver`; ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings
from typing import Any

import jinja2


def compile_once() -> None:
    """Jinja compiles a text to the same code each time; dbt asks for it at the parse and at each
    build.
    """
    compiled: dict[tuple[object, ...], Any] = {}
    original = jinja2.Environment.compile

    def compile_(self: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        key = (type(self), tuple(self.extensions), source, args, tuple(sorted(kwargs.items())))
        if not isinstance(source, str):
            return original(self, source, *args, **kwargs)
        if key not in compiled:
            compiled[key] = original(self, source, *args, **kwargs)
        return compiled[key]

    jinja2.Environment.compile = compile_  # type: ignore[method-assign,assignment]


def main() -> None:
    warnings.simplefilter("ignore")
    compile_once()
    from dbt.cli.main import dbtRunner

    answers = sys.stdout
    manifests: dict[str, Any] = {}
    for line in sys.stdin:
        printed = io.StringIO()
        arguments: list[str] = json.loads(line)
        options = arguments[arguments.index("--project-dir") :]
        target = arguments[arguments.index("--target") + 1]
        with contextlib.redirect_stdout(printed):
            if target not in manifests:
                manifests[target] = dbtRunner().invoke(["parse", *options]).result
            result = dbtRunner(manifest=manifests[target]).invoke(arguments)
        failures = [
            f"{getattr(getattr(item, 'node', item), 'unique_id', '?')}: {item.status} {item.message}"
            for item in getattr(result.result, "results", [])
            if str(item.status) in ("error", "fail", "runtime error")
        ]
        if result.exception is not None:
            failures.append(str(result.exception))
        ran = len(getattr(result.result, "results", []))
        answers.write(
            json.dumps(
                {
                    "ok": bool(result.success),
                    "ran": ran,
                    "failures": failures,
                    "printed": printed.getvalue(),
                }
            )
            + "\n"
        )
        answers.flush()


if __name__ == "__main__":
    main()
