"""One process that runs dbt commands one after the other, so that dbt is imported and the project
parsed once, or not at all if an argument names what another parse left: a JSON list of an id and
the arguments in, a result with that id out.

Run as `python -m tests.integration.snowflake.dbt_driver FOLDER [PARSED]`: what dbt makes once is
kept in the folder for the processes that come. Ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import sys
import warnings
from pathlib import Path
from typing import Any

from cdesk_app.worker.dbt import economy


def main() -> None:
    warnings.simplefilter("ignore")
    gc.disable()  # until dbt is imported and a project parsed
    gc.set_threshold(50_000, 20, 50)
    kept, *parsed = sys.argv[1:]
    economy.save(Path(kept))
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    answers = sys.stdout
    manifests: dict[str, Any] = {}
    for line in sys.stdin:
        printed = io.StringIO()
        id, arguments = json.loads(line)
        options = arguments[arguments.index("--project-dir") :]
        target = arguments[arguments.index("--target") + 1]
        # a sandbox is of the same engine, and asked for what no model's place matters to
        engine = "snowflake" if target == "dev" else target
        with contextlib.redirect_stdout(printed):
            if engine not in manifests:
                gc.disable()
                if parsed:
                    manifests[engine] = Manifest.from_msgpack(Path(parsed[0]).read_bytes())
                    manifests[engine].build_flat_graph()
                else:
                    manifests[engine] = dbtRunner().invoke(["parse", *options]).result
                gc.freeze()
                gc.enable()
            result = dbtRunner(manifest=manifests[engine]).invoke(arguments)
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
                    "id": id,
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
