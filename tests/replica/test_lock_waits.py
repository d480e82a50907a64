"""Whoever waits for a lock is told what becomes of its place; and a place that is given up is gone, or was granted."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from ..helpers.virtual_cluster import Client, Cluster


class Place:
    """A cluster with some leases, and a connection to one of its nodes."""

    def __init__(self, cluster: Cluster, node: int) -> None:
        self.cluster = cluster
        self.node = node
        self.leases: list[int] = []

    async def one(self, **fields: object) -> dict[str, Any]:
        [reply] = await self.cluster.ask(self.node, fields)
        return reply

    async def lock(self, at: Client, lease: int, **fields: object) -> dict[str, Any]:
        count = len(at.told)
        at.send({"op": "lock", "name": "l", "lease": lease, **fields})
        while len(at.told) == count:
            await at.news.wait()
            at.news = trio.Event()
        return at.told[count]

    async def waiters(self) -> int:
        [lock] = (await self.one(op="locks"))["locks"]
        return int(lock["waiters"])


@pytest.fixture(params=["the leader", "a follower"])
async def place(cluster: Cluster, request: pytest.FixtureRequest) -> Place:
    leader = await cluster.leader()
    place = Place(cluster, leader if request.param == "the leader" else (leader + 1) % 3)
    for _ in range(3):
        place.leases.append((await place.one(op="lease_grant", ttl_ms=86_400_000))["lease"])
    return place


async def test_those_who_wait_are_told_in_order(place: Place) -> None:
    client = await place.cluster.connect(place.node)
    first, *others = place.leases
    fence = (await place.lock(client, first, id=0))["fence"]
    for number, lease in enumerate(others, 1):
        assert await place.lock(client, lease, id=number) == {
            "id": number,
            "ok": True,
            "waiting": True,
            "ahead": number,
        }
    for number, lease in enumerate(place.leases[:2], 1):
        rev = (await place.one(op="unlock", name="l", lease=lease))["rev"]
        events = await client.events(number)
        assert events[-1] == {"id": number, "event": "locked", "fence": rev}
        assert rev > fence
    assert len(await client.events(2)) == 2


async def test_a_place_is_given_up_when_its_time_is_over(place: Place) -> None:
    client = await place.cluster.connect(place.node)
    await place.lock(client, place.leases[0])
    began = trio.current_time()
    assert (await place.lock(client, place.leases[1], id=1, wait_ms=300))["waiting"]
    [closed] = await client.events(1)
    assert (closed["event"], closed["error"]["code"], closed["error"]["applied"]) == ("closed", "timeout", "no")
    assert 0.29 < trio.current_time() - began < 0.5
    assert await place.waiters() == 0
    assert (await place.lock(client, place.leases[1], wait_ms=0))["error"]["code"] == "timeout"


async def test_a_cancel_is_answered_when_the_place_is_gone(place: Place) -> None:
    client = await place.cluster.connect(place.node)
    await place.lock(client, place.leases[0])
    await place.lock(client, place.leases[1], id=1)
    client.send(*[{"op": "cancel", "id": f"c{number}", "request": 1} for number in range(2)])
    assert (await client.replies(4))[-2:] == [{"id": "c0", "ok": True}, {"id": "c1", "ok": True}]
    assert await place.waiters() == 0
    await place.one(op="unlock", name="l", lease=place.leases[0])
    await trio.sleep(1)
    assert await client.events(0) == []


async def test_a_cancel_that_comes_too_late_shows_the_fence(place: Place) -> None:
    client = await place.cluster.connect(place.node)
    await place.lock(client, place.leases[0])
    await place.lock(client, place.leases[1], id=1)
    client.send({"op": "unlock", "name": "l", "lease": place.leases[0]}, {"op": "cancel", "id": 2, "request": 1})
    unlocked, cancelled = (await client.replies(4))[-2:]
    said = cancelled.get("fence") or (await client.events(1))[0]["fence"]
    assert said == unlocked["rev"]


async def with_events_that_do_not_leave(place: Place) -> Client:
    """A client that waits for the lock and for a key, and watches it, but has not read what came before all events."""
    client = await place.cluster.connect(place.node)
    await place.one(op="put", key="large", value="x" * 1_000_000)
    await place.lock(client, place.leases[0])
    await place.lock(client, place.leases[1], id=1)
    client.send({"op": "wait", "id": 2, "key": "k", "exists": True}, {"op": "watch", "id": 3, "key": "k"})
    assert all(reply["ok"] for reply in await client.replies(4))
    client.connection.pause()
    client.send({"op": "get", "key": "large"})
    await trio.sleep(0.5)
    await place.one(op="put", key="k", value=1)
    return client


async def test_so_does_one_that_comes_before_the_event_has_left(place: Place) -> None:
    client = await with_events_that_do_not_leave(place)
    unlocked = await place.one(op="unlock", name="l", lease=place.leases[0])
    await trio.sleep(0.5)
    client.send(*[{"op": "cancel", "id": f"c{number}", "request": 1} for number in range(2)])
    await trio.sleep(0.5)
    client.connection.resume()
    first, second = (await client.replies(7))[-2:]
    assert first == {"id": "c0", "ok": True, "fence": unlocked["rev"]}
    assert second == {"id": "c1", "ok": True}
    await trio.sleep(1)
    assert [line for line in await client.events(0) if line["id"] == 1] == []


async def test_no_event_follows_the_answer_to_a_cancel(place: Place) -> None:
    client = await with_events_that_do_not_leave(place)
    client.send(*[{"op": "cancel", "id": f"c{request}", "request": request} for request in (2, 3)])
    await trio.sleep(0.5)
    client.connection.resume()
    assert (await client.replies(7))[-2:] == [{"id": "c2", "ok": True}, {"id": "c3", "ok": True}]
    await trio.sleep(1)
    assert client.told[-1] == {"id": "c3", "ok": True}


async def test_the_newest_request_owns_the_place(place: Place) -> None:
    one, other = await place.cluster.connect(place.node), await place.cluster.connect(place.node)
    await place.lock(one, place.leases[0])
    await place.lock(one, place.leases[1], id=1)
    assert (await place.lock(other, place.leases[1], id=1))["ahead"] == 1
    [closed] = await one.events(1)
    assert closed["error"]["code"] == "superseded"
    rev = (await place.one(op="unlock", name="l", lease=place.leases[0]))["rev"]
    assert await other.events(1) == [{"id": 1, "event": "locked", "fence": rev}]
    assert len(await one.events(1)) == 1


async def test_a_lease_that_ends_takes_the_place_with_it(place: Place) -> None:
    client = await place.cluster.connect(place.node)
    await place.lock(client, place.leases[0])
    await place.lock(client, place.leases[1], id=1)
    await place.one(op="lease_revoke", lease=place.leases[1])
    [closed] = await client.events(1)
    assert closed["error"]["code"] == "lease_expired"


async def test_a_request_that_is_sent_again_is_told_what_the_first_would_be(place: Place) -> None:
    session = (await place.one(op="open_session"))["client"]
    one, other = await place.cluster.connect(place.node), await place.cluster.connect((place.node + 1) % 3)
    await place.lock(one, place.leases[0])
    await place.lock(one, place.leases[1], id=1, client=session, seq=1)
    again = await place.lock(other, place.leases[1], id=5, client=session, seq=1)
    assert again == {"id": 5, "ok": True, "waiting": True, "ahead": 1, "replayed": True}
    rev = (await place.one(op="unlock", name="l", lease=place.leases[0]))["rev"]
    assert await other.events(1) == [{"id": 5, "event": "locked", "fence": rev}]
    late = await place.cluster.connect(place.node)
    await place.lock(late, place.leases[1], id=6, client=session, seq=1)
    assert await late.events(1) == [{"id": 6, "event": "locked", "fence": rev}]


async def test_a_place_that_the_same_request_gave_up_elsewhere_is_no_matter_of_time(place: Place) -> None:
    session = (await place.one(op="open_session"))["client"]
    one, other = await place.cluster.connect(place.node), await place.cluster.connect((place.node + 1) % 3)
    await place.lock(one, place.leases[0])
    await place.lock(one, place.leases[1], id=1, client=session, seq=1)
    await place.lock(other, place.leases[1], id=5, client=session, seq=1)
    other.send({"op": "cancel", "request": 5})
    [closed] = await one.events(1)
    assert closed["error"]["code"] == "superseded"


async def test_without_a_majority_nobody_knows_whether_a_place_is_given_up(place: Place) -> None:
    client = await place.cluster.connect(place.node)
    await place.lock(client, place.leases[0])
    await place.lock(client, place.leases[1], id=1, wait_ms=100)
    await place.lock(client, place.leases[2], id=2)
    for node in range(3):
        if node != place.node:
            place.cluster.nodes[node].crash()
    client.send({"op": "cancel", "id": 3, "request": 2})
    began = trio.current_time()
    [closed] = await client.events(1)
    assert (closed["error"]["code"], closed["error"]["applied"]) == ("timeout", "unknown")
    cancelled = (await client.replies(4))[-1]
    assert (cancelled["error"]["code"], cancelled["error"]["applied"]) == ("timeout", "unknown")
    assert 1.5 < trio.current_time() - began < 3


async def test_an_id_that_is_open_or_about_to_be_is_not_locked_under(place: Place) -> None:
    client = await place.cluster.connect(place.node)
    await place.lock(client, place.leases[0])
    lock = {"op": "lock", "id": 1, "name": "l", "lease": place.leases[1]}
    client.send({"op": "watch", "id": 1, "prefix": ""}, lock)
    refused = (await client.replies(3))[-1]
    assert (refused["error"]["code"], refused["error"]["applied"]) == ("bad_request", "no")
    client.send(lock | {"id": 2}, lock | {"id": 2}, {"op": "wait", "id": 2, "key": "k", "exists": True})
    assert [reply.get("error", {}).get("code") for reply in (await client.replies(6))[-3:]] == [
        *(None, "bad_request", "bad_request")
    ]
