"""The dbt project as `snow dbt deploy` takes it, in a folder of its own.

The whole repository would carry its .venv along, and the profile that people use is refused: the
command wants Snowflake targets only, with no field that could hold a credential
(https://docs.snowflake.com/en/user-guide/data-engineering/dbt-projects-on-snowflake-deploy).

    python scripts/snowflake_project.py target/snowflake_project
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("dbt_project.yml", "selectors.yml", "models", "macros", "analyses", "seeds", "tests/data")
DBT_VERSION = "1.11.11"
"""One of those that `select system$supported_dbt_versions()` lists:
https://docs.snowflake.com/en/user-guide/data-engineering/dbt-projects-on-snowflake-dbt-core-versions
"""
PROFILE = """cdesk:
  target: snowflake
  outputs:
    snowflake:
      type: snowflake
      # in Snowflake the session's own are used
      account: not needed
      user: not needed
      role: {prefix}_TRANSFORMER
      warehouse: {prefix}_BUILD_WH
      database: {database}
      schema: {schema}
      threads: 8
"""


def make(folder: Path, *, prefix: str, database: str, schema: str) -> None:
    """Put the project and its profile into `folder`, in place of what an earlier run made."""
    for part in PARTS:
        source, target = ROOT / part, folder / part
        if target.is_dir():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
    profile = PROFILE.format(prefix=prefix, database=database, schema=schema)
    (folder / "profiles.yml").write_text(profile, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="the dbt project as 'snow dbt deploy' takes it")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prefix", default="CDESK", help="what the account-level names begin with")
    parser.add_argument("--database", default="CLAUDE_LOGS")
    parser.add_argument("--schema", default="ACTIVITIES")
    args = parser.parse_args(arguments)
    make(args.folder, prefix=args.prefix, database=args.database, schema=args.schema)
    sys.stdout.write(
        f"snow dbt deploy cdesk --source {args.folder} --profiles-dir {args.folder} "
        f"--default-target snowflake --dbt-version {DBT_VERSION} "
        f"--database {args.database} --schema {args.schema} --role {args.prefix}_TRANSFORMER\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
