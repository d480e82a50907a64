"""No acknowledgement leaves before the sync that covers it, as strace sees from outside.

kill -9 leaves the page cache as it is and proves no sync; this does. The leader is watched where a majority needs its
own sync: when it is alone, and when one of its two followers is dead.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..helpers.processes import Cluster, Line, Node, undisturbed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

WRITES = 200

_CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)$")
_ENTRY = re.compile(r'\\"index\\":(\d+),\\"term\\"')


def trace(node: Node) -> Path:
    """Let the node start under strace. Return the file with its calls."""
    path = node.data.parent / f"n{node.index}.strace"
    calls = "trace=pwrite64,fdatasync,fsync,rename,sendto"
    node.wrapper = ["strace", "-D", "-f", "-qq", "-s", "1000000", "-e", calls, "-o", str(path)]
    return path


def calls(path: Path) -> Iterator[tuple[str, str, bool, bool]]:
    """Yield each call's name and arguments, and whether this line is its beginning and its end."""
    for line in path.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match:
            resumed = "resumed>" in line[:60]
            yield match[2], match[3], not resumed, not line.endswith("<unfinished ...>")


def check(path: Path, acknowledgement: str) -> int:
    """Check that each acknowledged index leaves after a sync that began after its write. Return how many there are."""
    pattern = re.compile(acknowledgement)
    written = durable = covered = acknowledged = 0
    unsynced_names = False
    for name, arguments, begins, ends in calls(path):
        if name == "pwrite64" and begins:
            written = max([written, *(int(index) for index in _ENTRY.findall(arguments))])
        elif name == "fdatasync":
            covered = written if begins else covered
            durable = max(durable, covered) if ends else durable
        elif name == "rename" and begins:
            unsynced_names = True
        elif name == "fsync" and ends:
            unsynced_names = False
        elif name == "sendto" and begins:
            for index in pattern.findall(arguments):
                assert int(index) <= durable, f"{index} is acknowledged, and {durable} is synced"
                assert not unsynced_names
                acknowledged += 1
    return acknowledged


def write(cluster: Cluster) -> dict[str, Any] | None:
    """Write, and return the error where a write is refused: a busy machine may cost a traced leader its lead."""
    with Line(cluster.leader().port) as line:
        for number in range(WRITES):
            reply = line.ask({"op": "put", "key": f"k{number % 7}", "value": number})
            if not reply["ok"]:
                return reply
    return None


def test_a_node_alone_answers_after_its_sync(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        path = trace(cluster.nodes[0])
        cluster.start()
        assert write(cluster) is None
        cluster.nodes[0].stop()
        assert check(path, r'\\"ok\\":true,\\"rev\\":(\d+)\}') == WRITES


def test_leader_and_follower_acknowledge_after_their_syncs(tmp_path: Path) -> None:
    undisturbed(tmp_path, check_both)


def check_both(folder: Path) -> dict[str, Any] | None:
    """Check the calls of a leader and a follower while there are writes; the error where one is refused."""
    with Cluster(folder, 3) as cluster:
        paths = [trace(node) for node in cluster.nodes]
        cluster.start()
        leader = cluster.leader()
        cluster.followers()[0].kill()
        follower = cluster.followers()[0]
        if (refusal := write(cluster)) is not None:
            return refusal
        cluster.caught_up()
        follower.kill()
        leader.kill()
        assert check(paths[leader.index], r'\\"ok\\":true,\\"rev\\":(\d+)\}') == WRITES
        matched = r'\\"append_entries_reply\\",\\"term\\":\d+,\\"accepted\\":true,\\"match_index\\":(\d+)'
        assert check(paths[follower.index], matched) >= WRITES
    return None


def test_a_vote_is_told_after_its_sync(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3) as cluster:
        paths = [trace(node) for node in cluster.nodes]
        cluster.start()
        cluster.leader()
        for node in cluster.nodes:
            node.kill()
        granted = 0
        for path in paths:
            voted = synced = covered = -1
            for name, arguments, begins, ends in calls(path):
                if name == "pwrite64" and begins:
                    votes = re.findall(r'\\"term\\":(\d+),\\"voted_for\\":\d', arguments)
                    voted = max([voted, *map(int, votes)])
                elif name == "fdatasync":
                    covered = voted if begins else covered
                    synced = max(synced, covered) if ends else synced
                elif name == "sendto" and begins:
                    pattern = r'\\"request_vote_reply\\",\\"term\\":(\d+),\\"granted\\":true'
                    for term in re.findall(pattern, arguments):
                        assert int(term) <= synced
                        granted += 1
        assert granted >= 1
