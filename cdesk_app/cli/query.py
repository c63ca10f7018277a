"""`cdesk query`: one cataloged query, run here and now."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

from cdesk.core.clock import local_iso
from cdesk.core.config import zone_named
from cdesk.core.errors import CdeskError, InvalidField
from cdesk.core.home import replacing
from cdesk.core.plain import plain
from cdesk_app.cli.output import size, table, terminal_width, waiting
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from cdesk.contract.catalog import Catalog, Template

EXAMPLE = "cdesk query recent_activities -p hours_back=24 --format csv --out activities.csv"
EXPORTS: Final = ("json", "csv", "parquet")
"""Forms of every stored row."""
_TIMESTAMP: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)?")
_LOCAL: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)")
_TEXT: Final = ("", "txt")
"""Endings that say nothing of a form."""
_TRUTH: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "template", metavar="TEMPLATE", help="its name; 'cdesk templates' lists them"
    )
    parser.add_argument(
        "-p",
        "--param",
        dest="params",
        metavar="KEY=VALUE",
        type=_pair,
        action="append",
        default=[],
        help="a parameter; once for each, and once for each item of a list (or all as a JSON "
        "array)",
    )
    add_output_arguments(
        parser,
        ("table", *EXPORTS),
        "table (the default): ten rows to read; json, csv, parquet: every stored row",
    )
    parser.add_argument(
        "--byte-cap",
        metavar="BYTES",
        type=int,
        help="above so many bytes a sample of the result is stored, which says so (64 MiB)",
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="run it even where an earlier answer to it still stands",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show the SQL, its binds and the plan instead of running it",
    )


def add_output_arguments(parser: ArgumentParser, formats: Sequence[str], about: str) -> None:
    """`--format`, `--json` and `--out`; `about` tells what each of `formats` gives."""
    parser.add_argument("--format", choices=formats, help=about)
    parser.add_argument(
        "--json", dest="format", action="store_const", const="json", help="--format json"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="write there; the format follows from .json, .csv or .parquet",
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="leave text in CSV as it is that a spreadsheet would take for a formula; "
        "without it an apostrophe goes before it",
    )


def chosen_format(args: Namespace, default: str) -> Any:
    """What `--format` says, else the ending of `--out`, else `default`.

    Raises:
        InvalidField: Parquet would go to a terminal, or the ending is of no form that is written.
    """
    suffix = args.out.suffix[1:].lower() if args.out else ""
    if args.format is None and suffix not in (*EXPORTS, *_TEXT):
        raise InvalidField(
            "--out",
            f"{args.out.name} is of no form that is written",
            ".json, .csv or .parquet (spreadsheets open .csv), or any name with --format",
        )
    chosen = args.format or (suffix if suffix in EXPORTS else default)
    if chosen == "parquet" and args.out is None and sys.stdout.isatty():
        raise InvalidField(
            "--out", "missing", "a file to write Parquet to, as in --out result.parquet"
        )
    return chosen


def run(args: Namespace) -> int:
    from cdesk.core.identity import local_caller
    from cdesk.query.direct import run_now
    from cdesk.state.catalog import sealed_catalog

    settings, home = settings_and_home()
    chosen: Literal["table", "json", "csv", "parquet"] = chosen_format(args, "table")
    template = named_template(sealed_catalog(home), args.template)
    params, checked = _checked(template, args.params)
    _check_cap(args.byte_cap)
    for hint in template.hints(checked):
        print(f"cdesk: {hint} It is asked for as given.", file=sys.stderr)
    with target(args.out) as out, waiting(f"running {template.name}") as say:
        result = run_now(
            settings,
            template.name,
            params,
            local_caller(settings),
            None if chosen == "table" else chosen,
            out,
            byte_cap=args.byte_cap,
            fresh=args.fresh,
            dry_run=args.dry_run,
            progress=say,
            raw=args.raw,
        )
        if args.dry_run or chosen == "table":
            width = None if args.out else terminal_width()
            text = (
                _plan(result, width=width)
                if args.dry_run
                else _told(result, settings.timezone, width=width)
            )
            if args.out is None:
                print(text)
            else:
                out.write((plain(text) + "\n").encode())
    if chosen == "table" or args.dry_run:
        if args.out is not None:
            print(f"{args.out}: {size(args.out.stat().st_size)}")
    else:
        tell_export(args.out, result["exported_rows"], result["sampling_note"])
    return 0


def named_template(catalog: Catalog, name: str) -> Template:
    """The template of this name.

    Raises:
        InvalidField: there is none; naming one that is not there is a wrong call.
    """
    from cdesk.core.errors import NotFound

    try:
        return catalog.get(name)
    except NotFound as error:
        known = "the names that 'cdesk templates' lists"
        raise InvalidField("TEMPLATE", str(error), known) from None


def _checked(
    template: Template, given: Sequence[tuple[str, str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters as given, and checked.

    Raises:
        InvalidField: one is not allowed; of a list given as `a,b` it says how two are given.
    """
    try:
        params = parameters(template, given)
        return params, template.check_params(params)
    except InvalidField as error:
        lists = {one.name for one in template.parameters if one.type.startswith("list[")}
        for name, text in given:
            parts = [part.strip() for part in text.split(",")]
            if name == error.field and name in lists and len(parts) > 1:
                words = " ".join(f"-p {name}={part}" for part in parts)
                raise InvalidField(
                    name, error.problem, f"{error.allowed}, each by itself: {words}"
                ) from None
        raise


