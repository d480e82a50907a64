"""New clusters in real folders: mount points, links, full disks, folders in use; and processes killed at any moment."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec import Raw

from tests.helpers.folders import started
from trioraft.addresses import Address
from trioraft.cluster.disaster import INDEX_LEAP, recover_survivor, restore_backup
from trioraft.cluster.startup import Recovered, recover
from trioraft.key_values import key_value_machine
from trioraft.kv.commands import LeaseGrant, Lock, Put
from trioraft.machine import contents
from trioraft.raft.membership import Configuration, Member
from trioraft.raft.messages import Entry, HardState
from trioraft.replica.replicated import Replicated
from trioraft.storage.errors import Damaged, FolderLocked, StorageError
from trioraft.storage.folder import DataFolder
from trioraft.storage.snapshots import SnapshotWriter
from trioraft.testing.disk import MemoryDisk
from trioraft.testing.stores import store_of
from trioraft.wire.cluster_commands import OpenSession
from trioraft.wire.codec import seal_line
from trioraft.wire.commands import encode_commands
from trioraft.wire.entries import seal
from trioraft.wire.snapshots import FORMAT, SnapshotHeader

ADDRESS = Address("127.0.0.1", 8000)
OTHER = Address("127.0.0.1", 8001)
KEYS = 100


def write_backup(file: Path, keys: int) -> Path:
    machine = key_value_machine()
    machine.apply(1, [Put(f"key-{number}", Raw(b'"value"')) for number in range(keys)])
    return write_backup_of(machine, file, keys)


def write_backup_of(machine: Replicated, file: Path, index: int) -> Path:
    configuration = Configuration((Member(0, "h:1", "voter", "f" * 32),), 1)
    disk = MemoryDisk()
    writer = SnapshotWriter(disk, SnapshotHeader(FORMAT, "c" * 32, index, 3, 0, configuration, dict(machine.sections)))
    for lines, count in machine.freeze().slices(KEYS, 10**6):
        writer.append(lines, count)
    file.write_bytes(disk.read(writer.finish().name))
    return file


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return write_backup(tmp_path / "backup.jsonl", KEYS)


def keys_of(found: Recovered) -> int:
    """How many keys the node has found."""
    return found.machine.sections["keys"]


def survivor(tmp_path: Path, backup: Path, command: bytes | None = None) -> Path:
    """Make a folder with a snapshot and a log beyond it that holds that command."""
    path = tmp_path / "n0"
    restore_backup(backup, path, 0, ADDRESS, key_value_machine())
    folder = DataFolder.open(path, 0)
    assert folder.formation is not None
    found = recover(folder, folder.formation, key_value_machine())
    [put] = encode_commands([Put("beyond", Raw(b'"the snapshot"'))])
    entries: list[Entry] = [seal(found.point.index + 1, found.point.term, "command", command or put)]
    found.log.write(HardState(found.point.term), entries)
    found.log.close()
    folder.close()
    return path


def everything(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_what_a_newer_version_wrote_is_refused_and_stays(tmp_path: Path, backup: Path) -> None:
    path = survivor(tmp_path, backup, b'{"op":"of a newer version"}')
    before = set(everything(path))
    with pytest.raises(StorageError, match="comes from a newer version"):
        recover_survivor(path, OTHER, key_value_machine())
    assert set(everything(path)) == before
    assert b"of a newer version" in started(path).entries[-1].line


def test_two_clusters_of_one_backup_begin_at_different_revisions(tmp_path: Path, backup: Path) -> None:
    made = [restore_backup(backup, tmp_path / name, 0, ADDRESS, key_value_machine()) for name in "ab"]
    assert made[0].index != made[1].index
    assert all(INDEX_LEAP <= one.index - KEYS < 2 * INDEX_LEAP for one in made)
    assert made[0].cluster != made[1].cluster


def test_a_new_cluster_has_neither_leases_nor_sessions_of_the_old_one(tmp_path: Path) -> None:
    machine = key_value_machine()
    machine.raise_level(2, 0)
    leased = [LeaseGrant(1000), Put("tied", Raw(b"1"), None, 1), Put("free", Raw(b"2")), Lock("m", 1), OpenSession()]
    machine.apply(1, leased)
    view, disk = machine.freeze(), MemoryDisk()
    configuration = Configuration((Member(0, "h:1", "voter", "f" * 32),), 1, 2)
    header = SnapshotHeader(FORMAT, "c" * 32, len(leased), 3, 0, configuration, dict(view.sections))
    writer = SnapshotWriter(disk, header)
    for lines, count in view.slices(100, 10**6):
        writer.append(lines, count)
    file = tmp_path / "backup.jsonl"
    file.write_bytes(disk.read(writer.finish().name))
    reborn = restore_backup(file, tmp_path / "n0", 0, ADDRESS, key_value_machine())
    found = started(tmp_path / "n0").machine
    assert contents(found.sections) == contents(reborn.sections) == "1 key"
    assert found.read("tied") is None
    assert found.level == 2
    assert store_of(found).history.first_rev == reborn.index


@pytest.mark.parametrize("level", [1, 2])
def test_a_new_cluster_keeps_the_level_and_no_session(tmp_path: Path, level: int) -> None:
    """Whoever retried in a session of the old cluster would believe that it knows what became of the first attempt."""
    machine = key_value_machine()
    machine.raise_level(level, 0)
    machine.apply(1, [Put("key", Raw(b"1")), *([OpenSession()] if level > 1 else [])])
    backup = write_backup_of(machine, tmp_path / "backup.jsonl", 2)
    for made in (
        partial(restore_backup, backup, tmp_path / "n0", 0, ADDRESS),
        partial(recover_survivor, tmp_path / "n0", OTHER),
    ):
        made(key_value_machine())
        found = started(tmp_path / "n0")
        assert isinstance(found.machine, Replicated)
        assert (found.machine.level, len(found.machine.sessions), keys_of(found)) == (level, 0, 1)
    formation = DataFolder.peek(tmp_path / "n0").formation
    assert formation is not None
    assert formation.configuration.level == level


@pytest.mark.parametrize("there", ["nothing", "nothing, nor its parents", "an empty folder", "a link to a folder"])
def test_a_backup_is_restored_into(tmp_path: Path, backup: Path, there: str) -> None:
    path = tmp_path / "place" / "n0" if "parents" in there else tmp_path / "n0"
    if there == "an empty folder":
        path.mkdir(mode=0o750)
    if there == "a link to a folder":
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to("elsewhere")
    assert restore_backup(backup, path, 0, ADDRESS, key_value_machine()).sections == {"keys": KEYS}
    assert keys_of(started(path)) == KEYS
    assert path.is_symlink() == ("link" in there)
    if there == "an empty folder":
        assert path.stat().st_mode & 0o777 == 0o750
    beside = {"backup.jsonl", "elsewhere", "place", "n0"}
    assert set(os.listdir(tmp_path)) <= beside
    assert all(name in ("lock", "node.json") or name.startswith(("log-", "snapshot-")) for name in os.listdir(path))


def test_a_mount_point_with_lost_and_found_is_restored_into_and_recovered(
    backup: Path, disk_of: Callable[[int], Path]
) -> None:
    disk = disk_of(4000)
    (disk / "lost+found").mkdir()
    restore_backup(backup, disk, 0, ADDRESS, key_value_machine())
    assert keys_of(started(disk)) == KEYS
    reborn = recover_survivor(disk, OTHER, key_value_machine())
    assert reborn.sections["keys"] == keys_of(started(disk)) == KEYS
    assert reborn.kept is not None
    assert reborn.kept.parent == disk
    assert (reborn.kept / "node.json").exists()
    assert (disk / "lost+found").is_dir()
    assert [name for name in os.listdir(disk) if name.startswith("new.")] == []
    assert os.listdir(disk.parent) != []


def test_the_old_files_stay_in_a_subfolder_and_those_of_others_where_they_are(tmp_path: Path, backup: Path) -> None:
    path = survivor(tmp_path, backup)
    (path / "notes.txt").write_text("mine")
    before = {name: data for name, data in everything(path).items() if name.startswith(("log-", "snapshot-"))}
    reborn = recover_survivor(path, OTHER, key_value_machine())
    found = started(path)
    assert reborn.sections["keys"] == keys_of(found) == KEYS + 1
    assert found.configuration.members[0].address == str(OTHER)
    assert reborn.kept is not None
    kept = everything(reborn.kept)
    assert {name: data for name, data in kept.items() if name.startswith("snapshot-")} == {
        name: data for name, data in before.items() if name.startswith("snapshot-")
    }
    assert (path / "notes.txt").read_text() == "mine"
    again = DataFolder.open(reborn.kept, 0)  # the folder is still whole
    again.close()


@pytest.mark.parametrize("there", ["a file of somebody", "a node", "a file in its place", "in use", "no backup"])
def test_what_refuses_refuses_before_anything_is_written(tmp_path: Path, backup: Path, there: str) -> None:
    path = tmp_path / "n0"
    held = None
    match there:
        case "a file of somebody":
            path.mkdir()
            (path / "thesis.tex").write_text("years")
        case "a node":
            restore_backup(backup, path, 0, ADDRESS, key_value_machine())
        case "a file in its place":
            path.write_text("x")
        case "in use":
            held = DataFolder.open(path, 0)
        case "no backup":
            backup.write_bytes(backup.read_bytes()[:-7])
    before = everything(tmp_path), sorted(os.listdir(tmp_path))
    with pytest.raises((StorageError, OSError)) as caught:
        restore_backup(backup, path, 0, ADDRESS, key_value_machine())
    assert (everything(tmp_path), sorted(os.listdir(tmp_path))) == before
    assert "n0" in str(caught.value) or there == "no backup"
    if there == "a file of somebody":
        assert "thesis.tex" in str(caught.value)
        with pytest.raises(StorageError, match="no node's folder"):
            recover_survivor(path, ADDRESS, key_value_machine())
        assert (everything(tmp_path), sorted(os.listdir(tmp_path))) == before
    if held is not None:
        with pytest.raises((FolderLocked, StorageError)):
            recover_survivor(path, ADDRESS, key_value_machine())
        held.close()


def test_a_running_nodes_folder_is_not_recovered(tmp_path: Path, backup: Path) -> None:
    path = survivor(tmp_path, backup)
    held = DataFolder.open(path, 0)
    before = everything(path)
    with pytest.raises(FolderLocked, match="in use"):
        recover_survivor(path, OTHER, key_value_machine())
    assert everything(path) == before
    held.close()


@pytest.mark.parametrize("there", ["the folder itself", "a folder in it", "nothing yet"])
def test_a_full_disk_keeps_nothing_of_it(tmp_path: Path, disk_of: Callable[[int], Path], there: str) -> None:
    backup = write_backup(tmp_path / "big.jsonl", 5000)
    disk = disk_of(128)
    path = disk if there == "the folder itself" else disk / "a" / "n0"
    if there == "a folder in it":
        path.mkdir(parents=True)
    before = sorted(disk.rglob("*"))
    with pytest.raises(StorageError, match=r"cannot hold the new node.*no room") as caught:
        restore_backup(backup, path, 0, ADDRESS, key_value_machine())
    assert "say it again" in caught.value.hint
    assert sorted(disk.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_files_belong_to_whom_the_folder_belongs(tmp_path: Path, backup: Path) -> None:
    path = tmp_path / "n0"
    path.mkdir()
    os.chown(path, 12345, 23456)
    restore_backup(backup, path, 0, ADDRESS, key_value_machine())
    assert {(file.stat().st_uid, file.stat().st_gid) for file in path.iterdir()} == {(12345, 23456)}


def test_a_read_only_disk_is_said(tmp_path: Path, backup: Path, disk_of: Callable[[int], Path]) -> None:
    disk = disk_of(1000)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for path in (disk, disk / "n0"):
        with pytest.raises(OSError, match="Read-only") as caught:
            restore_backup(backup, path, 0, ADDRESS, key_value_machine())
        assert str(disk) in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["backup.jsonl", disk.name]


CALLS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "open", "os.listdir", "os.scandir", "shutil.rmtree"}


def killed_at(call: int, act: Callable[[], object]) -> bool:
    """Do that in a process of its own, which is killed at that system call. Return whether it got so far."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        left = call

        def count(event: str, _: object) -> None:
            nonlocal left
            if event in CALLS:
                left -= 1
                if left < 0:
                    os._exit(9)

        sys.addaudithook(count)
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


