"""The dbt project as `snow dbt deploy` takes it, in a folder of its own.

The whole repository would carry its .venv along, and the profile that people use is refused: the
command wants Snowflake targets only, with no field that could hold a credential
(https://docs.snowflake.com/en/user-guide/data-engineering/dbt-projects-on-snowflake-deploy).

    python scripts/snowflake_project.py target/snowflake_project

An installation whose roles and warehouses have other names gives them as it gives them to dbt; they
go into the project's own vars, since its tasks say none:

    python scripts/snowflake_project.py target/snowflake_project \
        --vars '{cdesk__snowflake_names: {transformer: CLAUDE_BUILD, build_warehouse: COMPUTE_WH}}'
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

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
      role: {role}
      warehouse: {warehouse}
      database: {database}
      schema: {schema}
      threads: 8
"""


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,99}")
_KEYS = frozenset(
    (
        "query_warehouse",
        "build_warehouse",
        "loader",
        "transformer",
        "reader",
        "service",
        "admin",
        "daily_monitor",
        "monthly_monitor",
        "account_monitor",
    )
)
"""Those of the macro `_snowflake_names`."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the account-level names begin with, and which have names of the account's own: the vars
    `cdesk__snowflake_prefix` and `cdesk__snowflake_names`.
    """

    prefix: str
    given: dict[str, str]

    def __post_init__(self) -> None:
        if unknown := self.given.keys() - _KEYS:
            raise ValueError(
                f"cdesk__snowflake_names: {', '.join(sorted(unknown))}; "
                f"allowed: {', '.join(sorted(_KEYS))}"
            )
        for name in (self.prefix, *self.given.values()):
            if not _NAME.fullmatch(str(name)):
                raise ValueError(f"{name} is no name of letters, digits, _ and $")

    @property
    def role(self) -> str:
        return self.given.get("transformer", f"{self.prefix}_TRANSFORMER").upper()

    @property
    def warehouse(self) -> str:
        return self.given.get("build_warehouse", f"{self.prefix}_BUILD_WH").upper()


def names_of(project: str, said: str, prefix: str | None) -> Names:
    """The names that a project file gives, `said` (vars, as dbt takes them) before them."""
    told = yaml.safe_load(said) or {}
    if not isinstance(told, dict):
        raise ValueError("--vars is no mapping")
    variables = {**yaml.safe_load(project)["vars"], **told}
    given = variables["cdesk__snowflake_names"] or {}
    if not isinstance(given, dict):
        raise ValueError("cdesk__snowflake_names is no mapping of what to its name")
    return Names(prefix or variables["cdesk__snowflake_prefix"], given)


def with_names(project: str, names: Names) -> str:
    """The project file with these names among its vars."""
    for variable, value in (
        ("cdesk__snowflake_prefix", names.prefix),
        ("cdesk__snowflake_names", json.dumps(names.given)),
    ):
        project, count = re.subn(rf"(?m)^(  {variable}:) .*$", rf"\1 {value}", project)
        if count != 1:
            raise ValueError(f"dbt_project.yml has no line of its own for {variable}")
    return project


def make(folder: Path, names: Names, *, database: str, schema: str) -> None:
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
    project = folder / "dbt_project.yml"
    project.write_text(
        with_names(project.read_text(encoding="utf-8"), names), encoding="utf-8", newline="\n"
    )
    profile = PROFILE.format(
        role=names.role, warehouse=names.warehouse, database=database, schema=schema
    )
    (folder / "profiles.yml").write_text(profile, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="the dbt project as 'snow dbt deploy' takes it")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prefix", help="the var cdesk__snowflake_prefix (default: CDESK)")
    parser.add_argument(
        "--vars",
        default="{}",
        help="as dbt takes them; cdesk__snowflake_prefix and cdesk__snowflake_names are read",
    )
    parser.add_argument("--database", default="CLAUDE_LOGS")
    parser.add_argument("--schema", default="ACTIVITIES")
    args = parser.parse_args(arguments)
    project = (ROOT / "dbt_project.yml").read_text(encoding="utf-8")
    try:
        names = names_of(project, args.vars, args.prefix)
    except yaml.YAMLError as error:
        parser.error(f"--vars is no YAML: {' '.join(str(error).split())}")
    except ValueError as error:
        parser.error(str(error))
    make(args.folder, names, database=args.database, schema=args.schema)
    sys.stdout.write(
        f"snow dbt deploy cdesk --source {args.folder} --profiles-dir {args.folder} "
        f"--default-target snowflake --dbt-version {DBT_VERSION} "
        f"--database {args.database} --schema {args.schema} --role {names.role}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
