"""A log with a single damage, at every place and of every kind."""

from __future__ import annotations

import pytest

from trioraft.raft.messages import Entry, HardState
from trioraft.storage.errors import Damaged, UnknownFormat
from trioraft.storage.folder import DataFolder
from trioraft.storage.log import SegmentedLog, segment_name
from trioraft.testing.disk import MemoryDisk
from trioraft.wire.codec import seal_line
from trioraft.wire.entries import seal

FOLDER = "f" * 32


def entry(index: int, term: int) -> Entry:
    return seal(index, term, "command", b'{"op":"put","key":"k%d","value":"%d"}' % (index, term))


def write_log(*, clean_end: bool, killed: bool = False) -> tuple[dict[str, bytes], list[tuple[int, list[Entry]]]]:
    """Make two segments of batches, one of which replaces entries; and the state after each batch of the last."""
    disk = MemoryDisk()
    SegmentedLog.create(disk, FOLDER)
    log, _ = SegmentedLog.open(disk, FOLDER, segment_bytes=700)
    log.write(HardState(1, 0), [entry(1, 1), entry(2, 1)])
    log.write(HardState(1, 0), [entry(3, 1), entry(4, 1), entry(5, 1)])
    log.write(HardState(2, None), [entry(4, 2)])
    log.write(HardState(3, 1), [])
    log.write(HardState(3, 1), [entry(5, 3), entry(6, 3)])
    if clean_end:
        log.mark()
    if not killed:
        log.close()
    files = {name: disk.read(name) for name in disk.names()}
    assert sorted(files) == [segment_name(1), segment_name(2)]
    return files, [(3, [entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 2), entry(5, 3), entry(6, 3)])]


def on_disk(files: dict[str, bytes]) -> MemoryDisk:
    disk = MemoryDisk()
    for name, data in files.items():
        disk.open(name).append(data)
    return disk


def marks(data: bytes) -> list[int]:
    """The offsets of the marks in a file."""
    starts, offset = [], 0
    for line in data.splitlines(keepends=True):
        if b'"synced":' in line:
            starts.append(offset)
        offset += len(line)
    return starts


@pytest.mark.parametrize("clean_end", [True, False])
def test_an_intact_log_comes_back_whole_and_says_nothing(clean_end: bool) -> None:
    files, [(term, entries)] = write_log(clean_end=clean_end)
    log, recovered = SegmentedLog.open(on_disk(files), FOLDER)
    assert recovered.entries == entries
    assert recovered.hard_state == HardState(term, 1)
    assert recovered.notices == []
    log.close()


@pytest.mark.parametrize("clean_end", [True, False])
@pytest.mark.parametrize("what", ["flipped", "zeroed", "missing"])
def test_one_wrong_byte_anywhere_stops_the_node_or_is_cut_where_nothing_vouches_for_it(
    what: str, clean_end: bool
) -> None:
    files, [(_, entries)] = write_log(clean_end=clean_end)
    for name, data in files.items():
        newest = name == segment_name(2)
        last_mark = marks(data)[-1]
        first_mark = marks(data)[0]
        for offset in range(len(data)):
            after = {
                "flipped": bytes([data[offset] ^ 1]) + data[offset + 1 :],
                "zeroed": b"\0" + data[offset + 1 :],
                "missing": data[offset + 1 :],
            }[what]
            disk = on_disk({**files, name: data[:offset] + after})
            if not newest and offset >= last_mark:
                # The line that names the successor is not needed while the successor is there.
                log, recovered = SegmentedLog.open(disk, FOLDER)
                log.close()
                assert recovered.entries == entries
                continue
            # The next mark vouches for a batch. The name of a segment vouches for its header and first mark.
            vouched = offset < last_mark or offset < data.index(b"\n", first_mark)
            if vouched:
                with pytest.raises(Damaged) as caught:
                    SegmentedLog.open(disk, FOLDER)
                assert caught.value.file == name
                assert caught.value.offset <= offset
                assert disk.read(name) == data[:offset] + after, "nothing is touched"
                continue
            log, recovered = SegmentedLog.open(disk, FOLDER)
            log.close()
            assert recovered.entries == entries[: len(recovered.entries)]
            assert len(recovered.entries) >= 4, "what an intact mark vouches for is there"
            assert len(recovered.notices) == 1
            assert name in recovered.notices[0]


