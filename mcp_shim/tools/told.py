"""A result as text for a model: headline, finding, at most ten rows as a Markdown table, a summary
of all, where the whole is, and where it comes from. The structured content holds the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from itertools import chain
from typing import Any, Final

from cdesk.core.clock import local_iso
from cdesk.core.config import zone_named

MAX_CELL: Final = 200
"""Characters of one cell; the structured content has more."""
MAX_COLUMNS: Final = 20
_INVISIBLE = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


def told(result: Mapping[str, Any], *, timezone: str = "UTC") -> str:
    """The answer of a query that has succeeded. Moments stand as the clock shows them in the time
    zone that was asked about, else in `timezone`, the person's.
    """
    timezone = (result.get("params") or {}).get("timezone") or timezone
    kinds = [column.get("type") for column in result.get("columns") or []]
    rows: Sequence[Sequence[Any]] = result.get("rows") or []
    if is_local := timezone != "UTC" and "timestamp" in kinds:
        zone = zone_named(timezone)
        rows = [[_local(v, k, zone) for v, k in zip(row, kinds, strict=False)] for row in rows]
    columns = [str(column.get("name", "")) for column in result.get("columns") or []]
    count = result.get("row_count", len(rows))
    parts = []
    if headline := result.get("headline"):
        finding = result.get("finding")
        parts.append(f"**{_plain(headline)}**" + (f"\n{_plain(finding)}" if finding else ""))
    if columns and rows:
        parts.append(_table(columns, rows))
    parts.append(_how_much(len(rows), count, result))
    if count > 1 and (summary := result.get("summary")):
        parts.append(_summary(summary, zone_named(timezone)))
    if is_local and rows:
        parts.append(f"Times are those of {timezone}; the structured content has them in UTC.")
    if (card := result.get("card")) and card.get("url"):
        parts.append(f"Whole result, for the person: {card['url']}")
    elif artifact := result.get("artifact"):
        parts.append(f"Whole result, for the person: {artifact.get('open_with')}")
    parts.append(_provenance(result))
    return "\n\n".join(part for part in parts if part)


def _local(value: Any, kind: str | None, zone: tzinfo) -> Any:
    return local_iso(value, zone) if kind == "timestamp" and isinstance(value, str) else value


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    shown = columns[:MAX_COLUMNS]
    lines = [_line(map(_plain, shown)), _line(["---"] * len(shown))]
    lines += _lines([[*map(_text, row[:MAX_COLUMNS])] for row in rows])
    if len(columns) > MAX_COLUMNS:
        lines.append(f"({len(columns) - MAX_COLUMNS} more columns in the structured content)")
    return "\n".join(lines)


def _lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row. Most tables need no second look, and one tells it of all cells."""
    whole = "".join(chain.from_iterable(rows))
    if "|" not in whole and whole.isprintable():
        longest = max(map(len, chain.from_iterable(rows)), default=0)
        shown = str.strip if longest <= MAX_CELL else _shown
    else:
        shown = _shown
    return (_line(map(shown, row)) for row in rows)


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    return _shown(_text(value))


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(text: str) -> str:
    text = _plain(text[: MAX_CELL + 1])
    return text if len(text) <= MAX_CELL else text[:MAX_CELL] + "…"


def _plain(text: object) -> str:
    """In one line, without what a table or an eye would be misled by."""
    shown = str(text)
    if not shown.isprintable():  # most is, and nothing in it is invisible
        shown = _INVISIBLE.sub(" ", shown)
    return (shown.replace("|", "\\|") if "|" in shown else shown).strip()


def _how_much(shown: int, count: int, result: Mapping[str, Any]) -> str:
    page, pages = result.get("page") or 1, result.get("pages") or 1
    said = f"{shown:,} of {count:,} rows." if shown < count else f"{count:,} rows."
    if pages > 1:
        said += f" Page {page:,} of {pages:,}"
        said += f"; get_result with page {page + 1:,} has the next." if page < pages else "."
    if note := result.get("sampling_note"):
        said += f" {_plain(note)}."
    if result.get("reused"):
        said += " The earlier answer to the same question, on unchanged data."
    return said


def _summary(summary: Mapping[str, Any], zone: tzinfo) -> str:
    """All rows in a line a column."""
    lines = [f"All {summary.get('rows', 0):,} rows by column:"]
    lines += [
        f"- {_plain(column['name'])}: {', '.join(_facts(column, zone))}"
        for column in summary.get("columns") or []
    ]
    if left_out := summary.get("left_out"):
        lines.append(f"({left_out:,} more columns)")
    return "\n".join(lines)


def _facts(column: Mapping[str, Any], zone: tzinfo) -> Iterator[str]:
    kind = None if zone is UTC else column["type"]  # a text of UTC stands as it is
    yield str(column["type"])
    if nulls := column.get("nulls"):
        yield f"{nulls:,} null"
    if (distinct := column.get("distinct")) is not None:
        yield f"{distinct:,} distinct"
    elif (over := column.get("distinct_over")) is not None:
        yield f"over {over:,} distinct"
    if "min" in column:
        low, high = (_local(column[end], kind, zone) for end in ("min", "max"))
        yield f"{_cell(low)} to {_cell(high)}"
    for name in ("sum", "mean"):
        if name in column:
            yield f"{name} {_cell(column[name])}"
    if frequent := column.get("frequent"):
        most = "; ".join(
            f"{_cell(_local(value, kind, zone))} ({count:,})" for value, count in frequent
        )
        yield f"most frequent {most}"
    if trend := column.get("trend"):
        change = trend.get("change")
        by = "" if change is None else f" ({change:+.0%} from first to last)"
        yield f"{trend['direction']} over {_plain(trend['over'])}{by}"


def _provenance(result: Mapping[str, Any]) -> str:
    facts = (
        ("template", result.get("template")),
        ("query_hash", result.get("query_hash")),
        ("query_tag", result.get("query_tag")),
        ("as_of", result.get("as_of")),
        ("artifact_id", (result.get("artifact") or {}).get("artifact_id")),
    )
    return "Provenance: " + ", ".join(f"{name} {value}" for name, value in facts if value)
