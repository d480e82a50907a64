"""Snapshots and the log that continues from them: power cuts at each operation, damage at each byte."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from trioraft.key_values import key_value_machine
from trioraft.kv.items import Item
from trioraft.raft.membership import Configuration, Member
from trioraft.raft.messages import Entry, HardState
from trioraft.storage import snapshots
from trioraft.storage.disk import RealDisk
from trioraft.storage.errors import Damaged, StorageError
from trioraft.storage.log import PART_BYTES, SegmentedLog
from trioraft.storage.snapshots import (
    READ_BYTES,
    IncomingSnapshot,
    Snapshot,
    SnapshotReader,
    SnapshotWriter,
    load_snapshot,
    newest,
    remove_older,
)
from trioraft.testing.disk import MemoryDisk, MemoryFile, MemoryReader, PowerCut
from trioraft.wire.entries import seal
from trioraft.wire.items import KeyAndItem, decode_items, encode_items
from trioraft.wire.snapshots import FORMAT, SnapshotHeader

FOLDER = "f" * 32
CONFIGURATION = Configuration((Member(0, "h:1", "voter", FOLDER),), 1)
STATE = HardState(3, 0)
TERM = 3


def entries(first: int, last: int, term: int = TERM) -> list[Entry]:
    return [seal(index, term, "command", b'{"op":"delete","key":"%d"}' % index) for index in range(first, last + 1)]


def items(count: int) -> list[tuple[str, Item]]:
    return [(f"key-{number:03}", Item(b'"value %d"' % number, number + 1, 1, number + 1)) for number in range(count)]


def header(index: int, keys: int, term: int = TERM) -> SnapshotHeader:
    return SnapshotHeader(FORMAT, "c" * 32, index, term, 0, CONFIGURATION, {"keys": keys})


def take(disk: MemoryDisk, index: int, keys: int) -> Snapshot:
    writer = SnapshotWriter(disk, header(index, keys))
    for item in items(keys):
        writer.append(encode_items([item]), 1)
        writer.sync()
    return writer.finish()


def read_items(disk: MemoryDisk, snapshot: Snapshot) -> list[KeyAndItem]:
    """All keys of a snapshot."""
    found: list[KeyAndItem] = []

    def load(section: str, lines: Sequence[bytes]) -> None:
        assert section == "keys"
        found.extend(decode_items(lines))

    for _ in load_snapshot(disk, snapshot, load):
        pass
    return found


def recovered(disk: MemoryDisk) -> tuple[int, int, list[Entry]]:
    """Where the snapshot ends, where the log begins, and its entries; all is checked as a start checks it."""
    snapshot = newest(disk)
    end = (0, 0)
    if snapshot is not None:
        assert read_items(disk, snapshot) == items(snapshot.header.sections["keys"])
        end = (snapshot.header.last_included_index, snapshot.header.last_included_term)
    log, found_log = SegmentedLog.open(disk, FOLDER, 400, end)
    log.close()
    assert found_log.hard_state in (STATE, HardState())
    return end[0], found_log.base_index, found_log.entries


def test_a_snapshot_comes_back_as_it_was_written() -> None:
    disk = MemoryDisk()
    assert newest(disk) is None
    written = take(disk, 7, 20)
    assert newest(disk) == written
    assert read_items(disk, written) == items(20)


@pytest.mark.parametrize("more", [-300, 0, 1, READ_BYTES, 4 * READ_BYTES])
def test_a_line_may_be_longer_than_what_is_read_at_once(more: int) -> None:
    disk = MemoryDisk()
    value = Item(b'"%b"' % (b"x" * (READ_BYTES + more)), 1, 1, 1)
    around = Item(b"1", 1, 1, 1)
    found = [("before", around), ("large", value), ("last", around)]
    writer = SnapshotWriter(disk, header(7, len(found)))
    writer.append(encode_items(found), len(found))
    written = writer.finish()
    assert read_items(disk, written) == found


@pytest.mark.parametrize("read_bytes", [1, 30, 100, READ_BYTES])
def test_each_section_gets_its_own_lines_in_order(read_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "READ_BYTES", read_bytes)
    disk = MemoryDisk()
    held = {"keys": [b"1", b"22", b"333"], "none": [], "leases": [b"4" * 50], "no more": [], "locks": [b"5", b"6"]}
    sections = {name: len(lines) for name, lines in held.items()}
    writer = SnapshotWriter(disk, SnapshotHeader(FORMAT, "c" * 32, 7, TERM, 0, CONFIGURATION, sections))
    for lines in held.values():
        writer.append(b"".join(line + b"\n" for line in lines), len(lines))
    found: dict[str, list[bytes]] = {name: [] for name in held}
    for _ in load_snapshot(disk, writer.finish(), lambda section, lines: found[section].extend(lines)):
        pass
    assert found == held


def test_a_section_that_has_other_lines_than_the_header_says_is_damage() -> None:
    disk = MemoryDisk()
    writer = SnapshotWriter(disk, header(7, 3))
    writer.append(encode_items(items(2)), 2)
    with pytest.raises(Damaged, match="it says that it has 3 keys, and has 2"):
        read_items(disk, writer.finish())


def test_what_a_machine_cannot_load_is_damage_in_a_file() -> None:
    disk = MemoryDisk()
    writer = SnapshotWriter(disk, SnapshotHeader(FORMAT, "c" * 32, 7, TERM, 0, CONFIGURATION, {"keys": 0, "newer": 1}))
    writer.append(b"{}\n", 1)
    with pytest.raises(Damaged, match=r"'newer'.*upgrade this node"):
        for _ in load_snapshot(disk, writer.finish(), key_value_machine().load):
            pass


def test_an_empty_store_has_a_snapshot_too() -> None:
    disk = MemoryDisk()
    assert read_items(disk, take(disk, 7, 0)) == []


def test_a_snapshot_leaves_the_log_its_room(disk_of: Callable[[int], Path]) -> None:
    path = disk_of(1600)
    disk = RealDisk(path)
    SegmentedLog.create(disk, FOLDER)
    log, _ = SegmentedLog.open(disk, FOLDER)
    writer = SnapshotWriter(disk, header(7, 10**6))
    with pytest.raises(OSError, match="what the log may need"):
        while True:
            writer.append(encode_items(items(100)), 100)
    log.write(STATE, entries(1, 50))
    assert shutil.disk_usage(path).free > 0
    log.close()
    writer.abandon()
    assert [name for name in disk.names() if "snapshot" in name] == []


def test_a_snapshot_is_read_on_when_a_newer_one_has_taken_its_place() -> None:
    disk = MemoryDisk()
    old = take(disk, 7, 20)
    reader = SnapshotReader(disk, old)
    remove_older(disk, take(disk, 9, 3))
    assert [name for name in disk.names() if name.startswith("snapshot")] == [take(disk, 9, 3).name]
    assert len(reader.lines(0, 10**6)) == old.size


def test_a_long_line_is_given_whole_and_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = MemoryDisk()
    writer = SnapshotWriter(disk, header(7, 3))
    for key, size in (("a", 10), ("b", 3_000_000), ("c", 10)):
        writer.append(encode_items([(key, Item(b'"%b"' % (b"x" * size), 1, 1, 1))]), 1)
    written = writer.finish()
    reader = SnapshotReader(disk, written)
    whole = disk.read(written.name)
    lines: list[bytes] = []
    read = 0

    def counted(self: MemoryReader, offset: int, size: int) -> bytes:
        nonlocal read
        read += len(data := read_from(self, offset, size))
        return data

    read_from = MemoryReader.read
    monkeypatch.setattr(MemoryReader, "read", counted)
    while part := reader.lines(sum(map(len, lines)), 1000):
        assert part.endswith(b"\n")
        lines.append(part)
    assert b"".join(lines) == whole
    assert read < len(whole) + 10_000
    assert [key for key, _ in read_items(disk, written)] == ["a", "b", "c"]


def test_a_long_batch_reaches_the_disk_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = MemoryDisk()
    SegmentedLog.create(disk, FOLDER)
    log, _ = SegmentedLog.open(disk, FOLDER)
    log.write(STATE, entries(1, 2))
    assert not log.moved
    sizes: list[int] = []
    write_at, sync = MemoryFile.write_at, MemoryFile.sync

    def written(self: MemoryFile, offset: int, data: bytes) -> None:
        sizes.append(len(data))
        write_at(self, offset, data)

    def synced(self: MemoryFile) -> None:
        sizes.append(0)
        sync(self)

    monkeypatch.setattr(MemoryFile, "write_at", written)
    monkeypatch.setattr(MemoryFile, "sync", synced)
    long = seal(3, TERM, "command", b'"%b"' % (b"x" * (2 * PART_BYTES)))
    log.write(STATE, [long])
    assert max(sizes) == PART_BYTES
    assert sizes[1:5:2] == [0, 0], "each is synced before the next is written"
    assert log.moved
    log.close()
    assert SegmentedLog.open(disk, FOLDER)[1].entries == [*entries(1, 2), long]


def test_each_byte_of_a_snapshot_is_vouched_for() -> None:
    disk = MemoryDisk()
    written = take(disk, 7, 4)
    for offset in range(written.size):
        disk.flip(written.name, offset, offset % 8)
        with pytest.raises(StorageError) as caught:
            recovered_items = read_items(disk, newest(disk) or written)
            raise AssertionError(f"byte {offset}: {recovered_items}")
        assert written.name in caught.value.message
        disk.flip(written.name, offset, offset % 8)


@pytest.mark.parametrize("size", [1, 100, 200, 10**6])
def test_a_snapshot_that_arrives_in_pieces(size: int) -> None:
    source, disk = MemoryDisk(), MemoryDisk()
    sent = take(source, 7, 20)
    data = source.read(sent.name)
    incoming = IncomingSnapshot(disk, 7, TERM)
    while incoming.received < len(data):
        assert incoming.append(incoming.received + 50, b"beyond a gap") == incoming.received
        incoming.append(incoming.received, data[incoming.received : incoming.received + size])
        incoming.append(max(0, incoming.received - 10), data[max(0, incoming.received - 10) : incoming.received])
    list(incoming.verify())
    assert incoming.finish() == sent == newest(disk)


@pytest.mark.parametrize("offset", range(0, 900, 37))
def test_a_snapshot_that_does_not_arrive_well_never_gets_its_name(offset: int) -> None:
    source, disk = MemoryDisk(), MemoryDisk()
    data = bytearray(source.read(take(source, 7, 20).name))
    data[offset] ^= 4
    incoming = IncomingSnapshot(disk, 7, TERM)
    incoming.append(0, bytes(data))
    with pytest.raises(StorageError):
        list(incoming.verify())
    incoming.abandon()
    assert disk.names() == []


def test_a_snapshot_of_another_place_is_not_taken_for_that_one() -> None:
    source, disk = MemoryDisk(), MemoryDisk()
    data = source.read(take(source, 7, 2).name)
    incoming = IncomingSnapshot(disk, 8, TERM)
    incoming.append(0, data)
    with pytest.raises(Damaged, match="ends at"):
        list(incoming.verify())


def compact(disk: MemoryDisk, promised: list[int]) -> None:
    """Live through a node's life: write, snapshot, rotate, compact, and again. `promised` gets the durable state."""
    SegmentedLog.create(disk, FOLDER)
    log, _ = SegmentedLog.open(disk, FOLDER, 400)
    for first in range(1, 40, 3):
        log.write(STATE, entries(first, first + 2))
        promised.append(first + 2)
        if first % 12 == 1:
            snapshot = take(disk, first + 1, first % 5)
            log.rotate_next()
            log.compact(first + 1)
            remove_older(disk, snapshot)
    log.close()


