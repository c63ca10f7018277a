"""Put small mistakes into a copy of a room, one at a time, and tell which no test notices.

    python -m scripts.mutants uploader
    python -m scripts.mutants query state --count 20 --seed 7 --minutes 10
    python -m scripts.mutants uploader --base main
    python -m scripts.mutants --known

Without a room: every one. Exits 1 where a score is below the bound or a known mistake goes unseen,
2 where a room's tests fail without a mutant.
"""

from __future__ import annotations

import argparse
import itertools
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scripts.mutants.mutant import Mutant
from scripts.mutants.reached import Kept, Reached
from scripts.mutants.report import Result, Survivor, write_report
from scripts.mutants.rooms import (
    Equivalent,
    Room,
    candidates,
    changed_lines,
    is_readable,
    read_equivalent,
    read_known,
    read_rooms,
)
from scripts.mutants.trial import LEAST_SECONDS, TIMES_LONGER, Copy, RoomFails, copied

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/mutants"
BOUND = 0.85
PACKAGES = ("cdesk", "cdesk_app", "mcp_shim", "uploader")
KEPT = ROOT / ".mutants"
KEPT_ANSWERS = "tests/integration/dbt/test_kept_answers.py"
"""What says of most mutants of SQL, on the first round that the tests of SQL share."""
OTHERS_SECONDS = 60.0
"""For the tests of a line outside of its module's own file, the fastest first."""
FILE_SECONDS = 900.0
"""For the tests of a file of which nobody knows how long they take."""


@dataclass(frozen=True)
class Sampling:
    """How many mutants of a room are tried, and which."""

    seed: int
    count: int = 25
    minutes: float = 15.0
    """No mutant is begun after these."""
    base: str | None = None
    """Only lines that changed since this commit."""


def sample(
    root: Path, room: Room, sampling: Sampling, equivalent: Sequence[Equivalent]
) -> tuple[list[Mutant], int]:
    """The mutants to try, and of how many they were drawn."""
    files = room.files(root)
    changed = changed_lines(root, sampling.base) if sampling.base else None
    if changed is not None:
        files = [file for file in files if file in changed]
    found = candidates(root, files, equivalent)
    texts = {file: (root / file).read_text(encoding="utf-8") for file in files}
    if changed is not None:
        found = [one for one in found if changed[one.file] & {*one.lines(texts[one.file])}]
    drawn = random.Random(sampling.seed).sample(found, len(found))
    readable = (one for one in drawn if is_readable(one, texts[one.file]))
    return list(itertools.islice(readable, sampling.count)), len(found)


@dataclass
class Trials:
    """Tries mutants of one room with its tests."""

    room: Room
    copy: Copy
    reached: Reached | None
    """None where tests are named by file."""
    is_whole: bool = False
    """Whether what survives is tried with the tests that take long, too."""

    def survivor(self, mutant: Mutant) -> Survivor | None:
        """None where a test notices the mutant."""
        text = (self.copy.root / mutant.file).read_text(encoding="utf-8")
        if self.reached is None:
            return self._by_file(mutant, text)
        tests = self.reached.tests(mutant, text)
        if self.reached.is_at_import(mutant, text):
            naming = self.reached.naming(mutant.file, self.copy.root)
            tests = list(dict.fromkeys([*naming, *tests]))
        nearest = f"{self._nearest(mutant.file, tests)}::"
        # Those of one file alone first: most mutants are noticed there, and no other is collected.
        for some in (
            [test for test in tests if test.startswith(nearest)],
            self.reached.within(
                [test for test in tests if not test.startswith(nearest)], OTHERS_SECONDS
            ),
        ):
            usual = sum(self.reached.seconds.get(test, 0.0) for test in some)
            seconds = max(LEAST_SECONDS, TIMES_LONGER * usual)
            if some and self.copy.is_noticed(mutant, some, seconds=seconds):
                return None
        further = self.room.further if self.is_whole else ()
        if further and self.copy.is_noticed(mutant, further, seconds=FILE_SECONDS):
            return None
        return Survivor(mutant.diff(text), self._nearest(mutant.file, tests))

    def _by_file(self, mutant: Mutant, text: str) -> Survivor | None:
        own = self.room.tests_of(mutant.file)
        if own is None:
            return Survivor(mutant.diff(text), "no test is named for it in rooms.toml")
        for test in own.tests:
            if test.startswith("tests/integration/"):
                self.copy.build([KEPT_ANSWERS])
            if self.copy.is_noticed(mutant, [test], seconds=FILE_SECONDS, keyword=own.keyword):
                return None
        return Survivor(mutant.diff(text), ", ".join(own.tests))

    def _nearest(self, file: str, tests: Sequence[str]) -> str:
        """The test file that is named after the module, or reaches the line most often."""
        files = [test.partition("::")[0] for test in tests]
        stem = PurePosixPath(file).stem
        named = [one for one in files if stem in PurePosixPath(one).stem]
        if files:
            return max(named or files, key=(named or files).count)
        return f"no test of {', '.join(self.room.tests)} reaches it"