def tell_export(out: Path | None, rows: int, note: str | None) -> None:
    """Say what went where: on standard error that it is a sample, and of a file its rows."""
    if note:
        print(f"cdesk: not the whole result: {note}", file=sys.stderr)
    if out is not None:
        told = f"{rows:,} rows" if note is None else f"{rows:,} rows ({note})"
        print(f"{out}: {told}, {size(out.stat().st_size)}")


def _check_cap(cap: int | None) -> None:
    from cdesk.state.tickets import BYTE_CAP_MAX, BYTE_CAP_MIN

    if cap is not None and not BYTE_CAP_MIN <= cap <= BYTE_CAP_MAX:
        allowed = f"{BYTE_CAP_MIN:,} to {BYTE_CAP_MAX:,} bytes"
        raise InvalidField("--byte-cap", f"{cap:,} is not allowed", allowed)


def parameters(template: Template, given: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Typed values for what was given as text. What cannot be read as its type stays text: the
    template's own check refuses it.

    Raises:
        InvalidField: a parameter that is no list was given twice.
    """
    types = {parameter.name: parameter.type for parameter in template.parameters}
    values: dict[str, Any] = {}
    for name, text in given:
        kind = types.get(name, "string")
        if kind.startswith("list["):
            values.setdefault(name, []).extend(_items(kind[5:-1], text))
        elif name in values:
            raise InvalidField(name, "given twice", "one value")
        else:
            values[name] = _read(kind, text)
    return values


def _items(kind: str, text: str) -> list[Any]:
    """One item of a list, or all of them as a JSON array."""
    if text.startswith("["):
        with contextlib.suppress(ValueError):
            found = json.loads(text)
            if isinstance(found, list):
                return found
    return [_read(kind, text)]


def _read(kind: str, text: str) -> Any:
    with contextlib.suppress(ValueError):
        if kind == "integer":
            return int(text)
        if kind == "number":
            return float(text) if any(mark in text.lower() for mark in ".einf") else int(text)
    return _TRUTH.get(text.lower(), text) if kind == "boolean" else text


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ArgumentTypeError(f"{text!r} is not of the form KEY=VALUE")
    return key, value


@contextlib.contextmanager
def target(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that stands under its name only once it is whole, its user's own
    alone. A link of that name is replaced, not followed.
    """
    if path is None:
        yield sys.stdout.buffer
        return
    try:
        if path.exists() and not path.is_file():
            raise CdeskError(f"{path} is no file; name another one with --out")
        with replacing(path, sync=False) as file:
            yield file
    except OSError as error:
        raise CdeskError(
            f"{path} cannot be written ({error.strerror}); name another file with --out"
        ) from None


def _told(result: Mapping[str, Any], timezone: str, *, width: int | None) -> str:
    rows, count, note = result["rows"], result["row_count"], result["sampling_note"]
    timezone = result["params"].get("timezone") or timezone
    zone = zone_named(timezone)
    rows = [[_readable(value, zone) for value in row] for row in rows]
    shown = (
        f"{len(rows):,} of {count:,} rows" if note is None else f"{len(rows):,} rows of a sample"
    )
    lines = [
        table([column["name"] for column in result["columns"]], rows, width=width)
        if rows
        else "No rows.",
        "",
        shown
        + (
            f", as of {_readable(result['as_of'], zone)}"
            if result["as_of"]
            else ", nothing has landed yet"
        )
        + f", query_hash {result['query_hash']}"
        + (", from an earlier run (--fresh asks again)" if result["reused"] else ""),
    ]
    if zone is not UTC:
        lines.append(f"Times are those of {timezone}.")
    if note is not None:
        lines.append(f"Not the whole result: {note}.")
        lines.append("All rows of the sample: --format csv, json or parquet; more: --byte-cap.")
    elif count > len(rows):
        lines.append("The whole result: --format csv, json or parquet.")
    return "\n".join(lines)


def _readable(value: object, zone: tzinfo) -> object:
    """A timestamp in UTC as a person reads it: on their clock, to the second, without the T."""
    if not isinstance(value, str):
        return value
    found = _TIMESTAMP.fullmatch(value)
    if found is None:
        return value
    if zone is not UTC:
        found = _LOCAL.match(local_iso(value, zone)) or found
    return f"{found[1]} {found[2]}"


def _plan(estimate: Mapping[str, Any], *, width: int | None) -> str:
    binds = [(bind["name"], repr(bind["value"])) for bind in estimate["binds"]]
    expected = estimate["estimated_rows"]
    return "\n".join(
        (
            estimate["sql"].strip(),
            "",
            table(("bind", "value"), binds, width=width) if binds else "No binds.",
            "",
            estimate["plan"].strip(),
            "",
            f"About {expected:,} rows expected; nothing was run."
            if expected is not None
            else "Nothing was run; the engine's plan gives no estimate.",
        )
    )
