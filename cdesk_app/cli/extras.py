"""The extras of the installation, and which one brings a module that is missing."""

from __future__ import annotations

from typing import Final

EXTRAS: Final = {
    "worker": (
        "agate",
        "dbt",
        "dbt.adapters.duckdb",
        "dbt_common",
        "duckdb",
        "ijson",
        "jinja2",
        "mashumaro",
        "msgspec",
        "parsedatetime",
        "pyarrow",
        "tqdm",
    ),
    "snowflake": (
        "agate",
        "dbt",
        "dbt.adapters.snowflake",
        "dbt_common",
        "ijson",
        "jinja2",
        "mashumaro",
        "msgspec",
        "parsedatetime",
        "pyarrow",
        "snowflake.connector",
        "snowflake.ingest",
        "tqdm",
    ),
    "render": (
        "babel",
        "duckdb",
        "jinja2",
        "markupsafe",
        "pyarrow",
        "starlette",
        "uvicorn",
        "vl_convert",
    ),
    "http": ("httptools", "jwt", "starlette", "uvicorn"),
    "s3": ("boto3", "botocore", "fsspec"),
    "ops": ("prometheus_client", "opentelemetry.sdk", "opentelemetry.exporter"),
}
"""Extra → the modules that it brings and the base installation does not have. Each extra is whole:
a module that two need stands in both.
"""


def extra_for(module: str, *, target: str) -> str | None:
    """The extra to install for `module` (dotted), or None where none brings it.

    `target` is the warehouse engine in the settings: where both extras bring the module, the
    engine decides.
    """
    top = module.partition(".")[0]
    found = [
        extra
        for extra, modules in EXTRAS.items()
        if any(name.partition(".")[0] == top for name in modules)
    ]
    if not found:
        return None
    preferred = "snowflake" if target == "snowflake" else "worker"
    return preferred if preferred in found else found[0]
