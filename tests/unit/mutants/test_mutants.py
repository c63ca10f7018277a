"""Which mistakes are made, and that a weak test lets one through where a strong one does not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from scripts.mutants import forks
from scripts.mutants.__main__ import Sampling, Trials, main, run_room, sample
from scripts.mutants.mutant import Mutant
from scripts.mutants.reached import Kept, Reached, files_below, named_by
from scripts.mutants.report import BEGIN, END, Result, Survivor, write_report
from scripts.mutants.rooms import (
    Equivalent,
    Room,
    candidates,
    changed_lines,
    mutants_of,
    read_equivalent,
    read_known,
    read_rooms,
)
from scripts.mutants.sql_mutants import sql_mutants
from scripts.mutants.trial import RoomFails, copied

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "tests/mutants"


def made(text: str, kind: str | None = None, *, name: str = "m.py") -> list[str]:
    """What the lines become."""
    return [one.after(text) for one in mutants_of(name, text) if kind in (None, one.kind)]


@pytest.mark.parametrize(
    ("code", "kind", "after"),
    [
        ("x = a < b\n", "comparison", ["x = a <= b"]),
        ("x = a is None\n", "comparison", ["x = a is not None"]),
        ("x = a in b\n", "comparison", ["x = a not in b"]),
        ("x = a <= (b) < c\n", "comparison", ["x = a < (b) < c", "x = a <= (b) <= c"]),
        ("x = (a < b)\n", "comparison", ["x = (a <= b)"]),
        ("x = a and b\n", "and/or", ["x = a or b"]),
        ("x = a and b\n", "condition dropped", ["x = a", "x = b"]),
        ("x = not (a or b)\n", "not dropped", ["x = (a or b)"]),
        ("x = [1, 4096]\n", "number", ["x = [2, 4096]"]),
        ("x = a - b\n", "arithmetic", ["x = a + b"]),
        ("x = home / 'a'\n", "arithmetic", []),
        ("x = f(a, key=b)\n", "argument dropped", ["x = f(a)"]),
        ("if a:\n    b()\n", "condition negated", ["if not (a):"]),
        ("if a:\n    b()\n", "call dropped", ["pass"]),
        ("def f():\n    a()\n    b()\n", "order swapped", ["b() a()"]),
        ("x = a if b else c\n", "one arm alone", ["x = a if (b) and False else c", "x = a if (b) or True else c"]),
        ("x = a.lstrip()\n", "other method", ["x = a.rstrip()"]),
        ("x: bool = True\n", "true/false", ["x: bool = False"]),
    ],
)  # fmt: skip
def test_python_is_changed_as_people_get_it_wrong(code: str, kind: str, after: list[str]) -> None:
    assert made(code, kind) == after


@pytest.mark.parametrize(
    "code",
    [
        'log.warning("too many", extra={"facts": 1 + 2})\n',
        'x = "text"\n',
        "time.sleep(1 + 1)\n",
        "x = time.monotonic() < ends_at\n",
        "from a import b\n",
        "def f(x: int | None) -> str | None: ...\n",
        "@dataclass(frozen=True)\nclass A:\n    a: str\n",
        'x = Rule("pin", hints=("pin",), needs=NAME)\n',
    ],
)
def test_what_no_test_could_notice_is_left_alone(code: str) -> None:
    assert made(code) == []


@pytest.mark.parametrize(
    ("sql", "kind", "after"),
    [
        ("where a < b", "comparison", ["where a <= b"]),
        ("where a->>'$.b' = c", "comparison", ["where a->>'$.b' <> c"]),
        ("{% set a = 1 %}", "comparison", []),
        ("{% if a == b %}", "comparison", ["{% if a != b %}"]),
        ("{% if a != b %}", "comparison", ["{% if a == b %}"]),
        ("left join b on true", "join", ["inner join b on true"]),
        ("over (partition by a, b order by ts, id)", "order turned", ["over (partition by a, b order by ts desc, id)", "over (partition by a, b order by ts, id desc)"]),
        ("over (partition by a, b order by ts, id)", "order without its last term", ["over (partition by a, b order by ts)"]),
        ("over (partition by a, b order by ts, id)", "partition without its last column", ["over (partition by a order by ts, id)"]),
        ("order by a desc, b asc", "order turned", ["order by a, b asc", "order by a desc, b desc"]),
        ("rows between unbounded preceding and current row", "frame", ["rows between 1 preceding and current row", "rows between unbounded preceding and unbounded following", "range between unbounded preceding and current row"]),
        ("    where\n        a = 1\n        and b = 2\n", "predicate dropped", ["true", "and true"]),
        ("{% if a\n        and b -%}\n", "predicate dropped", []),
        ("select min(ts)", "min/max", ["select max(ts)"]),
        ("select coalesce(a, f(b, c), 0) as d", "coalesce left out", ["select (a) as d"]),
        ("interval 6 day", "off by one", ["interval 7 day"]),
        ("interval '6 days'", "off by one", ["interval '7 days'"]),
        ("select 'a < 1 and min(b)' -- c < 1", None, []),
        ("{# a < 1 #}", None, []),
        ("{% macro snowflake__a() %}\n    a < b\n", None, []),
        ("{% macro default__a() %}\n    a < b\n{% macro duckdb__a() %}\n    a\n", None, []),
        ("{% macro default__a() %}\n    a < b\n", "comparison", ["a <= b"]),
        ("where exists (\n    select 1\n)", "off by one", []),
        ("create or replace table if not exists a", None, []),
        ("where a is null", "null", ["where a is not null"]),
    ],
)  # fmt: skip
def test_sql_is_changed_as_people_get_it_wrong(
    sql: str, kind: str | None, after: list[str]
) -> None:
    assert made(sql, kind, name="m.sql") == after


def test_what_snowflake_alone_renders_is_changed_where_nothing_else_is() -> None:
    sql = "{% macro snowflake__a() %}\n    a < b\n"
    assert made(sql, name="macros/governance/a.sql") == ["a <= b"]
    assert made(sql, name="macros/sql/a.sql") == []


def test_every_mutant_of_a_python_file_can_be_read_and_is_another_program() -> None:
    from scripts.mutants.python_mutants import can_be_read, python_mutants

    text = (ROOT / "uploader/batching.py").read_text(encoding="utf-8")
    mutants = python_mutants("uploader/batching.py", text)
    assert len({one.apply(text) for one in mutants}) == len(mutants) > 40
    assert all(one.before(text) != one.after(text) for one in mutants)
    assert all(can_be_read(one.apply(text)) for one in mutants)
    assert not can_be_read("x = = 1")


def test_a_mutant_is_told_on_one_line() -> None:
    mutant = Mutant("a.py", "x", 10, 11, "c")
    assert mutant.diff("if (\n    a == b\n):\n") == "a.py:2: - a == b + ac== b"


TOY = """\
def inside(x, low, high):
    return low <= x < high
