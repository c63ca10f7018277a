"""One process that runs dbt commands one after the other, so that dbt is imported and the project parsed once: a JSON list of
arguments in, a result out.

Run as `python -m tests.integration.snowflake.dbt_driver`; ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings


def main() -> None:
    warnings.simplefilter("ignore")
    from dbt.cli.main import dbtRunner

    answers = sys.stdout
    runner = dbtRunner()
    for line in sys.stdin:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            result = runner.invoke(json.loads(line))
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
                {"ok": bool(result.success), "ran": ran, "failures": failures, "printed": printed.getvalue()}
            )
            + "\n"
        )
        answers.flush()


if __name__ == "__main__":
    main()