def install(disk: MemoryDisk, promised: list[int]) -> None:
    """Live through a follower's life: a log of its own, a leader's snapshot far ahead, and entries after it."""
    source = MemoryDisk()
    data = source.read(take(source, 50, 6).name)
    SegmentedLog.create(disk, FOLDER)
    log, _ = SegmentedLog.open(disk, FOLDER, 400)
    for first in range(1, 20, 3):
        log.write(STATE, entries(first, first + 2, 2))
        promised.append(first + 2)
    incoming = IncomingSnapshot(disk, 50, TERM)
    for start in range(0, len(data), 150):
        incoming.append(start, data[start : start + 150])
        incoming.sync()
    list(incoming.verify())
    snapshot = incoming.finish()
    promised.append(50)
    log.reset(50, TERM)
    log.write(STATE, entries(51, 53))
    promised.append(53)
    remove_older(disk, snapshot)
    log.write(STATE, entries(54, 56))
    promised.append(56)
    log.close()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("life", [compact, install])
def test_a_power_cut_at_any_operation_leaves_no_gap(life: Callable[[MemoryDisk, list[int]], None], seed: int) -> None:
    whole = MemoryDisk()
    life(whole, [])
    for operation in range(1, whole.operations + 1):
        disk, promised = MemoryDisk(), [0]
        disk.fail_at = operation
        with pytest.raises(PowerCut):
            life(disk, promised)
        disk.crash(Random(seed * 1000 + operation))
        try:
            end, base, log = recovered(disk)
        except Damaged as error:
            assert promised == [0], f"at operation {operation}: {error.message}"  # the log had not been made yet
            continue
        assert base <= end
        assert [entry.index for entry in log] == list(range(base + 1, base + len(log) + 1))
        assert max(end, base + len(log)) >= promised[-1]
        # A second start finds what the first one found.
        assert recovered(disk) == (end, base, log)


