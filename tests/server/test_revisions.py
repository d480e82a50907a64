"""What a reply reflects (`at`), and what a client may ask of it."""

from __future__ import annotations

from typing import Any

import trio

from ..helpers.virtual_cluster import Cluster


def get(key: str, **fields: Any) -> dict[str, Any]:
    return {"op": "get", "key": key, **fields}


def put(key: str, **fields: Any) -> dict[str, Any]:
    return {"op": "put", "key": key, "value": 1, **fields}


async def test_every_read_tells_as_of_which_revision_it_is(cluster: Cluster) -> None:
    leader = await cluster.leader()
    rev = (await cluster.ask(leader, put("a")))[0]["rev"]
    for node in range(3):
        found, missing, scanned, empty, status = await cluster.ask(
            node, get("a"), get("b"), {"op": "scan"}, {"op": "scan", "prefix": "b"}, {"op": "status"}
        )
        assert found["at"] == missing["at"] == scanned["at"] == empty["at"] == status["at"] == rev
        assert status["at"] == status["last_applied"]


async def test_a_read_before_a_write_does_not_reflect_it(cluster: Cluster) -> None:
    """Whatever is committed with it: what follows the read is not in the state that it is answered from."""
    for node in range(3):
        for _ in range(20):
            asked = [get("a", id=1), put("a", id=2), {"op": "scan", "id": 3}, {"op": "status", "id": 4}, put("a", id=5)]
            read, first, scanned, status, second = await cluster.ask(node, *asked)
            assert read["at"] < first["rev"] <= scanned["at"] <= status["at"] < second["rev"]
            assert scanned["items"][0]["rev"] == first["rev"]
            await trio.sleep(0.01)