at_calls = pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
"""A process killed at every system call; by default at one of five."""


@at_calls
def test_a_restore_that_is_killed_anywhere_is_no_node_or_a_whole_one_and_can_be_said_again(
    tmp_path: Path, backup: Path, step: int
) -> None:
    call, interrupted = 0, 0
    while True:
        path = tmp_path / f"n{call}"
        ended = killed_at(call, partial(restore_backup, backup, path, 0, ADDRESS, key_value_machine()))
        if path.exists() and "node.json" not in os.listdir(path):
            try:
                DataFolder.open(path, 0).close()
                assert not any(name.startswith("snapshot-") for name in os.listdir(path))
                (path / "node.json").unlink()
            except Damaged:
                raise
            except StorageError as error:
                assert "interrupted" in error.message
                interrupted += 1
        if not ended:
            break
        restore_again(backup, path)
        assert keys_of(started(path)) == KEYS
        assert [name for name in os.listdir(path) if name.startswith("new.")] == []
        call += step
    assert call > 20
    assert interrupted > 3 / step
    assert [name for name in os.listdir(tmp_path) if name != "backup.jsonl" and not name.startswith("n")] == []


def restore_again(backup: Path, path: Path) -> None:
    """If the kill came after everything was done, the folder belongs to a node, and is refused."""
    try:
        restore_backup(backup, path, 0, ADDRESS, key_value_machine())
    except StorageError as error:
        assert "is not empty" in error.message
        started(path)


