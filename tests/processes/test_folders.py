"""Folders that are damaged, wiped, copied, old or another node's: none starts afresh, or makes a second majority."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ..helpers.processes import HOST, Cluster, Node, eventually, free_ports

BEFORE = Path(__file__).parents[1] / "storage" / "data_before" / "node"
FIRST_SEGMENT = "log-00000001.jsonl"


def fill(cluster: Cluster, count: int = 200) -> None:
    node = cluster.nodes[0]
    for number in range(count):
        assert node.put(f"key-{number}", f"value-{number}")["ok"]
    cluster.caught_up()


def refuses_to_start(node: Node, *words: str) -> None:
    """Check that the node ends by itself, says why, and leaves its folder as it is."""
    before = {path.name: path.read_bytes() for path in node.data.iterdir()} if node.data.is_dir() else {}
    said = len(node.log)
    node.start()
    code = node.wait()
    assert code not in (0, -9), code
    text = node.log[said:]
    for word in words:
        assert word in text, f"{word!r} is not in {text!r}"
    assert "Traceback" not in text
    after = {path.name: path.read_bytes() for path in node.data.iterdir()} if node.data.is_dir() else {}
    for name in before:
        if name.startswith("log-"):
            assert before[name] == after[name], f"{name} was changed"


def others_go_on(cluster: Cluster, without: Node) -> None:
    rest = [node for node in cluster.nodes if node is not without]
    cluster.write_until_done("still", "here", nodes=rest)
    assert all(node.get("still")["value"] == "here" for node in rest)


@pytest.mark.parametrize(
    "where",
    ["middle", *[pytest.param(place, marks=pytest.mark.slow) for place in ("header", "entry of the first batch")]],
)
def test_one_flipped_byte_stops_that_node_alone(cluster: Cluster, where: str) -> None:
    fill(cluster)
    node = cluster.followers()[0]
    assert node.stop() == 0
    log = node.data / FIRST_SEGMENT
    data = bytearray(log.read_bytes())
    offset = {"middle": len(data) // 2, "header": 40, "entry of the first batch": data.index(b'"noop"') + 1}[where]
    data[offset] ^= 0x01
    log.write_bytes(data)
    refuses_to_start(node, FIRST_SEGMENT, "offset")
    named = re.search(r"offset (\d+)", node.log)
    assert named
    start = data.rfind(b"\n", 0, offset) + 1
    assert start <= int(named[1]) <= offset
    others_go_on(cluster, node)


@pytest.mark.slow
def test_after_kill_9_a_flip_before_the_last_batch_stops_the_node_too(cluster: Cluster) -> None:
    fill(cluster)
    node = cluster.leader()
    node.kill()
    log = node.data / FIRST_SEGMENT
    data = bytearray(log.read_bytes())
    data[len(data.rstrip()) // 3] ^= 0x80
    log.write_bytes(data)
    refuses_to_start(node, FIRST_SEGMENT, "offset")
    others_go_on(cluster, node)


def test_a_torn_tail_is_cut_and_said(cluster: Cluster) -> None:
    fill(cluster, 20)
    node = cluster.followers()[0]
    node.kill()
    with (node.data / FIRST_SEGMENT).open("r+b") as log:
        log.seek(len(log.read().rstrip()) + 1)  # into the room at the end of the log
        log.write(b'{"crc":"12345678","index":9')
    node.start()
    node.listens()
    cluster.caught_up()
    assert FIRST_SEGMENT in node.log
    assert "offset" in node.log
    assert node.get("key-19", "stale")["value"] == "value-19"


def test_an_end_that_was_damaged_and_cut_is_refused_and_called_what_it_may_be(cluster: Cluster) -> None:
    """Damage to the last batch looks like an unfinished write: only the other nodes can know better."""
    fill(cluster, 20)
    node = cluster.followers()[0]
    node.kill()
    path = node.data / FIRST_SEGMENT
    data = bytearray(path.read_bytes())
    data[len(data.rstrip()) - 5] ^= 0x01
    path.write_bytes(data)
    said = len(node.log)
    node.start()
    node.listens()
    eventually(lambda: "it had acknowledged" in node.log[said:], "the others refuse it")
    text = node.log[said:]
    assert "or the end of its log was damaged and is cut" in text
    assert "members remove" in text
    assert f"{FIRST_SEGMENT}: cut" in text
    assert "If the disk has damaged them since" in text
    others_go_on(cluster, node)


@pytest.mark.parametrize("lost", [FIRST_SEGMENT, pytest.param("node.json", marks=pytest.mark.slow)])
def test_a_lost_file_is_damage_and_no_fresh_start(cluster: Cluster, lost: str) -> None:
    fill(cluster, 5)
    node = cluster.followers()[0]
    assert node.stop() == 0
    (node.data / lost).unlink()
    refuses_to_start(node, lost)
    others_go_on(cluster, node)


def test_a_file_of_a_newer_version_is_refused_with_nothing_touched(cluster: Cluster) -> None:
    from trioraft.wire.codec import open_line, seal_line

    node = cluster.followers()[0]
    assert node.stop() == 0
    path = node.data / "node.json"
    body = bytes(open_line(path.read_bytes().rstrip(b"\n")))
    newer = seal_line(body.replace(b'"format":1', b'"format":99')) + b"\n"
    path.write_bytes(newer)
    refuses_to_start(node, "99", "upgrade")
    assert path.read_bytes() == newer


def test_a_wiped_folder_gets_no_vote_and_is_told_why(cluster: Cluster) -> None:
    fill(cluster, 5)
    node = cluster.followers()[0]
    node.kill()
    shutil.rmtree(node.data)
    node.start()
    node.listens()
    eventually(lambda: "refuse" in node.log and "folder" in node.log, "it says that it is refused, and why")
    assert node.status()["role"] != "leader"
    assert node.status()["members"] == []
    others_go_on(cluster, node)


@pytest.mark.slow
def test_two_wiped_folders_make_no_second_cluster(cluster: Cluster) -> None:
    fill(cluster, 5)
    kept = cluster.leader()
    wiped = [node for node in cluster.nodes if node is not kept]
    for node in wiped:
        node.kill()
        shutil.rmtree(node.data)
    cluster.start(wiped)
    for node in wiped:
        eventually(lambda node=node: "refuse" in node.log, "it says that it is refused")  # type: ignore[misc]
        error = node.put("key", "second majority")["error"]
        assert (error["code"], error["applied"]) == ("no_quorum", "no")
        assert node.status()["members"] == []
    assert kept.put("key", 1)["error"]["code"] == "no_quorum"
    assert kept.get("key-4", "stale")["value"] == "value-4"


def test_an_older_copy_of_a_folder_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    node = cluster.followers()[0]
    assert node.stop() == 0
    shutil.copytree(node.data, tmp_path / "old")
    node.start()
    node.listens()
    fill(cluster, 20)
    node.kill()
    shutil.rmtree(node.data)
    shutil.copytree(tmp_path / "old", node.data)
    node.start()
    node.listens()
    eventually(lambda: "older copy" in node.log, "it is told that its folder is an older copy")
    others_go_on(cluster, node)
    assert node.get("still", "stale").get("value") is None


def test_a_copied_folder_beside_its_original_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    """A second process on a copy of node 1's folder, at another port, is not heard as node 1."""
    fill(cluster, 5)
    original = cluster.nodes[1]
    assert original.stop() == 0
    copy = tmp_path / "copied"
    copy.mkdir()
    shutil.copytree(original.data, copy / "n1")
    original.start()
    original.listens()
    cluster.caught_up()
    (port,) = free_ports(1)
    twin = Node(1, port, cluster.servers, copy)
    twin.options = ["--listen", f"{HOST}:{port}"]
    try:
        twin.start()
        twin.listens()
        eventually(lambda: "refuse" in twin.log, "the copy is told that it is refused")
        assert twin.status()["role"] == "follower"
        others_go_on(cluster, original)
        assert original.get("still")["value"] == "here"
        assert twin.get("still", "stale")["value"] is None
    finally:
        twin.kill()


