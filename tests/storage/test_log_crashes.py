"""Power cuts at every operation of a node's disk: everything promised is there afterwards."""

from __future__ import annotations

from random import Random

import pytest

from trioraft.raft.membership import Configuration, Formation, Member
from trioraft.raft.messages import Entry, HardState
from trioraft.storage.folder import DataFolder
from trioraft.storage.log import SegmentedLog
from trioraft.testing.disk import MemoryDisk, PowerCut
from trioraft.wire.entries import seal

BATCHES = [
    (HardState(1, 0), [1, 2, 3]),
    (HardState(1, 0), [4, 5]),
    (HardState(2, None), [4]),
    (HardState(3, 0), []),
    (HardState(3, 0), [5, 6, 7, 8]),
    (HardState(3, 0), [9]),
]


def entry(index: int, term: int) -> Entry:
    return seal(index, term, "command", b'{"op":"delete","key":"%d"}' % index)


class Promises:
    """The states that the log has promised to keep, and those asked for since."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.formation: Formation | None = None
        self.states: list[tuple[HardState, list[Entry]]] = [(HardState(), [])]
        """The last promised state, and the state asked for after it, if any."""

    def check(self, folder: DataFolder, recovered: tuple[HardState, list[Entry]] | None) -> None:
        assert self.folder in (None, folder.id)
        if self.formation is not None:
            assert folder.formation == self.formation
        if recovered is not None:
            hard_state, entries = recovered
            promised_state, promised = self.states[0]
            wanted_state, wanted = self.states[-1]
            assert hard_state in (promised_state, wanted_state)
            # A part of the batch that was being written may be there; its first entry replaces everything that follows.
            unchanged = sum(old == new for old, new in zip(promised, wanted, strict=False))
            assert entries == promised or (entries == wanted[: len(entries)] and len(entries) > unchanged)


def run(disk: MemoryDisk, promises: Promises) -> None:
    """Live through a node's life: start, form, write, rotate, replace, mark."""
    folder = DataFolder(disk, 0)
    promises.check(folder, None)
    promises.folder = folder.id
    formation = folder.formation
    if formation is None:
        formation = Formation("c", Configuration((Member(0, "h:1", "voter", folder.id),), 1))
        folder.adopt(formation)
    promises.formation = formation
    log, recovered = SegmentedLog.open(disk, folder.id, segment_bytes=500)
    promises.check(folder, (recovered.hard_state, recovered.entries))
    promises.states = [(recovered.hard_state, recovered.entries)]
    for state, indexes in BATCHES:
        hard_state = HardState(state.term + recovered.hard_state.term, state.voted_for)
        entries = [entry(index, hard_state.term) for index in indexes]
        before = promises.states[0][1]
        after = [*before[: indexes[0] - 1], *entries] if indexes else before
        promises.states = [promises.states[0], (hard_state, after)]
        log.write(hard_state, entries)
        promises.states = [(hard_state, after)]
    log.mark()
    log.close()


def operations_of_a_run() -> int:
    disk = MemoryDisk()
    run(disk, Promises())
    return disk.operations


@pytest.mark.parametrize("seed", range(6))
def test_a_power_cut_at_any_operation_loses_nothing_that_was_promised(seed: int) -> None:
    random = Random(seed)
    for cut in range(1, operations_of_a_run() + 1):
        disk = MemoryDisk()
        promises = Promises()
        disk.fail_at = cut
        for _ in range(4):  # and again during the next life, beginning with its start
            try:
                run(disk, promises)
                break
            except PowerCut:
                disk.crash(random)
                disk.fail_at = random.randrange(1, 30)
        disk.fail_at = None
        run(disk, promises)


def test_every_promise_is_preceded_by_its_sync() -> None:
    """Each promise would hold if the machine lost all unsynced data at the moment of the promise."""
    disk = MemoryDisk()
    folder = DataFolder(disk, 0)
    folder.adopt(Formation("c", Configuration((Member(0, "h:1", "voter", folder.id),), 1)))
    log, _ = SegmentedLog.open(disk, folder.id, segment_bytes=500)
    expected: list[Entry] = []
    for index in range(1, 40):
        expected.append(entry(index, 1))
        log.write(HardState(1, 0), [expected[-1]])
        copy = MemoryDisk()
        for name, inode in disk._synced_names.items():
            file = copy.open(name)
            file.append(bytes(inode.synced))
        _, recovered = SegmentedLog.open(copy, folder.id)
        assert recovered.entries == expected
        assert recovered.hard_state == HardState(1, 0)


def test_what_a_killed_process_left_unsynced_is_on_the_disk_before_it_counts() -> None:
    """The next process reads unsynced data in the page cache, and may promise it; then the power is cut."""
    for seed in range(20):
        disk = MemoryDisk()
        SegmentedLog.create(disk, "f")
        log, _ = SegmentedLog.open(disk, "f")
        log.write(HardState(1, 0), [entry(1, 1)])
        disk.failing_syncs = seed % 2  # the failed sync has also left its pages falsely clean
        disk.fail_at = None if seed % 2 else disk.operations + 2
        with pytest.raises((OSError, PowerCut)):
            log.write(HardState(2, 0), [entry(2, 2)])
        disk.kill()
        _, recovered = SegmentedLog.open(disk, "f")
        assert [one.index for one in recovered.entries] == [1, 2]
        disk.crash(Random(seed))
        _, again = SegmentedLog.open(disk, "f")
        assert (again.hard_state, again.entries) == (recovered.hard_state, recovered.entries)
