"""Bring `seeds/model_prices.csv` up to the price table that the `litellm` package carries.

    pip download litellm --no-deps -d /tmp/prices
    python scripts/model_prices.py /tmp/prices/litellm-*.whl

Only the JSON in the wheel is read; nothing of it runs. A model that the seed doesn't have yet is
added from its beginning on; where a price has changed since this table was read last, a row is
added that is valid from today. Rows that stand are never changed: what a response cost stays what
it cost. What this table does not have (earlier prices) or has wrong is written into the seed by
hand, with its source.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

SEED: Final = Path(__file__).resolve().parents[1] / "seeds" / "model_prices.csv"
TABLE: Final = "litellm/model_prices_and_context_window_backup.json"
BEGINNING: Final = "2023-01-01"
COLUMNS: Final = (
    "model_pattern", "valid_from", "input_usd", "output_usd", "cache_read_usd",
    "cache_write_5m_usd", "cache_write_1h_usd", "long_context_tokens", "long_input_usd",
    "long_output_usd", "long_cache_read_usd", "long_cache_write_5m_usd", "long_cache_write_1h_usd",
    "source",
)  # fmt: skip
PROVIDERS: Final = ("anthropic", "bedrock_converse", "bedrock", "vertex_ai-anthropic_models")
"""Where a model is looked for, the maker's own list first; the others sell at its price, but for
regions with a surcharge, which have a prefix.
"""
_PRICES: Final = {
    "input_usd": "input_cost_per_token",
    "output_usd": "output_cost_per_token",
    "cache_read_usd": "cache_read_input_token_cost",
    "cache_write_5m_usd": "cache_creation_input_token_cost",
    "cache_write_1h_usd": "cache_creation_input_token_cost_above_1hr",
}
_NAME = re.compile(
    r"(?:(?:anthropic\.|vertex_ai/)?(claude-[a-z0-9-]+?))(?:[-@]20\d{6})?(?:-v\d:\d)?\Z"
)


def prices_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """The prices of one entry, US dollars per million tokens, by the columns of the seed."""
    found = {column: _million(entry.get(name)) for column, name in _PRICES.items()}
    # As published: reading from the cache 0.1, writing 1.25 and 2 times the price of input.
    for column, factor in (
        ("cache_read_usd", 0.1),
        ("cache_write_5m_usd", 1.25),
        ("cache_write_1h_usd", 2.0),
    ):
        found[column] = found[column] or _number(float(found["input_usd"]) * factor)
    above = next(
        (name for name in entry if re.fullmatch(r"input_cost_per_token_above_\d+k_tokens", name)),
        None,
    )
    found["long_context_tokens"] = ""
    for column in _PRICES:
        found[f"long_{column}"] = ""
    if above:
        suffix = above.removeprefix("input_cost_per_token")
        found["long_context_tokens"] = str(int(re.findall(r"\d+", suffix)[0]) * 1000)
        for column, name in _PRICES.items():
            found[f"long_{column}"] = _million(entry.get(name + suffix))
        base = float(found["long_input_usd"])
        found["long_cache_write_1h_usd"] = found["long_cache_write_1h_usd"] or _number(base * 2)
    return found


def _million(value: object) -> str:
    return _number(float(value) * 1e6) if isinstance(value, int | float) else ""


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def models(table: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Model (without the date in its name) → its prices, from the first provider that has it."""
    found: dict[str, dict[str, str]] = {}
    for provider in PROVIDERS:
        for name, entry in sorted(table.items()):
            match = _NAME.match(name)
            if entry.get("litellm_provider") != provider or not match:
                continue
            if match[1] not in found and entry.get("input_cost_per_token"):
                found[match[1]] = prices_of(entry)
    return found


def main(wheel: str) -> int:
    with zipfile.ZipFile(wheel) as archive:
        table = json.loads(archive.read(TABLE))
    version = re.findall(r"litellm-([0-9.]+?)-", Path(wheel).name)
    source = f"litellm {version[0] if version else ''}".strip()
    rows: list[dict[str, str]] = []
    if SEED.exists():
        with SEED.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    for model, prices in sorted(models(table).items()):
        # Not by what was written by hand: that is better known, and no change of this table.
        known = [
            row
            for row in rows
            if row["model_pattern"] == model and row["source"].startswith("litellm")
        ]
        latest = max(known, key=lambda row: row["valid_from"], default=None)
        if latest and all(latest[name] == value for name, value in prices.items()):
            continue
        start = today if latest else BEGINNING
        rows.append({"model_pattern": model, "valid_from": start, **prices, "source": source})
    rows.sort(key=lambda row: (row["model_pattern"], row["valid_from"]))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    SEED.write_text(text.getvalue(), encoding="utf-8")
    print(f"{len(rows)} prices in {SEED.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