def test_a_folder_in_use_is_refused_to_a_second_process(cluster: Cluster) -> None:
    node = cluster.nodes[1]
    second = Node(1, node.port, cluster.servers, cluster.folder)
    node.pause()  # the node holds its folder, and writes nothing meanwhile
    refuses_to_start(second, str(node.data), "in use")
    node.resume()
    assert node.status()["node"] == 1


def test_another_nodes_folder_is_refused_naming_both(cluster: Cluster) -> None:
    first, second = cluster.nodes[:2]
    assert second.stop() == 0
    impostor = Node(0, first.port, cluster.servers, cluster.folder)
    impostor.data = second.data
    refuses_to_start(impostor, "node 0", "node 1")
    others_go_on(cluster, second)


@pytest.mark.slow
def test_an_edited_servers_file_changes_no_member(cluster: Cluster) -> None:
    """Two nodes restart with a list of two, then of one: the cluster's own list counts."""
    fill(cluster, 5)
    leader = cluster.leader()
    alone = next(node for node in cluster.nodes if node.index == 0)
    for node in cluster.nodes:
        node.kill()
    cluster.servers.write_text(f"{HOST}:{alone.port}\n")
    alone.start()
    alone.listens()
    error = alone.put("key", "majority of one")["error"]
    assert (error["code"], error["applied"]) == ("no_quorum", "no")
    assert len(alone.status()["members"]) == 3
    eventually(lambda: "servers.txt" in alone.log, "a warning that the lists differ")
    alone.kill()
    cluster.servers.write_text("".join(f"{HOST}:{node.port}\n" for node in cluster.nodes))
    cluster.start()
    cluster.leader()
    assert leader.get("key-4")["value"] == "value-4"


def test_lists_that_differ_form_no_cluster(unstarted: Cluster, tmp_path: Path) -> None:
    ports = [node.port for node in unstarted.nodes]
    other = tmp_path / "other.txt"
    other.write_text(f"{HOST}:{ports[0]}\n{HOST}:{ports[2]}\n{HOST}:{ports[1]}\n")
    odd = unstarted.nodes[0]
    odd.servers = other
    unstarted.start()
    rest = unstarted.nodes[1:]
    for node in rest:
        eventually(lambda node=node: "waiting for" in node.log, "it says for whom it waits")  # type: ignore[misc]
        assert node.status()["members"] == []
    odd.kill()
    odd.servers = unstarted.servers
    odd.start()
    unstarted.leader()


def test_a_node_starts_on_a_folder_of_a_version_before(tmp_path: Path) -> None:
    """Its snapshot has format 1; keys were overwritten and deleted before it and after."""
    with Cluster(tmp_path, 1) as cluster:
        [node] = cluster.nodes
        shutil.copytree(BEFORE, node.data)
        node.options = ["--listen", f"{HOST}:{node.port}"]
        cluster.start()
        assert cluster.leader() is node
        assert {key: node.get(key)["value"] for key in ("plain", "later", "count", "dropped", "gone", "after")} == {
            "plain": "third",
            "later": 7,
            "count": 42,
            "dropped": None,
            "gone": None,
            "after": None,
        }
        assert node.ask({"op": "snapshot"})["keys"] == 7
        assert node.stop() == 0
        node.start()
        node.listens()
        assert cluster.leader() is node
        assert node.get("plain")["value"] == "third"
