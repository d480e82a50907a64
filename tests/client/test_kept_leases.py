"""A lease that is kept alive: how often, through which node, when it is lost, and that it is given back."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from trioraft.client import KeptLease, NoNode, attempts
from trioraft.client import leases as kept_leases
from trioraft.client.tenure import MARGIN

from ..helpers.fake_nodes import Make

PATIENCE = 20.0
TTL = 1.0


class Leases:
    """What nodes answer of one lease, until it is `ended`, or they are `mute`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.ended = False
        self.mute = False
        self.locked = True
        self.kept = threading.Semaphore(0)

    def answer(self, request: dict[str, Any]) -> dict[str, Any] | None:
        if request["op"] == "ping":
            return None if self.mute else {}
        self.asked.append((request["op"], request.get("lease")))
        if request["op"] == "lease_grant":
            return {"lease": 41, "rev": 41}
        if self.mute:
            return None
        if request["op"] == "txn":
            assert request["checks"] == [{"lock": "l", "fence": 42}]
            return {"succeeded": self.locked, "results": []}
        self.kept.release()
        return {"ok": False, "error": {"code": "lease_expired", "message": "it has ended"}} if self.ended else {}


def count(leases: Leases, op: str) -> int:
    return [asked for asked, _ in leases.asked].count(op)


def test_it_is_kept_alive_and_revoked_at_the_end(fake: Make) -> None:
    leases = Leases()
    with KeptLease([fake(leases.answer).address], TTL) as kept:
        assert kept.lease == 41
        for _ in range(3):
            assert leases.kept.acquire(timeout=PATIENCE)
        assert not kept.lost.is_set()
    assert leases.asked[-1] == ("lease_revoke", 41)
    assert {lease for op, lease in leases.asked if op == "lease_keepalive"} == {41}


def test_it_is_lost_when_the_cluster_says_so(fake: Make) -> None:
    leases = Leases()
    leases.ended = True
    told = threading.Event()
    with KeptLease([fake(leases.answer).address], TTL) as kept:
        kept.on_lost = told.set
        assert told.wait(PATIENCE)
        assert kept.lost.is_set()
        assert kept.why_lost == "its lease was revoked"
    assert count(leases, "lease_keepalive") == 1


def test_it_is_lost_when_its_lock_was_taken_from_it(fake: Make) -> None:
    leases = Leases()
    with KeptLease([fake(leases.answer).address], TTL) as kept:
        kept.holds("l", 42)
        for _ in range(3):
            assert leases.kept.acquire(timeout=PATIENCE)
        assert not kept.lost.is_set()
        leases.locked = False
        assert kept.lost.wait(PATIENCE)
        assert kept.why_lost == "it was unlocked by somebody else"
    assert leases.asked[-1] == ("lease_revoke", 41)


def test_it_is_lost_in_time_though_a_keepalive_hangs(fake: Make) -> None:
    leases = Leases()
    node = fake(leases.answer)
    with KeptLease([node.address], TTL) as kept:
        leases.mute = True
        assert kept.lost.wait(PATIENCE)
    assert kept.why_lost == "its lease was not kept alive in time"
    assert kept.margin == pytest.approx(TTL * MARGIN)


def test_it_is_counted_from_when_a_keepalive_was_sent(fake: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    asked = threading.Semaphore(0)

    def answer(request: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal now
        if request["op"] == "lease_keepalive":
            asked.release()
            if now > 104.0:
                return None
            now = 108.0  # it was long on its way
        return {"lease": 41} if request["op"] == "lease_grant" else {}

    monkeypatch.setattr(kept_leases, "clock", lambda: now)
    with KeptLease([fake(answer).address], 10.0) as kept:
        now = 104.0
        for _ in range(2):  # once the second is sent, the answer to the first has been counted
            assert asked.acquire(timeout=PATIENCE)
        now = 112.9
        assert not kept.lost.wait(1.5)
        now = 113.1
        assert kept.lost.wait(PATIENCE)


def test_it_is_kept_through_another_node(fake: Make) -> None:
    leases, others = Leases(), Leases()
    first, second = fake(leases.answer), fake(others.answer)
    with KeptLease([first.address, second.address], TTL * 3) as kept:
        first.go_away()
        for _ in range(3):
            assert others.kept.acquire(timeout=PATIENCE)
        assert not kept.lost.is_set()
    assert others.asked[-1] == ("lease_revoke", 41)


def test_without_a_node_there_is_none(fake: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "CONNECT_SECONDS", 0.5)
    node = fake(None)
    with pytest.raises(NoNode):
        KeptLease([node.address], TTL)