def test_the_room_at_the_end_is_nothing_and_damage_to_it_takes_nothing() -> None:
    whole, _ = write_log(clean_end=True)
    files, [(_, entries)] = write_log(clean_end=True, killed=True)
    name = segment_name(2)
    data = files[name]
    assert data.rstrip(b"\n") + b"\n" == whole[name], "a log that was closed has none"
    assert len(data) > len(whole[name]) + 10
    log, recovered = SegmentedLog.open(on_disk(files), FOLDER)
    log.close()
    assert (recovered.entries, recovered.notices) == (entries, [])
    for offset in range(len(whole[name]), len(data)):
        disk = on_disk({**files, name: data[:offset] + b"\0" + data[offset + 1 :]})
        log, recovered = SegmentedLog.open(disk, FOLDER)
        log.close()
        assert recovered.entries == entries
        assert len(recovered.notices) == 1


def test_blank_lines_in_the_place_of_others_are_damage() -> None:
    """A power cut may leave blank room where lines were being written."""
    files, [(_, entries)] = write_log(clean_end=False, killed=True)
    name = segment_name(2)
    data = files[name]
    start = 0
    for line in data.rstrip(b"\n").splitlines(keepends=True):
        end = start + len(line)
        disk = on_disk({**files, name: data[:start] + b"\n" * len(line) + data[end:]})
        if start < marks(data)[-1]:
            with pytest.raises(Damaged):
                SegmentedLog.open(disk, FOLDER)
        else:
            log, recovered = SegmentedLog.open(disk, FOLDER)
            log.close()
            assert recovered.entries == entries[: len(recovered.entries)]
            assert len(recovered.entries) >= 4
        start = end


def test_a_torn_end_is_cut_at_the_last_whole_line_whatever_its_length() -> None:
    files, [(_, entries)] = write_log(clean_end=False)
    name = segment_name(2)
    data = files[name]
    for length in range(marks(data)[-1], len(data)):
        disk = on_disk({**files, name: data[:length]})
        log, recovered = SegmentedLog.open(disk, FOLDER)
        log.write(HardState(4, 2), [entry(len(recovered.entries) + 1, 4)])
        log.close()
        again, second = SegmentedLog.open(disk, FOLDER)
        again.close()
        assert second.entries[:-1] == recovered.entries == entries[: len(recovered.entries)]
        assert second.hard_state == HardState(4, 2)
        assert second.notices == []


@pytest.mark.parametrize("number", [1, 2])
def test_a_missing_line_before_an_intact_mark_stops_the_node(number: int) -> None:
    files, _ = write_log(clean_end=True)
    name = segment_name(number)
    lines = files[name].splitlines(keepends=True)
    for position, line in enumerate(lines[:-1]):
        if b'"synced":' in line:
            continue  # a lost mark loses nothing but its promise
        rest = b"".join(lines[:position] + lines[position + 1 :])
        with pytest.raises(Damaged):
            SegmentedLog.open(on_disk({**files, name: rest}), FOLDER)


def test_a_missing_segment_stops_the_node() -> None:
    files, _ = write_log(clean_end=True)
    for name in files:
        with pytest.raises(Damaged):
            SegmentedLog.open(on_disk({other: data for other, data in files.items() if other != name}), FOLDER)
    with pytest.raises(Damaged):
        SegmentedLog.open(MemoryDisk(), FOLDER)


def test_a_newer_format_is_refused_with_nothing_touched() -> None:
    header = seal_line(b'"segment":1,"format":2,"of":"tomorrow"}') + b"\n"
    disk = on_disk({segment_name(1): header, "half.tmp": b"x"})
    with pytest.raises(UnknownFormat, match="format 2"):
        SegmentedLog.open(disk, FOLDER)
    assert disk.read(segment_name(1)) == header
    assert "half.tmp" in disk.names()


def test_a_log_without_its_folder_file_is_no_fresh_node() -> None:
    files, _ = write_log(clean_end=True)
    with pytest.raises(Damaged, match=r"node\.json"):
        DataFolder(on_disk(files), 0)


def test_a_damaged_folder_file_is_no_fresh_node() -> None:
    disk = MemoryDisk()
    DataFolder(disk, 0)
    data = disk.read("node.json")
    for offset in range(len(data) - 1):
        spoiled = data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]
        with pytest.raises(Damaged):
            DataFolder(on_disk({"node.json": spoiled}), 0)


def test_a_failed_sync_is_never_tried_again() -> None:
    disk = MemoryDisk()
    SegmentedLog.create(disk, FOLDER)
    log, _ = SegmentedLog.open(disk, FOLDER)
    disk.failure = OSError(5, "Input/output error")
    disk.fail_at = disk.operations + 2  # the write, and then its sync
    with pytest.raises(OSError, match="Input/output"):
        log.write(HardState(1, 0), [entry(1, 1)])
    operations = disk.operations
    with pytest.raises(OSError, match="earlier error"):
        log.write(HardState(1, 0), [entry(1, 1)])
    log.mark()
    assert disk.operations == operations
