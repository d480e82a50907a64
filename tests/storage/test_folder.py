"""A node's folder: which node it belongs to, and who else may use it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from trioraft.raft.membership import Configuration, Formation, Member
from trioraft.storage.errors import Damaged, FolderLocked, WrongNode
from trioraft.storage.folder import NODE_FILE, DataFolder
from trioraft.testing.disk import MemoryDisk


def test_a_folder_is_made_for_its_owner_alone_and_keeps_its_id(tmp_path: Path) -> None:
    path = tmp_path / "parent" / "node-0"
    first = DataFolder.open(path, 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert (first.starts, len(first.id)) == (1, 32)
    first.close()
    second = DataFolder.open(path, 0)
    assert (second.starts, second.id) == (2, first.id)
    assert second.incarnation != first.incarnation
    second.close()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    held = DataFolder.open(tmp_path / "n", 0)
    with pytest.raises(FolderLocked, match="in use"):
        DataFolder.open(tmp_path / "n", 0)
    held.close()
    DataFolder.open(tmp_path / "n", 0).close()


def test_another_nodes_folder_is_refused_naming_both(tmp_path: Path) -> None:
    DataFolder.open(tmp_path / "n", 1).close()
    with pytest.raises(WrongNode, match="node 1, and this is node 2"):
        DataFolder.open(tmp_path / "n", 2)


@pytest.mark.parametrize("bit", [0, 5])
def test_no_damage_makes_a_folder_pass_for_a_fresh_one(bit: int) -> None:
    disk = MemoryDisk()
    folder = DataFolder(disk, 0)
    folder.adopt(Formation("c", Configuration((Member(0, "h:1", "voter", folder.id),), 1)))
    for offset in range(len(disk.read(NODE_FILE)) - 1):
        disk.flip(NODE_FILE, offset, bit)
        with pytest.raises(Damaged, match=NODE_FILE):
            DataFolder(disk, 0)
        disk.flip(NODE_FILE, offset, bit)
    disk.remove(NODE_FILE)
    with pytest.raises(Damaged, match="missing") as caught:
        DataFolder(disk, 0)
    assert "members remove" in caught.value.hint, "it says how the machine is taken in again"
