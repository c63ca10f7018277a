"""docs/reliability.md: what a chaos run did and what it came to."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from chaos_harness import Outcome

TARGET = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
HEAD = """# Reliability

Written by `make chaos`; do not edit. The promise: a record that was acknowledged lands exactly
once, or stands in quarantine with its reason, or was shed by declared policy and counted. Each
round starts real processes, hurts them, and then holds what was acknowledged against what stands in
the warehouse.

Last run: {date}, {system}. {rounds} rounds, {records:,} acknowledged records,
{kills} kills with SIGKILL: **{lost} lost, {doubled} doubled**.

| scenario | rounds | acknowledged | kills | lost | doubled | quarantined | recovery, median | worst |
|---|--:|--:|--:|--:|--:|--:|--:|--:|
"""
TAIL = """
*lost*: acknowledged, and neither landed nor quarantined. *doubled*: ids that stand twice in
`landing` where nobody put a file there twice; where a scenario copies files or brings old ones
back, `landing` may hold a record twice, and `events` once. *quarantined*: lines that the killing
tore, or the scenario corrupted. *recovery*: from the last fault until a fresh uploader, its start
included, has drained the queue.

A round prints its seed; `CDESK_CHAOS_SEED=<seed> make chaos` (or pytest on one scenario) runs it
again with the same choices. Which instant a signal meets is up to the machine.

## What survives what

| `CDESK_DURABILITY` | survives | costs (`python -m bench.ingest` prints it) |
|---|---|---|
| `os`, the default | the death of the process, at any instruction | one write, a few microseconds |
| `disk` | the loss of power as well | one sync of the disk for each record, or for all that wait for it: milliseconds |
"""


def write_report(outcomes: list[Outcome]) -> None:
    by_scenario: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_scenario.setdefault(outcome.scenario, []).append(outcome)
    strict = [
        one
        for one in outcomes
        if "brought back" not in one.scenario and "mangled" not in one.scenario
    ]
    text = HEAD.format(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        rounds=len(outcomes),
        records=sum(one.acknowledged for one in outcomes),
        kills=sum(one.kills for one in outcomes),
        lost=sum(one.lost for one in outcomes),
        doubled=sum(one.doubled for one in strict),
    )
    for scenario, rounds in by_scenario.items():
        seconds = [one.recovery_seconds for one in rounds]
        doubled = sum(one.doubled for one in rounds)
        text += (
            f"| {scenario} | {len(rounds)} | {sum(one.acknowledged for one in rounds):,} | "
            f"{sum(one.kills for one in rounds)} "
            f"| {sum(one.lost for one in rounds)} | {doubled} | "
            f"{sum(one.quarantined for one in rounds):,} "
            f"| {median(seconds):.1f} s | {max(seconds):.1f} s |\n"
        )
    TARGET.write_text(text + TAIL, encoding="utf-8")
