"""Counts of several processes: sums are right whoever lives, dies or is folded meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdesk.core.clock import IdSource
from cdesk.core.home import StateDirectory
from cdesk.core.metrics import (
    ERRORS,
    METRICS,
    MOST_SERIES,
    OTHER,
    RECORDS_LANDED,
    TOOL_CALL_SECONDS,
    TOOL_CALLS,
    UNITS,
)
from cdesk.state.counts import (
    ENDED,
    Counts,
    Series,
    counting,
    decode,
    encode,
    fold_ended,
    merge,
    read_counts,
)

IDS = IdSource()


def process(home: StateDirectory) -> Counts:
    return Counts(home, IDS.uuid7().replace("-", ""))


def landed(home: StateDirectory) -> float:
    return read_counts(home).get(RECORDS_LANDED, {}).get((), Series()).value


def test_counts_of_several_processes_add_up(state_home: StateDirectory) -> None:
    one, two = process(state_home), process(state_home)
    one.add(RECORDS_LANDED, by=3)
    two.add(RECORDS_LANDED, by=4)
    for seconds in (0.003, 0.02, 9.0, 99.0):
        one.observe(TOOL_CALL_SECONDS, seconds, "get_context", "stdio")
    two.observe(TOOL_CALL_SECONDS, 0.003, "get_context", "stdio")
    for counts in (one, two):
        counts.flush()
    assert landed(state_home) == 7
    series = read_counts(state_home)[TOOL_CALL_SECONDS][("get_context", "stdio")]
    seen = dict(zip([*TOOL_CALL_SECONDS.buckets, "beyond"], series.buckets or [], strict=True))
    assert {bound: count for bound, count in seen.items() if count} == {
        0.005: 2,
        0.025: 1,
        30.0: 1,
        "beyond": 1,
    }
    assert series.value == pytest.approx(108.026)


def test_a_value_on_a_bound_counts_below_it(state_home: StateDirectory) -> None:
    counts = process(state_home)
    counts.observe(TOOL_CALL_SECONDS, 0.3, "get_context", "stdio")
    counts.flush()
    series = read_counts(state_home)[TOOL_CALL_SECONDS][("get_context", "stdio")]
    assert series.buckets is not None
    assert series.buckets.index(1) == TOOL_CALL_SECONDS.buckets.index(0.3)


def test_what_a_dead_process_left_is_folded_once_and_its_files_go(
    state_home: StateDirectory,
) -> None:
    living, dead = process(state_home), process(state_home)
    living.add(RECORDS_LANDED, by=1)
    living.flush()
    dead.add(RECORDS_LANDED, by=10)
    dead.close()
    assert landed(state_home) == 11
    assert fold_ended(state_home) == 1
    assert landed(state_home) == 11
    assert fold_ended(state_home) == 0
    assert len(list(state_home.metrics.glob("*.json"))) == 2, "the living one's, and ended.json"
    living.close()
    assert fold_ended(state_home) == 1
    assert landed(state_home) == 11


def test_a_file_that_was_folded_and_could_not_be_removed_is_not_counted_twice(
    state_home: StateDirectory,
) -> None:
    dead = process(state_home)
    dead.add(RECORDS_LANDED, by=10)
    dead.close()
    left = next(state_home.metrics.glob("*.json"))
    text = left.read_bytes()
    fold_ended(state_home)
    left.write_bytes(text)  # the machine stopped between ended.json and the removal
    assert landed(state_home) == 10
    fold_ended(state_home)
    assert landed(state_home) == 10
    assert not left.exists()


def test_a_killed_process_leaves_what_it_had_handed_over(state_home: StateDirectory) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from cdesk.core.home import StateDirectory; from cdesk.core.metrics import RECORDS_LANDED\n"
        "from cdesk.state.counts import Counts\n"
        "counts = Counts(StateDirectory(Path(sys.argv[1])), 'f' * 32)\n"
        "counts.add(RECORDS_LANDED, by=5); counts.flush(); counts.add(RECORDS_LANDED)\n"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(state_home.root)], check=False, timeout=60)
    assert landed(state_home) == 5
    assert fold_ended(state_home) == 1
    assert landed(state_home) == 5


def test_what_is_counted_again_and_again_is_the_same_series(state_home: StateDirectory) -> None:
    counts = process(state_home)
    landed_one = counts.counter(RECORDS_LANDED)
    labels = ("get_context", "stdio")
    timed = counts.timer(TOOL_CALL_SECONDS, labels, TOOL_CALLS, (*labels, "ok"))
    counts.close()
    assert not list(state_home.metrics.glob("*.json")), "nothing has been counted yet"
    counts.add(RECORDS_LANDED)
    landed_one(2)
    counts.observe(TOOL_CALL_SECONDS, 0.1, *labels)
    timed(0.1)
    timed(40.0)
    counts.close()
    table = read_counts(state_home)
    assert landed(state_home) == 3
    seconds = table[TOOL_CALL_SECONDS][labels]
    assert seconds.value == pytest.approx(40.2)
    assert seconds.buckets is not None
    assert (sum(seconds.buckets), seconds.buckets[-1]) == (3, 1)
    assert table[TOOL_CALLS][(*labels, "ok")].value == 2


def test_threads_lose_no_count(state_home: StateDirectory) -> None:
    counts = process(state_home)

    def work() -> None:
        for _ in range(2_000):
            counts.add(RECORDS_LANDED)
            counts.observe(TOOL_CALL_SECONDS, 0.1, "get_context", "stdio")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts.close()
    assert landed(state_home) == 8_000


def test_a_metric_keeps_so_many_series_and_counts_the_rest_together(
    state_home: StateDirectory,
) -> None:
    counts = process(state_home)
    for number in range(MOST_SERIES + 50):
        counts.add(ERRORS, "component", f"code_{number}")
    counts.flush()
    series = read_counts(state_home)[ERRORS]
    assert len(series) == MOST_SERIES + 1
    assert series[(OTHER, OTHER)].value == 50


def test_no_label_holds_what_a_caller_chooses() -> None:
    """A customer, a session or a parameter in a label is a series for each of them."""
    allowed = {
        "basis", "code", "component", "credential", "file", "measure", "outcome", "part",
        "priority", "reason", "shown_in", "state", "status", "step", "target", "tool", "transport",
        "version",
    }  # fmt: skip
    assert {label for metric in METRICS for label in metric.labels} <= allowed


def test_names_and_units_keep_to_the_conventions() -> None:
    for metric in METRICS:
        assert metric.name.startswith("cdesk_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert bool(metric.buckets) == (metric.kind == "histogram"), metric.name
        assert metric.help.endswith("."), metric.name
        if metric.kind == "histogram":
            assert metric.unit in UNITS or metric.name.endswith("_records"), metric.name
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'{"series": 3}', b'{"series": [[1], ["cdesk_gone", [], 1, null]]}'],
)
def test_a_file_that_is_none_of_ours_counts_nothing(
    state_home: StateDirectory, text: bytes
) -> None:
    state_home.metrics.mkdir()
    (state_home.metrics / f"{'0' * 32}.json").write_bytes(text)
    (state_home.metrics / ENDED).write_bytes(text)
    assert read_counts(state_home) == {}


def test_a_disk_that_takes_nothing_costs_no_count(state_home: StateDirectory) -> None:
    counts = process(state_home)
    counts.add(RECORDS_LANDED, by=2)
    state_home.metrics.write_bytes(b"")  # no folder can be made there
    counts.flush()
    state_home.metrics.unlink()
    counts.flush()
    assert landed(state_home) == 2


def test_a_queued_line_is_counted_with_what_was_taken_out_of_it(
    state_home: StateDirectory,
) -> None:
    counts = process(state_home)
    appended = counting(counts, "stdio")
    appended(b'{"a":"[secret:token] and [secret:password]"}\n')
    appended(b'{"a":"nothing"}\n')
    counts.flush()
    told = {metric.name: found for metric, found in read_counts(state_home).items()}
    assert told["cdesk_records_queued_total"][("stdio",)].value == 2
    assert told["cdesk_redactions_total"][("stdio",)].value == 2


@settings(max_examples=40)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(("a", "b")), st.floats(0, 100, allow_nan=False)), max_size=8
        ),
        max_size=5,
    )
)
def test_the_sum_is_the_same_in_one_process_or_in_many(
    processes: list[list[tuple[str, float]]],
) -> None:
    alone, summed = Counts(), decode(None)
    for values in processes:
        one = Counts()
        for label, value in values:
            for counts in (alone, one):
                counts.observe(TOOL_CALL_SECONDS, value, label, "stdio")
        merge(summed, decode(orjson.loads(encode(one._table))))
    expected = decode(orjson.loads(encode(alone._table)))
    assert summed.keys() == expected.keys()
    for labels, series in expected.get(TOOL_CALL_SECONDS, {}).items():
        assert summed[TOOL_CALL_SECONDS][labels].buckets == series.buckets
        assert summed[TOOL_CALL_SECONDS][labels].value == pytest.approx(series.value)


def test_a_histogram_of_other_bounds_is_left_out_and_a_series_of_other_labels_too() -> None:
    name, whole = TOOL_CALL_SECONDS.name, [1] * (len(TOOL_CALL_SECONDS.buckets) + 1)
    series = [
        [name, ["a", "stdio"], 2.0, None],
        [name, ["a", "stdio"], 3.0, [1, 2]],
        [name, ["a"], 4.0, whole],
        [RECORDS_LANDED.name, ["a"], 5.0, None],
        [name, ["a", "stdio"], 6.0, whole],
        [RECORDS_LANDED.name, [], 7.0, None],
    ]
    table = decode({"series": series})
    found = table[TOOL_CALL_SECONDS][("a", "stdio")]
    assert (found.value, found.buckets) == (6.0, whole)
    assert {labels: one.value for labels, one in table[RECORDS_LANDED].items()} == {(): 7.0}


def test_who_has_counted_nothing_leaves_no_file(state_home: StateDirectory) -> None:
    process(state_home).close()
    assert not state_home.metrics.exists()


def test_without_a_state_directory_nothing_is_written(tmp_path: Path) -> None:
    counts = Counts()
    counts.add(RECORDS_LANDED)
    counts.close()
    assert list(tmp_path.iterdir()) == []
