"""The figures as a picture for the docs. Needs matplotlib (the `dev` extra)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TOOLS = ("log_event", "log_insight", "submit_query", "get_result", "get_context")


def draw(results: dict[str, Any], path: Path) -> None:
    """p50 and p95 of each tool between floor and stock; start and RSS against the stock. SVG or PNG
    by the file's name.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "cdesk"  # the same figures draw the same file
    from matplotlib import pyplot as plt

    calls, start, weight = results["calls"], results["start"], results["weight"]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.6), width_ratios=(2.4, 1), layout="constrained"
    )
    names = ["floor echo", *TOOLS, "stock echo"]
    colours = ["#9aa5b1", *["#2f6f9f"] * len(TOOLS), "#c46b3b"]
    left.barh(
        names, [calls[name]["p95_ms"] for name in names], color=colours, alpha=0.35, label="p95"
    )
    left.barh(
        names, [calls[name]["p50_ms"] for name in names], color=colours, height=0.45, label="p50"
    )
    left.axvline(0.5 * calls["stock echo"]["p95_ms"], color="#c46b3b", linestyle=":", linewidth=1)
    left.text(0.5 * calls["stock echo"]["p95_ms"], -0.9, "0.5 × stock p95", fontsize=8, ha="center")
    left.set_xlabel("ms a call over stdio (dark p50, light p95)")
    left.invert_yaxis()
    shares = {
        "first tools/list": start["cdesk"]["tools_list_s"] / start["stock"]["tools_list_s"],
        "first call": start["cdesk"]["first_call_s"] / start["stock"]["first_call_s"],
        "RSS": weight["cdesk"]["rss_mib"] / weight["stock"]["rss_mib"],
    }
    right.bar(list(shares), list(shares.values()), color="#2f6f9f")
    right.axhline(1, color="#c46b3b", linewidth=1)
    right.text(2.4, 1.02, "stock", fontsize=8, ha="right")
    for number, value in enumerate(shares.values()):
        right.text(number, value + 0.02, f"{value:.2f}", ha="center", fontsize=8)
    right.set_ylabel("× the stock echo server")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