def learn(copy: Copy, rooms: Sequence[Room]) -> Reached | None:
    """Which tests of the rooms reach which line."""
    tests = sorted({test for room in rooms for test in room.tests})
    return copy.reached(tests, PACKAGES) if tests else None


def run_room(trials: Trials, chosen: Sequence[Mutant], of: int, sampling: Sampling) -> Result:
    """Try the chosen ones; a line for each that survives, as soon as it has."""
    ends_at = time.monotonic() + 60 * sampling.minutes
    survivors: list[Survivor] = []
    tried = 0
    for mutant in chosen:
        if time.monotonic() > ends_at:
            print(f"{trials.room.name}: time is up after {tried} of {len(chosen)}", flush=True)
            break
        survivor = trials.survivor(mutant)
        tried += 1
        if survivor is not None:
            survivors.append(survivor)
            print(f"survived  {survivor.diff}\n          {survivor.tests}", flush=True)
    return Result(trials.room.name, tried, of, sampling.seed, sampling.base, survivors)


def run_known(copy: Copy, words: str) -> int:
    """Try each of tests/mutants/known_holes.toml whose promise or file has the words; how many
    went unseen.
    """
    unseen = 0
    for known in read_known(FOLDER / "known_holes.toml"):
        if words not in known.promise and words not in known.file:
            continue
        mutant = known.mutant((copy.root / known.file).read_text(encoding="utf-8"))
        is_noticed = copy.is_noticed(mutant, [known.test], seconds=FILE_SECONDS)
        unseen += not is_noticed
        print(f"{'noticed' if is_noticed else 'UNSEEN '}  {known.promise}", flush=True)
    return unseen


def main(arguments: Sequence[str] | None = None) -> int:
    rooms = read_rooms(FOLDER / "rooms.toml")
    parser = argparse.ArgumentParser(
        prog="python -m scripts.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=", ".join(rooms))
    parser.add_argument("--base", help="only lines changed since this commit or branch")
    parser.add_argument("--seed", type=int, default=None, help="of the sample; drawn without it")
    parser.add_argument("--minutes", type=float, default=15.0, help="for each room")
    parser.add_argument("--count", type=int, default=25, help="mutants of each room")
    parser.add_argument("--report", type=Path, help="the page that keeps the results")
    parser.add_argument("--whole", action="store_true", help="survivors by the long tests, too")
    parser.add_argument(
        "--known", nargs="?", const="", help="the known mistakes [with these words]"
    )
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.rooms if name not in rooms]:
        parser.error(f"no room {unknown[0]!r}; there are {', '.join(rooms)}")
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    sampling = Sampling(seed, given.count, given.minutes, given.base)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    equivalent = read_equivalent(FOLDER / "equivalent.toml")
    with copied(ROOT, seed=seed, kept=Kept(KEPT)) as copy:
        if given.known is not None:
            return 1 if run_known(copy, given.known) else 0
        asked = [rooms[name] for name in given.rooms or rooms]
        drawn = {room.name: sample(ROOT, room, sampling, equivalent) for room in asked}
        results = []
        try:
            reached = learn(copy, [room for room in asked if drawn[room.name][0]])
            for room in asked:
                own = reached.among(room.tests) if reached and room.tests else None
                trials = Trials(room, copy, own, given.whole)
                results.append(run_room(trials, *drawn[room.name], sampling))
                print(results[-1].summary(), flush=True)
                if given.report:
                    write_report(given.report, results[-1:], list(rooms))
        except RoomFails as error:
            print(error, file=sys.stderr)
            return 2
    return 0 if all(result.score >= BOUND for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
