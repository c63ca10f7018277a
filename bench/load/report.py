"""The figures of a run: in words on the terminal, and as a page with plots for the docs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load.client import percentile
from bench.load.phases import TOOLS, Abused, Connected, Hostile, Killed, People, Ramp
from bench.load.servers import machine

LIMITS: Final = {"get_context": 25.0, "log_event": 10.0, "log_insight": 10.0, "submit_query": 50.0}
"""Milliseconds, 95th percentile, of the mission. get_result has none."""
LOG_LIMIT_MS: Final = 10.0
TURN_LIMIT_MS: Final = 300.0
LAG_LIMIT_S: Final = 5.0


@dataclass(slots=True)
class Results:
    """What has run; None for what has not."""

    at: str
    people: People | None = None
    ramp: Ramp | None = None
    connected: Connected | None = None
    abuser: Abused | None = None
    hostile: Hostile | None = None
    killed: Killed | None = None


def people_lines(found: People) -> list[str]:
    lines = [
        f"{found.users:,} users, {found.seconds:g} s, {found.ours.calls:,} calls, "
        f"{found.think[0]:g} to {found.think[1]:g} s between a user's calls"
        + (", the worker beside it" if found.worked else "")
    ]
    lines.append(f"{'':<18}{'p50 ms':>9}{'p95 ms':>9}{'limit':>8}{'bare p95':>10}{'ratio':>7}")
    rows: list[tuple[str, list[float], float | None, float]] = [
        (tool, found.ours.all_times(tool), LIMITS.get(tool), found.floor(tool)) for tool in TOOLS
    ]
    rows.append(("all", found.ours.all_times(), None, found.floor()))
    rows.append(
        (
            "first token path",
            found.ours.turns,
            TURN_LIMIT_MS,
            percentile(found.bare.turns, 0.95),
        )
    )
    for name, times, limit, floor in rows:
        p95 = percentile(times, 0.95)
        lines.append(
            f"{name:<18}{percentile(times, 0.5):>9.2f}{p95:>9.2f}"
            f"{'' if limit is None else f'{limit:g}':>8}{floor:>10.2f}{p95 / floor:>7.2f}"
        )
    counted = found.counted
    lines.append(
        f"errors: {dict(found.ours.failures) or 0}; acknowledged {counted.acknowledged:,}, "
        f"lost {counted.lost}, twice {counted.twice}; counted in the "
        f"{'warehouse' if found.worked else 'queue'}"
    )
    if found.worked:
        lines.append(f"ingestion lag p95 {found.lag_p95:.2f} s (limit {LAG_LIMIT_S:g})")
    lines += [
        f"memory of the {name}: at most {found.memory.most(name):.0f} MiB, "
        f"{found.memory.slope(name):+.2f} MiB a minute over the second half"
        for name in found.memory.seen
    ]
    return lines


def ramp_lines(found: Ramp) -> list[str]:
    lines = [f"{'offered/s':>10}{'answered':>10}{'p95 ms':>9}   {'bare':>8}{'p95 ms':>9}"]
    for number in range(max(len(found.ours), len(found.bare))):
        left = found.ours[number] if number < len(found.ours) else None
        right = found.bare[number] if number < len(found.bare) else None
        offered = left or right
        assert offered is not None
        lines.append(
            f"{offered.offered:>10,.0f}"
            + (f"{left.answered:>10,.0f}{left.p95:>9.1f}" if left else f"{'–':>10}{'–':>9}")
            + (f"   {right.answered:>8,.0f}{right.p95:>9.1f}" if right else f"   {'–':>8}{'–':>9}")
        )
    lines.append(
        f"knee: {found.knee(found.ours):,.0f} calls/s, bare {found.knee(found.bare):,.0f}, "
        f"ratio {found.ratio:.2f}"
    )
    return lines


def connected_lines(found: Connected) -> list[str]:
    failures = {**found.connecting.failures, **found.tally.failures}
    return [
        f"{found.users:,} connected: {found.tally.calls:,} calls, p95 {found.tally.p95():.2f} ms, "
        f"errors: {failures or 0}; memory of the service at most "
        f"{found.memory.most('service'):.0f} MiB"
    ]


def abuser_lines(found: Abused) -> list[str]:
    refused = found.abuser.failures.get("429", 0)
    return [
        f"one abuser on 16 connections ({found.abuser.calls + refused:,} calls, {refused:,} "
        f"refused by 429): p95 of {found.users} others {found.calm.p95():.2f} ms without, "
        f"{found.abused.p95():.2f} ms with, ratio {found.ratio:.2f}; their errors: "
        f"{dict(found.abused.failures) or 0}"
    ]


def hostile_lines(found: Hostile) -> list[str]:
    lines = [
        f"{'ok ' if one.is_right else 'NOT'} {one.name}: {', '.join(sorted(set(one.seen)))} "
        f"after {one.seconds:.1f} s"
        for one in found.outcomes
    ]
    lines.append(
        f"others meanwhile: {found.others.calls:,} calls, p95 {found.others.p95():.2f} ms, "
        f"errors: {dict(found.others.failures) or 0}; the service "
        + ("stands" if found.stands else "ENDED")
    )
    return lines


def killed_lines(found: Killed) -> list[str]:
    return [
        f"one of {found.processes} service processes and the worker killed under load: "
        f"{found.tally.calls:,} calls, errors after retries: {dict(found.tally.failures) or 0}; "
        f"acknowledged {found.counted.acknowledged:,}, lost {found.counted.lost}, "
        f"twice {found.counted.twice}"
    ]


def problems(found: Results) -> list[str]:
    """What must not be, whatever the machine: lost records, errors, wrong answers."""
    wrong = []
    if (people := found.people) is not None:
        if people.ours.failures or people.counted.lost or people.counted.twice:
            wrong.append("people: errors or lost or doubled records")
        if not people.counted.acknowledged:
            wrong.append("people: nothing was acknowledged")
    if (many := found.connected) is not None and (many.tally.failures or many.connecting.failures):
        wrong.append("connected: errors")
    if (abuser := found.abuser) is not None and (
        abuser.abused.failures or not abuser.abuser.failures.get("429")
    ):
        wrong.append("abuser: others met errors, or nothing was refused")
    if (hostile := found.hostile) is not None and (
        not all(one.is_right for one in hostile.outcomes)
        or hostile.others.failures
        or not hostile.stands
    ):
        wrong.append("hostile: a wrong answer, or others met errors")
    if (killed := found.killed) is not None and (
        killed.tally.failures or killed.counted.lost or killed.counted.twice
    ):
        wrong.append("killed: errors after retries, or lost or doubled records")
    return wrong


def missed(found: Results) -> list[str]:
    """Targets that this run on this machine did not reach."""
    over = []
    if (people := found.people) is not None:
        for tool, limit in LIMITS.items():
            if people.ours.p95(tool) >= limit:
                over.append(f"{tool} p95 {people.ours.p95(tool):.1f} ms, limit {limit:g}")
        if percentile(people.ours.turns, 0.95) >= TURN_LIMIT_MS:
            over.append("first token path")
        if people.worked and not people.lag_p95 < LAG_LIMIT_S:
            over.append(f"ingestion lag p95 {people.lag_p95:.2f} s, limit {LAG_LIMIT_S:g}")
        if people.bare.calls and people.ratio > 1.3:
            over.append(f"p95 {people.ratio:.2f} × the bare server's, aim 1.3")
    if found.ramp is not None and found.ramp.ratio < 0.7:
        over.append(f"knee at {found.ramp.ratio:.2f} × the bare server's, aim 0.7")
    if found.abuser is not None and found.abuser.ratio > 2:
        over.append(f"an abuser moves others' p95 by {found.abuser.ratio:.2f} ×, aim 2")
    return over


SECTIONS: Final = {
    "people": "People who think",
    "ramp": "To the knee",
    "connected": "Many connected",
    "abuser": "One abusive user",
    "hostile": "Clients that break the rules",
    "killed": "Processes killed under load",
}


def lines_of(found: Results) -> dict[str, list[str]]:
    """Phase → its lines, of those that have run."""
    makers = {
        "people": (found.people, people_lines),
        "ramp": (found.ramp, ramp_lines),
        "connected": (found.connected, connected_lines),
        "abuser": (found.abuser, abuser_lines),
        "hostile": (found.hostile, hostile_lines),
        "killed": (found.killed, killed_lines),
    }
    return {name: make(part) for name, (part, make) in makers.items() if part is not None}  # type: ignore[operator]


HEAD: Final = """# Under load