"""
WEAK = "from toy import weak\n\ndef test_inside():\n    assert weak.inside(5, 1, 9)\n"
STRONG = (
    "from toy import strong\n\n"
    "def test_inside():\n"
    "    assert [strong.inside(x, 1, 3) for x in range(4)] == [False, True, True, False]\n"
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the same function twice, tested badly and well."""
    root = tmp_path_factory.mktemp("toy")
    files = {
        "toy/__init__.py": "",
        "toy/weak.py": TOY,
        "toy/strong.py": TOY,
        "toy/alone.py": TOY,
        "tests/test_weak.py": WEAK,
        "tests/test_strong.py": STRONG,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


def test_a_weak_test_lets_mutants_through_and_a_strong_one_does_not(toy: Path) -> None:
    room = Room("toy", ("toy",), ("tests",))
    chosen, of = sample(toy, room, Sampling(seed=1, count=100), [])
    assert len(chosen) == of == 6, "two of each module"
    chosen = [one for one in chosen if one.replacement == "low <= x <= high"]
    with copied(toy, seed=1, imported=()) as copy:
        (copy.root / "scripts").symlink_to(ROOT / "scripts")
        trials = Trials(room, copy, copy.reached(room.tests, ["toy"]))
        result = run_room(trials, chosen, of, Sampling(seed=1))
        assert (copy.root / "toy/weak.py").read_text(encoding="utf-8") == TOY
    assert not copy.root.exists()
    assert (toy / "toy/weak.py").read_text(encoding="utf-8") == TOY
    told = {(one.diff.partition(":")[0], one.tests) for one in result.survivors}
    assert told == {
        ("toy/weak.py", "tests/test_weak.py"),
        ("toy/alone.py", "no test of tests reaches it"),
    }
    assert (result.tried, result.noticed) == (3, 1)


def test_what_tests_reach_is_kept_until_something_changes_that_they_reach(
    toy: Path, tmp_path: Path
) -> None:
    kept = Kept(tmp_path / "kept")
    files = ["tests/test_strong.py", "tests/test_weak.py"]
    lines = {"toy/strong.py": {1: frozenset({""}), 2: frozenset({f"{files[0]}::test_inside"})}}
    reached = Reached({f"{files[0]}::test_inside": 0.5}, lines)
    assert kept.read(files[0], toy) is None
    kept.write(files[0], reached, toy)
    assert kept.read(files[0], toy) == reached
    assert kept.read(files[1], toy) is None
    for file in ("toy/strong.py", files[0]):
        path, text = toy / file, (toy / file).read_text(encoding="utf-8")
        path.write_text(f"{text}\n", encoding="utf-8")
        assert kept.read(files[0], toy) is None, file
        path.write_text(text, encoding="utf-8")
    (toy / "toy/weak.py").write_text(f"{TOY}\n", encoding="utf-8")
    assert kept.read(files[0], toy) == reached, "of what it doesn't reach"
    (toy / "toy/weak.py").write_text(TOY, encoding="utf-8")
    (toy / "tests/conftest.py").touch()
    assert kept.read(files[0], toy) is None, "what it shares with its neighbours"
    (toy / "tests/conftest.py").unlink()
    assert files_below(["tests"], toy) == files


def test_a_mutant_that_never_ends_counts_as_noticed_and_red_tests_say_nothing(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "LOOK_SECONDS", 0.1)
    text = "import time\n\ndef test_long():\n    time.sleep(0)\n"
    with copied(toy, seed=1, imported=()) as copy:
        (copy.root / "scripts").symlink_to(ROOT / "scripts")
        (copy.root / "tests/test_long.py").write_text(text, encoding="utf-8")
        start = text.index("0)")
        mutant = Mutant("tests/test_long.py", "x", start, start + 1, "60")
        assert copy.is_noticed(mutant, ["tests/test_long.py"], seconds=2.0)
        (copy.root / "tests/test_long.py").write_text("assert False\n", encoding="utf-8")
        with pytest.raises(RoomFails, match="pytest ends with 2"):
            copy.reached(["tests/test_long.py"], ["toy"])
        red = "def test_red():\n    assert False\n"
        (copy.root / "tests/test_long.py").write_text(red, encoding="utf-8")
        with pytest.raises(RoomFails, match=r"these fail: tests/test_long.py::test_red"):
            copy.reached(["tests/test_long.py"], ["toy"])


def test_a_run_is_measured_by_what_it_spends_and_sleeps_and_not_by_how_long_it_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(forks.time, "monotonic", lambda: clock[0])
    watched = forks.Watched(os.getpid())
    first = watched.spent()
    assert first > 0
    clock[0] = 1_000.0  # in which this process runs, or would if it were let
    second = watched.spent()
    assert second - first < 500
    monkeypatch.setattr(forks.psutil.Process, "status", lambda _: forks.psutil.STATUS_SLEEPING)
    clock[0] = 2_000.0
    assert watched.spent() - second >= 999  # 1,000, but for how floats are rounded


def test_a_line_that_runs_at_import_is_noticed_by_who_uses_the_module() -> None:
    reached = Reached(
        {"a": 2.0, "b": 1.0},
        {"m.py": {1: frozenset({""}), 3: frozenset({"a", "b"}), 4: frozenset({"", "a"})}},
    )
    text = "LIMIT = 1\n\nx = 1 < LIMIT\ny = 2\nz = 3\n"

    def tests(line: int) -> list[str]:
        start = sum(len(one) for one in text.splitlines(True)[: line - 1])
        return reached.tests(Mutant("m.py", "x", start, start + 1, "?"), text)

    assert [tests(line) for line in (1, 3, 4, 5)] == [["b", "a"], ["b", "a"], ["a"], []]


def test_of_what_a_module_holds_who_imports_it_is_asked(tmp_path: Path) -> None:
    texts = {
        "t/a.py": "from pack.mod import LIMIT\n",
        "t/b.py": "from pack import other, mod\n",
        "t/c.py": "from pack.model import LIMIT\nfrom pack import other\n",
        "t/d.py": "    import pack.mod\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    lines = {1: frozenset({""}), 2: frozenset({"", "t/c.py::x"}), 3: frozenset({"t/c.py::x"})}
    reached = Reached({f"{name}::x": 1.0 for name in texts}, {"pack/mod.py": lines})
    assert reached.naming("pack/mod.py", tmp_path) == ["t/a.py::x", "t/b.py::x", "t/d.py::x"]
    text = "A = 1\nB = 2\nC = 3\n"
    places = [Mutant("pack/mod.py", "x", at, at + 1, "?") for at in (4, 10, 16)]
    assert [reached.is_at_import(one, text) for one in places] == [True, False, False]


def test_what_is_made_before_a_test_is_reached_by_all_of_its_file() -> None:
    of_file = {"t/a.py": {"t/a.py::x", "t/a.py::y"}}
    assert named_by("t/a.py::x", of_file) == {"t/a.py::x"}
    assert named_by("t/a.py::x (call)", of_file) == {"t/a.py::x"}
    assert named_by("t/a.py::x[a (b)]", of_file) == {"t/a.py::x[a (b)]"}
    assert named_by("t/a.py::x (setup)", of_file) == {"t/a.py::x", "t/a.py::y"}
    assert named_by("", of_file) == {""}


def test_where_no_test_is_in_a_module_all_of_the_room_are_asked() -> None:
    reached = Reached({"t/a": 2.0, "t/b": 1.0, "u/c": 0.1}, {"m.py": {1: frozenset({""})}})
    mutant = Mutant("m.py", "x", 0, 1, "?")
    assert reached.among(["t"]).tests(mutant, "x = 1\n") == ["t/b", "t/a"]


def test_what_takes_long_is_asked_as_far_as_time_goes() -> None:
    reached = Reached({"t/a": 1.0, "t/b": 2.0, "t/c": 3.0}, {})
    assert reached.within(["t/a", "t/b", "t/c"], 3.0) == ["t/a", "t/b"]


def test_of_a_long_line_what_changed_is_shown() -> None:
    text = f"f({'a, ' * 50}key=1, {'b, ' * 50})\n"
    start = text.index("1")
    shown = Mutant("a.py", "x", start, start + 1, "2").diff(text)
    assert len(shown) < 180
    assert "key=1, b" in shown
    assert "key=2, b" in shown


def test_only_changed_lines_are_mutated_where_a_base_is_given(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    git("init", "-q", "-b", "main")
    (tmp_path / "a.py").write_text("x = a < b\ny = c < d\n", encoding="utf-8")
    git("add", ".")
    git("commit", "-q", "-m", "a")
    (tmp_path / "a.py").write_text("x = a < b\ny = c > d\n", encoding="utf-8")
    assert changed_lines(tmp_path, "main") == {"a.py": {2}}
    chosen, of = sample(tmp_path, Room("a", ("a.py",)), Sampling(seed=1, base="main"), [])
    assert (of, [one.kind for one in chosen]) == (1, ["comparison"])


def test_equivalent_mutants_stand_with_a_reason_as_long_as_they_can_be_made() -> None:
    marked = read_equivalent(FOLDER / "equivalent.toml")
    for file in {one.file for one in marked}:
        text = (ROOT / file).read_text(encoding="utf-8")
        made = {(one.before(text), one.after(text)) for one in mutants_of(file, text)}
        for one in marked:
            assert one.reason
            assert one.file != file or (one.before, one.after) in made, (
                f"{file} has no {one.before!r} that becomes {one.after!r} any more"
            )


def test_a_marked_mutant_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = a < b\n", encoding="utf-8")
    marked = Equivalent("a.py", "x = a < b", "x = a <= b", "never equal")
    assert candidates(tmp_path, ["a.py"], [marked]) == []
    assert len(candidates(tmp_path, ["a.py"], [])) == 1


def test_every_module_model_macro_and_template_is_in_a_room_and_its_tests_are_there() -> None:
    rooms = read_rooms(FOLDER / "rooms.toml")
    listed = [file for room in rooms.values() for file in room.files(ROOT)]
    assert len(listed) == len(set(listed)), "in one room each"
    left_out = {
        path.relative_to(ROOT).as_posix()
        for folder in ("cdesk", "mcp_shim", "uploader", "cdesk_app", "models", "macros", "analyses")
        for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.sql")]
        if "_prebuilt" not in path.parts and path.read_text(encoding="utf-8").strip()
    } - set(listed)
    patterns = [pattern for room in rooms.values() for pattern in room.without]
    unplaced = {one for one in left_out if not any(Path(one).match(p) for p in patterns)}
    assert unplaced <= {f"{package}/__init__.py" for package in ("cdesk", "cdesk_app")}
    for room in rooms.values():
        assert room.tests or room.by_file, room.name
        named = [*room.tests, *room.further, *(test for one in room.by_file for test in one.tests)]
        files = [test.partition("::")[0] for test in named]
        assert [file for file in files if not (ROOT / file).exists()] == []
        if room.by_file:
            assert [file for file in room.files(ROOT) if room.tests_of(file) is None] == []


def test_every_known_mistake_can_still_be_made_and_names_its_test() -> None:
    for known in read_known(FOLDER / "known_holes.toml"):
        text = (ROOT / known.file).read_text(encoding="utf-8")
        assert known.mutant(text).apply(text) != text
        file, _, name = known.test.partition("::")
        assert f"def {name.rpartition('::')[2] or name}(" in (ROOT / file).read_text(
            encoding="utf-8"
        )


def test_a_report_renews_the_rooms_of_a_run_and_keeps_the_others(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\n{END}\nafter\n", encoding="utf-8")
    one = Result("b", 4, 90, 7, None, [Survivor("b.py:1: - x < 1 + x <= 1", "tests/test_b.py")])
    write_report(page, [one], ["a", "b"])
    write_report(page, [Result("a", 3, 1_200, 8, "main", [])], ["a", "b"])
    assert page.read_text(encoding="utf-8") == (
        f"before\n{BEGIN}\n"
        "**a**: 100% noticed (3 of 3, drawn from 1,200 changed since main with seed 8).\n\n"
        "**b**: 75% noticed (3 of 4, drawn from 90 with seed 7).\n\n"
        "- `b.py:1: - x < 1 + x <= 1` (tests/test_b.py)\n"
        f"{END}\nafter\n"
    )
    write_report(page, [Result("b", 4, 90, 9, None, [])], ["a", "b"])
    assert "b.py:1" not in page.read_text(encoding="utf-8")
    page.write_text("no place", encoding="utf-8")
    with pytest.raises(ValueError, match="no place"):
        write_report(page, [one], ["b"])


def test_sql_mutants_change_what_they_say() -> None:
    for path in sorted((ROOT / "models").rglob("*.sql"))[:8]:
        text = path.read_text(encoding="utf-8")
        mutants = sql_mutants(path.name, text)
        assert all(one.apply(text) != text for one in mutants)
        assert len({one.apply(text) for one in mutants}) == len(mutants)


def test_the_command_tells_its_rooms(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nowhere"])
    assert ended.value.code == 2
    assert "uploader" in capsys.readouterr().err
