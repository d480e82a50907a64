"""A backup in a file that a user names: it is whole or not there at all, and nothing is left beside it."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from trioraft.kv.items import Item
from trioraft.raft.membership import Configuration, Member
from trioraft.storage.backups import save_backup
from trioraft.storage.errors import StorageError
from trioraft.storage.snapshots import SnapshotWriter
from trioraft.testing.disk import MemoryDisk
from trioraft.wire.items import encode_items
from trioraft.wire.snapshots import FORMAT, SnapshotHeader

PIECE = 1000


def backup_of(keys: int, index: int = 9) -> bytes:
    disk = MemoryDisk()
    configuration = Configuration((Member(0, "h:1", "voter", "f" * 32),), 1)
    writer = SnapshotWriter(disk, SnapshotHeader(FORMAT, "c" * 32, index, 3, 0, configuration, {"keys": keys}))
    items = [(f"key-{number:05}", Item(b'"v"', number + 1, 1, number + 1)) for number in range(keys)]
    writer.append(encode_items(items), keys)
    return disk.read(writer.finish().name)


WHOLE = backup_of(100)


def pieces(data: bytes = WHOLE) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


def failing(error: BaseException) -> Iterator[bytes]:
    yield WHOLE[:PIECE]
    raise error


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    assert save_backup(pieces(), tmp_path / "all").header.sections == {"keys": 100}
    assert (tmp_path / "all").read_bytes() == WHOLE
    assert stat.S_IMODE((tmp_path / "all").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["all"]


def test_a_file_that_is_there_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "all").write_bytes(b"x" * 10**6)
    (tmp_path / "all").chmod(0o640)
    save_backup(pieces(), tmp_path / "all")
    assert (tmp_path / "all").read_bytes() == WHOLE
    assert stat.S_IMODE((tmp_path / "all").stat().st_mode) == 0o640


@pytest.mark.parametrize("dangling", [False, True])
def test_through_a_link_the_file_is_written_that_it_leads_to(tmp_path: Path, dangling: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "all"
    if not dangling:
        target.write_bytes(b"old")
    (tmp_path / "link").symlink_to("elsewhere/all")
    save_backup(pieces(), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == WHOLE
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "link"]
    assert os.listdir(tmp_path / "elsewhere") == ["all"]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit(143), OSError(5, "gone")])
def test_where_it_does_not_come_to_its_end_nothing_is_left(tmp_path: Path, error: BaseException, there: bool) -> None:
    if there:
        (tmp_path / "all").write_bytes(b"old")
    with pytest.raises(type(error)):
        save_backup(failing(error), tmp_path / "all")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([b"old"] if there else [])


@pytest.mark.parametrize("data", [WHOLE[:-1], WHOLE[: len(WHOLE) // 2], b"", WHOLE.replace(b"00050", b"00051")])
def test_what_does_not_arrive_whole_replaces_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "all").write_bytes(b"old")
    with pytest.raises(StorageError, match="did not arrive whole"):
        save_backup(pieces(data), tmp_path / "all")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_full_disk_keeps_nothing_of_it_and_is_named(disk_of: Callable[[int], Path]) -> None:
    disk = disk_of(64)
    with pytest.raises(OSError, match="No space left") as caught:
        save_backup(pieces(backup_of(5000)), disk / "all")
    assert caught.value.filename == str(disk / "all")
    assert os.listdir(disk) == []


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        save_backup(pieces(), tmp_path)
    assert caught.value.errno == errno.EISDIR
    with pytest.raises(FileNotFoundError):
        save_backup(pieces(), tmp_path / "missing" / "all")
    assert os.listdir(tmp_path) == []


def test_a_pipe_gets_it_once_it_is_whole(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    save_backup(pieces(), tmp_path / "pipe")
    reader.join(10)
    assert got == [WHOLE]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_device_stays_one() -> None:
    save_backup(pieces(), Path("/dev/null"))
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_two_at_once_to_one_name_leave_one_of_them_whole(tmp_path: Path) -> None:
    other = backup_of(80)

    def meanwhile() -> Iterator[bytes]:
        yield WHOLE[:PIECE]
        save_backup(pieces(other), tmp_path / "all")
        assert (tmp_path / "all").read_bytes() == other
        yield WHOLE[PIECE:]

    save_backup(meanwhile(), tmp_path / "all")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [WHOLE]


def test_what_a_killed_process_left_is_removed_by_the_next_one_alone(tmp_path: Path) -> None:
    stale, fresh = (tmp_path / f".trioraft-backup-{digit * 16}.part" for digit in "12")
    mine = tmp_path / ".trioraft-backup-notes.part"
    for path in (stale, fresh, mine):
        path.write_bytes(b"half")
    for path in (stale, mine):
        os.utime(path, (0, 0))
    save_backup(pieces(), tmp_path / "all")
    assert sorted(os.listdir(tmp_path)) == sorted([fresh.name, mine.name, "all"])


def test_the_snapshot_of_a_backup_says_what_is_in_it(tmp_path: Path) -> None:
    snapshot = save_backup(pieces(), tmp_path / "all")
    assert msgspec.structs.asdict(snapshot)["size"] == len(WHOLE)
    assert snapshot.header.last_included_index == 9