Written by `make load`, section by section: one that a run left out (`--only`) stays as it was. Load
generator, service, worker and bare server share the processors. Figures are milliseconds as the
caller sees them; the bare server is one of the same SDK that answers a constant, asked by the same
people in the same run, by turns. A first token path is a person's latest get_context, log_event and
submit_query together.
"""


def write_page(found: Results, path: Path, command: str) -> None:
    """The page, and its plots beside it under `img/`."""
    plots = draw(found, path.parent / "img")
    sections = _kept_sections(path)
    for name, lines in lines_of(found).items():
        text = [f"Run on {found.at[:10]} by `{command}`, {machine()}.", ""]
        if name in plots:
            text += [f"![{SECTIONS[name]}](img/{plots[name]})", ""]
        text += ["```text", *lines, "```"]
        if over := missed(Results(found.at, **{name: getattr(found, name)})):
            text += ["", "Not reached:", "", *(f"- {one}" for one in over)]
        sections[SECTIONS[name]] = "\n".join(text)
    ordered = [
        f"## {title}\n\n{sections[title]}\n" for title in SECTIONS.values() if title in sections
    ]
    path.write_text("\n".join([HEAD, *ordered]), encoding="utf-8")


def _kept_sections(path: Path) -> dict[str, str]:
    """Title → text, of a page that an earlier run wrote."""
    if not path.exists():
        return {}
    parts = path.read_text(encoding="utf-8").split("\n## ")[1:]
    return {title: text.strip() for title, _, text in (part.partition("\n") for part in parts)}


def draw(found: Results, folder: Path) -> dict[str, str]:
    """Phase → the name of its picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "cdesk"  # the same figures draw the same file
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    if (people := found.people) is not None:
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(10, 3.6), width_ratios=(2, 1), layout="constrained"
        )
        for tool in TOOLS:
            times = sorted(people.ours.all_times(tool))
            left.plot(times, [n / len(times) for n in range(len(times))], label=tool)
        floor = sorted(people.bare.all_times())
        left.plot(
            floor, [n / len(floor) for n in range(len(floor))], "--", color="#888", label="bare"
        )
        left.axhline(0.95, color="#bbb", linewidth=1)
        left.set_xscale("log")
        left.set_xlabel("milliseconds")
        left.set_ylabel("share of calls answered")
        left.legend(fontsize=8)
        for name, points in people.memory.seen.items():
            right.plot([x for x, _ in points], [y for _, y in points], label=name)
        right.set_ylim(bottom=0)
        right.set_xlabel("seconds")
        right.set_ylabel("MiB resident")
        right.legend(fontsize=8)
        made["people"] = "load_people.svg"
        figure.savefig(folder / made["people"], metadata={"Date": None})
        plt.close(figure)
    if found.ramp is not None:
        figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
        for name, steps, style in (
            ("service", found.ramp.ours, "o-"),
            ("bare", found.ramp.bare, "o--"),
        ):
            axes.plot(
                [one.answered for one in steps], [one.p95 for one in steps], style, label=name
            )
        axes.axhline(100, color="#bbb", linewidth=1)
        axes.set_yscale("log")
        axes.set_xlabel("calls answered a second")
        axes.set_ylabel("p95, milliseconds")
        axes.legend(fontsize=8)
        made["ramp"] = "load_ramp.svg"
        figure.savefig(folder / made["ramp"], metadata={"Date": None})
        plt.close(figure)
    return made