def test_a_log_without_the_snapshot_that_it_goes_on_from_is_refused() -> None:
    disk = MemoryDisk()
    compact(disk, [])
    snapshot = newest(disk)
    assert snapshot is not None
    disk.remove(snapshot.name)
    with pytest.raises(Damaged, match="there is no snapshot"):
        SegmentedLog.open(disk, FOLDER, 400, (0, 0))


def test_a_log_that_conflicts_with_the_snapshot_is_discarded_whole() -> None:
    disk = MemoryDisk()
    SegmentedLog.create(disk, FOLDER)
    log, _ = SegmentedLog.open(disk, FOLDER, 400)
    log.write(STATE, entries(1, 9, 2))
    log.close()
    take(disk, 5, 1)
    assert recovered(disk) == (5, 5, [])
    log, again = SegmentedLog.open(disk, FOLDER, 400, (5, TERM))
    log.write(STATE, entries(6, 8))
    log.close()
    assert again.base_index == 5
    assert recovered(disk) == (5, 5, entries(6, 8))


def test_an_entry_that_took_the_place_of_one_in_a_segment_that_is_gone() -> None:
    disk = MemoryDisk()
    SegmentedLog.create(disk, FOLDER)
    log, _ = SegmentedLog.open(disk, FOLDER, 10**6)
    log.write(HardState(2, 0), entries(1, 10, 2))
    log.rotate_next()
    log.write(STATE, entries(8, 12))  # the second segment begins after 10, and its first entry is 8
    take(disk, 11, 1)
    log.compact(11)
    log.close()
    assert len([name for name in disk.names() if name.startswith("log-")]) == 1
    end, base, found = recovered(disk)
    assert (end, base) == (11, 8)
    assert found == entries(9, 12)
