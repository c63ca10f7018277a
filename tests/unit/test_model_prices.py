"""The seed of prices follows a table that others keep, and keeps what is known better."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import pytest

from scripts import model_prices


def refreshed(folder: Path, price: float) -> list[dict[str, str]]:
    """The seed's rows after a refresh by a table in which a model's input costs `price` a token."""
    wheel = folder / "litellm-9.9.9-py3-none-any.whl"
    entry = {"litellm_provider": "anthropic", "input_cost_per_token": price}
    entry["output_cost_per_token"] = 5e-6
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(model_prices.TABLE, json.dumps({"claude-small-4-20250101": entry}))
    assert model_prices.main(str(wheel)) == 0
    with model_prices.SEED.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_refresh_adds_what_changed_and_never_what_was_corrected_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = tmp_path / "model_prices.csv"
    monkeypatch.setattr(model_prices, "SEED", seed)
    [first] = refreshed(tmp_path, 1e-6)
    assert (first["model_pattern"], first["input_usd"]) == ("claude-small-4", "1")
    assert (first["cache_read_usd"], first["cache_write_1h_usd"]) == ("0.1", "2")
    by_hand = {**first, "valid_from": "2025-01-01", "cache_read_usd": "0.12", "source": "by hand"}
    with seed.open("a", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, model_prices.COLUMNS, lineterminator="\n").writerow(by_hand)
    assert refreshed(tmp_path, 1e-6) == [first, by_hand], "no change of the table"
    *kept, changed = refreshed(tmp_path, 2e-6)
    assert kept == [first, by_hand]
    assert (changed["input_usd"], changed["source"]) == ("2", "litellm 9.9.9")


def test_every_price_names_where_it_is_from() -> None:
    with model_prices.SEED.open(encoding="utf-8", newline="") as file:
        sources = {row["source"] for row in csv.DictReader(file)}
    assert all(one.startswith(("litellm ", "by hand: ")) for one in sources)
