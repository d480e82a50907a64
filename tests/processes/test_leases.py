"""Leases in real processes: what clients keep alive outlives a leader that stands still, and what nobody keeps ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from ..helpers.processes import Cluster, Line, Node, eventually

LEASES, CLIENTS = 100, 10
TTL = 5.0
STOPPED = 20.0


class Keeper:
    """A client that keeps its leases alive through one node, and reckons for how long it may rely on them."""

    def __init__(self, node: Node, leases: Sequence[int]) -> None:
        self.lost: list[str] = []
        """What went wrong with a lease that was kept."""
        self.kept = 0
        self._node = node
        self._leases = leases
        self._over = threading.Event()
        self._until = dict.fromkeys(leases, time.monotonic() + TTL * 0.9)
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with Line(self._node.port, 60) as line:
            while not self._over.wait(TTL / 5):
                sent = time.monotonic()
                for lease in self._leases[: len(self._leases) // 2]:
                    line.send({"op": "lease_keepalive", "lease": lease})
                rest = list(self._leases[len(self._leases) // 2 :])
                line.send({"op": "lease_keepalive", "leases": rest})
                for lease in self._leases[: len(self._leases) // 2]:
                    self._learn([lease], sent, line.read())
                self._learn(rest, sent, line.read())

    def _learn(self, leases: Sequence[int], sent: float, reply: dict[str, Any]) -> None:
        expired = set(reply.get("expired", ()))
        if not reply["ok"] and reply["error"]["code"] == "lease_expired":
            expired = set(leases)
        for lease in leases:
            if lease in expired:
                if self._until[lease] > time.monotonic():
                    self.lost.append(f"lease {lease} has ended, and may be relied on until {self._until[lease]}")
            elif reply["ok"]:
                self.kept += 1
                self._until[lease] = sent + TTL * 0.9


def granted(node: Node, count: int, ttl_ms: int) -> list[int]:
    """Grant so many leases, each with a key."""
    with Line(node.port) as line:
        line.send(*[{"op": "lease_grant", "ttl_ms": ttl_ms}] * count)
        leases = [line.read()["lease"] for _ in range(count)]
        line.send(*[{"op": "put", "key": f"of {lease}", "value": 1, "lease": lease} for lease in leases])
        assert all(line.read()["ok"] for _ in leases)
    return leases


def living(node: Node) -> list[dict[str, Any]]:
    reply = node.ask({"op": "leases", "limit": 10_000})
    assert reply["ok"], reply
    rows: list[dict[str, Any]] = reply["leases"]
    return rows


def keys(node: Node) -> set[str]:
    return {item["key"] for item in node.ask({"op": "scan", "prefix": "of ", "limit": 10_000})["items"]}


def test_a_lease_that_nobody_keeps_ends_with_its_keys_and_no_earlier_than_its_ttl(cluster: Cluster) -> None:
    node = cluster.followers()[0]
    began = time.monotonic()
    kept, forgotten = granted(node, 2, 1000)
    assert [row["lease"] for row in living(node)] == [kept, forgotten]
    with Line(node.port) as line:

        def has_ended() -> bool:
            assert line.ask({"op": "lease_keepalive", "lease": kept})["ok"]
            return f"of {forgotten}" not in keys(node)

        eventually(has_ended, "the lease ends")
        assert time.monotonic() - began >= 1
        reply = line.ask({"op": "lease_keepalive", "leases": [kept, forgotten]})
        assert reply == {"ok": True, "expired": [forgotten]}
        refused = line.ask({"op": "put", "key": "late", "value": 1, "lease": forgotten})
        assert (refused["error"]["code"], refused["error"]["applied"]) == ("lease_expired", "no")
    [row] = living(node)
    assert (row["lease"], row["ttl_ms"], row["keys"]) == (kept, 1000, 1)
    assert 0 < row["remaining_ms"] <= 1250


@pytest.mark.slow
def test_none_is_lost_that_was_kept_while_the_leader_stood_still(cluster: Cluster) -> None:
    leader = cluster.leader()
    others = cluster.followers()
    leases = granted(others[0], LEASES, int(TTL * 1000))
    each = LEASES // CLIENTS
    keepers = [Keeper(others[n % 2], leases[n * each : (n + 1) * each]) for n in range(CLIENTS)]
    for keeper in keepers:
        keeper.start()
    try:
        time.sleep(TTL / 2)  # they have kept their leases alive under the first leader
        leader.pause()
        try:
            time.sleep(STOPPED)
        finally:
            leader.resume()
        time.sleep(TTL)  # and go on with whoever leads
    finally:
        for keeper in keepers:
            keeper.stop()
    assert [why for keeper in keepers for why in keeper.lost] == []
    assert all(keeper.kept > len(leases) // CLIENTS * 10 for keeper in keepers)
    assert [row["lease"] for row in living(leader)] == leases
    assert keys(leader) == {f"of {lease}" for lease in leases}
    eventually(lambda: not living(leader), "all of them end once nobody keeps them", 3 * TTL)
    assert keys(leader) == set()
