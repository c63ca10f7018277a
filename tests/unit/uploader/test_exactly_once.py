"""Whatever fails in whatever order: a whole line lands exactly once, in its writer's order, and
never both ways.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import orjson
from faulty_warehouse import MemoryWarehouse, nothing, unavailable
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from landing_table import event

from cdesk.core.backoff import Breaker
from cdesk.core.errors import WarehouseError
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.warehouse.protocol import LandedLine
from uploader.uploader import Uploader


class Impatient(Breaker):
    """No pauses: what a breaker does with time is tested elsewhere."""

    @property
    def wait(self) -> float:
        return 0.0


class ExactlyOnce(RuleBasedStateMachine):
    """Writers append and die, the warehouse fails before or after it has landed, the uploader and
    state.db are lost at any time.
    """

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.home = StateDirectory(self.folder).ensure()
        self.warehouse = MemoryWarehouse(stretch_rows=20)
        self.uploader, self.other = self.new_uploader(), self.new_uploader()
        self.writers: list[QueueWriter] = []
        self.acknowledged: list[str] = []
        self.by_writer: dict[int, list[str]] = {}
        self.garbage = 0
        self.torn = 0

    def new_uploader(self) -> Uploader:
        return Uploader(self.home, self.warehouse, breaker=Impatient(), most_rows=7)

    @rule()
    def start_writer(self) -> None:
        if len(self.writers) < 3:
            self.writers.append(QueueWriter(self.home.queue))

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), count=st.integers(1, 12))
    def append(self, data: st.DataObject, count: int) -> None:
        writer = data.draw(st.sampled_from(self.writers))
        for _ in range(count):
            id, line = event()
            writer.append(line)
            self.acknowledged.append(id)
            self.by_writer.setdefault(id_of(writer), []).append(id)

    @precondition(lambda self: self.writers)
    @rule(
        data=st.data(),
        junk=st.sampled_from([b"\n", b"{}\n", b"\xff\n", b'{"v":2}\n', b"x" * 300_000 + b"\n"]),
    )
    def append_garbage(self, data: st.DataObject, junk: bytes) -> None:
        data.draw(st.sampled_from(self.writers)).append(junk)
        self.garbage += 1

    @precondition(lambda self: self.writers)
    @rule(data=st.data())
    def seal(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.writers)).seal()

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), torn=st.booleans())
    def kill_writer(self, data: st.DataObject, torn: bool) -> None:
        """As SIGKILL leaves it: no sealing, the lock let go by the operating system, perhaps half a
        line.
        """
        writer = data.draw(st.sampled_from(self.writers))
        self.writers.remove(writer)
        if writer._fd is not None:
            if torn:
                os.write(writer._fd, event()[1][:50])
                self.torn += 1
            os.close(writer._fd)
            writer._fd = None
        writer._lock.release()

    @rule(landings=st.integers(0, 3), after=st.booleans())
    def drain_while_the_warehouse_fails(self, landings: int, after: bool) -> None:
        left = landings

        def fail(_: Sequence[LandedLine]) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                unavailable()

        setattr(self.warehouse, "after" if after else "before", fail)
        self.uploader.drain()
        self.warehouse.before = self.warehouse.after = nothing

    @rule()
    def drain_while_an_error_that_says_nothing_comes_back_though_it_landed(self) -> None:
        left = 1

        def fail(_: Sequence[LandedLine]) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise WarehouseError("an error that says nothing")

        self.warehouse.after = fail
        self.uploader.drain()
        self.warehouse.after = nothing

    @rule()
    def drain(self) -> None:
        assert self.uploader.drain().blocked is None

    @rule()
    def lose_the_uploader(self) -> None:
        self.uploader.close()
        self.uploader = self.new_uploader()

    @rule()
    def lose_state_db(self) -> None:
        self.uploader.close()
        self.other.close()
        for path in self.folder.glob("state.db*"):
            path.unlink()
        self.uploader, self.other = self.new_uploader(), self.new_uploader()

    @rule()
    def another_uploader_takes_over(self) -> None:
        """Both live on, and remember what they saw last."""
        self.uploader, self.other = self.other, self.uploader
        assert self.uploader.drain().blocked is None

    @rule(keep=st.integers(0, 5), uploader_lives=st.booleans())
    def put_the_warehouse_back_to_an_older_state(self, keep: int, uploader_lives: bool) -> None:
        kept = sum(self.warehouse.batches[:keep])
        self.warehouse.rows = self.warehouse.rows[:kept]
        self.warehouse.batches = self.warehouse.batches[:keep]
        self.warehouse.stamps = self.warehouse.stamps[:keep]
        if not uploader_lives:
            self.lose_the_uploader()
            return
        if not self.writers:
            self.start_writer()
        id, line = event()
        self.writers[-1].append(line)
        self.acknowledged.append(id)
        self.by_writer.setdefault(id_of(self.writers[-1]), []).append(id)
        self.drain()  # a living uploader notices with the next record

    @invariant()
    def depth_is_what_has_not_landed(self) -> None:
        if not hasattr(self, "home"):
            return
        landed = len(self.warehouse.rows)
        whole = len(self.acknowledged) + self.garbage
        torn = sum(1 for row in self.warehouse.rows if reason(row) == "torn")
        if self.uploader._synced:
            assert self.uploader.depth() == whole - (landed - torn)

    def teardown(self) -> None:
        if not hasattr(self, "home"):
            return
        for writer in self.writers:
            writer.close()
        assert self.uploader.drain().blocked is None
        self.uploader.drain()
        rows = self.warehouse.rows
        ids = [row.id for row in rows if row.kind == "event"]
        assert sorted(ids) == sorted(self.acknowledged)
        refused = [row for row in rows if row.kind == "quarantine"]
        assert len(refused) == self.garbage + self.torn == len({row.id for row in refused})
        assert sum(reason(row) == "torn" for row in refused) == self.torn
        places = Counter((row.source_file, row.source_offset) for row in rows)
        assert set(places.values()) <= {1}
        order = {id: index for index, id in enumerate(ids)}
        for written in self.by_writer.values():
            assert [order[id] for id in written] == sorted(order[id] for id in written)
        assert self.uploader.depth() == 0
        self.other.close()
        assert [path.name for path in self.home.queue.glob("*.ndjson")] == []
        self.uploader.close()
        shutil.rmtree(self.folder)


def id_of(writer: QueueWriter) -> int:
    return id(writer)


def reason(row: LandedLine) -> str | None:
    return orjson.loads(row.payload)["reason"] if row.kind == "quarantine" else None


TestExactlyOnce = ExactlyOnce.TestCase
TestExactlyOnce.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


class SealedMeanwhile(MemoryWarehouse):
    """A writer seals its file while the warehouse is asked how far it has landed."""

    writer: QueueWriter | None = None

    def positions(self, source_files: Sequence[str]) -> dict[str, int]:
        if self.writer is not None:
            self.writer.seal()
        return super().positions(source_files)


def test_a_file_that_is_sealed_while_the_warehouse_is_asked_lands_once(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path).ensure()
    warehouse = SealedMeanwhile()
    writer = QueueWriter(home.queue)
    for _ in range(3):
        writer.append(event()[1])
    first = Uploader(home, warehouse, breaker=Impatient())
    assert first.drain().landed == 3
    first.close()
    (home.state_db).unlink()  # what was remembered is gone: the file itself has to be looked at
    warehouse.writer = writer
    writer.append(event()[1])
    second = Uploader(home, warehouse, breaker=Impatient())
    second.drain()
    second.drain()
    assert len(warehouse.rows) == len({row.id for row in warehouse.rows}) == 4
    second.close()
    writer.close()
