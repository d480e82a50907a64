"""Real nodes on a real, full disk: what ends a node, what does not, and what it says."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from ..helpers.processes import Cluster, Node, eventually

VALUE = "x" * 100_000
DISK_FAILED = 74


def leave_free(disk: Path, size: int) -> Path:
    """Fill the disk except for that many bytes. Return the file that fills it."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        left = shutil.disk_usage(disk).free - size
        while left > 0 or not size:
            left -= file.write(b"\0" * 4096)
    return filler


def unfinished(node: Node) -> list[str]:
    return [name for name in os.listdir(node.data) if name.endswith(".tmp")]


def fails_to_start(node: Node) -> str:
    """The words of a node whose disk does not let it start; it never asks for another folder."""
    said = len(node.log)
    node.start()
    assert node.wait() == DISK_FAILED
    text = node.log[said:]
    assert "same folder" in text
    assert "--data-dir" not in text
    assert "Traceback" not in text
    return text


def test_a_full_disk_ends_a_node_for_its_log_alone(disk_of: Callable[[int], Path]) -> None:
    disk = disk_of(24_000)
    with Cluster(disk) as cluster:
        cluster.start()
        leader = cluster.leader()
        for number in range(30):
            assert leader.put(f"key-{number}", VALUE)["ok"]
        cluster.caught_up()

        filler = leave_free(disk, 3_000_000)
        for node in cluster.nodes:
            error = node.ask({"op": "snapshot"})["error"]
            assert error["code"] == "no_space"
            assert "snapshot-" in error["message"]
            assert unfinished(node) == []
        assert leader.put("goes", "on")["ok"]
        assert all(node.running for node in cluster.nodes)
        filler.unlink()
        for node in cluster.nodes:
            assert node.ask({"op": "snapshot"})["ok"]

        filler = leave_free(disk, 0)

        def one_has_ended() -> bool:
            with contextlib.suppress(OSError, ValueError):
                leader.put("big", VALUE)
            return any(not node.running for node in cluster.nodes)

        eventually(one_has_ended, "a node cannot write its log")
        ended = next(node for node in cluster.nodes if not node.running)
        assert ended.wait() == DISK_FAILED
        assert f"its disk has failed: {ended.data}/log-" in ended.log
        assert "No space left on device (make room on that disk" in ended.log
        for node in cluster.running:
            node.kill()

        leave_free(disk, 0)
        assert "make room" in fails_to_start(ended)
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        ended.log_file = disk.parent / "log"
        ended.log_file.touch()
        assert "writable" in fails_to_start(ended)
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        cluster.start()
        cluster.leader()
        assert cluster.write_until_done("goes", "on") < 10
        assert ended.get("key-29")["value"] == VALUE


def test_a_new_node_may_have_another_folder(tmp_path: Path, disk_of: Callable[[int], Path]) -> None:
    disk = disk_of(100)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with Cluster(tmp_path, 1) as cluster:
        node = cluster.nodes[0]
        node.data = disk / "n0"
        node.start()
        assert node.wait() == DISK_FAILED
        assert f"{disk}/n0: Read-only file system" in node.log
        assert "--data-dir" in node.log