@at_calls
def test_a_recover_that_is_killed_anywhere_loses_nothing_and_is_finished_by_the_next(
    tmp_path: Path, backup: Path, step: int
) -> None:
    call, interrupted = 0, 0
    while True:
        home = tmp_path / str(call)
        home.mkdir()
        path = survivor(home, backup)
        ended = killed_at(call, partial(recover_survivor, path, OTHER, key_value_machine()))
        try:
            found = started(path)
            assert keys_of(found) + len(found.entries) == KEYS + 1
        except StorageError as error:
            assert "interrupted" in error.message
            interrupted += 1
        if not ended:
            break
        reborn = recover_survivor(path, OTHER, key_value_machine())
        found = started(path)
        assert reborn.sections["keys"] == keys_of(found) == KEYS + 1
        assert [member.address for member in found.configuration.members] == [str(OTHER)]
        assert reborn.kept is not None or any(name.startswith("before-") for name in os.listdir(path))
        assert [name for name in os.listdir(path) if name.startswith("new.")] == []
        assert os.listdir(home) == ["n0"]
        call += step
    assert call > 30
    assert interrupted > 5 / step


@pytest.mark.parametrize(
    ("spoil", "said", "hint"),
    [
        pytest.param(lambda whole: whole[: whole.index(b"\n", 2000) + 1], "its end is missing", "another", id="lines"),
        pytest.param(lambda whole: whole + whole, "the bytes before its last line: ", "another", id="twice"),
        pytest.param(lambda whole: whole[:2000], "its end is missing: its last line is cut off", "another", id="cut"),
        pytest.param(lambda whole: whole[:20], "is not a whole backup: it has no complete line", "another", id="short"),
        pytest.param(
            lambda whole: whole[:4], "is not a whole backup: it has no complete line", "another", id="shorter"
        ),
        pytest.param(lambda _: b"", "backup.jsonl is empty", "another", id="empty"),
        pytest.param(
            lambda whole: whole.replace(b':"value"', b':"Value"', 1), "bytes have changed", "another", id="letter"
        ),
        pytest.param(gzip.compress, "is compressed with gzip", "'zcat FILE |", id="gzip"),
        pytest.param(bz2.compress, "is compressed with bzip2", "'bzcat FILE |", id="bzip2"),
        pytest.param(lzma.compress, "is compressed with xz", "'xzcat FILE |", id="xz"),
        pytest.param(lambda _: b'{"name": 1}\n', "is no backup", "another", id="other"),
        pytest.param(lambda _: seal_line(b'"snapshot":99}') + b"\n", "format 99", "or a newer one", id="newer"),
    ],
)
def test_what_is_wrong_with_a_backup_is_said_in_words(
    tmp_path: Path, backup: Path, spoil: Callable[[bytes], bytes], said: str, hint: str
) -> None:
    backup.write_bytes(spoil(backup.read_bytes()))
    with pytest.raises(StorageError) as caught:
        restore_backup(backup, tmp_path / "n0", 0, ADDRESS, key_value_machine())
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.hint.endswith("nothing was touched")
    assert "SnapshotEnd" not in caught.value.message
    assert os.listdir(tmp_path) == ["backup.jsonl"]


@pytest.mark.parametrize("whole", [True, False])
def test_a_backup_may_come_through_a_pipe(tmp_path: Path, backup: Path, whole: bool) -> None:
    data = backup.read_bytes()
    readable, writable = os.pipe()
    os.write(writable, data if whole else gzip.compress(data))  # less than a pipe holds
    os.close(writable)
    try:
        if whole:
            assert restore_backup(
                Path(f"/dev/fd/{readable}"), tmp_path / "n0", 0, ADDRESS, key_value_machine()
            ).sections == {"keys": KEYS}
            assert keys_of(started(tmp_path / "n0")) == KEYS
        else:
            with pytest.raises(StorageError, match="compressed with gzip"):
                restore_backup(Path(f"/dev/fd/{readable}"), tmp_path / "n0", 0, ADDRESS, key_value_machine())
    finally:
        os.close(readable)
