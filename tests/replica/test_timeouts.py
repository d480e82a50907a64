"""A node that cannot carry a request out still answers it in time and truthfully, whatever the cause."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
import trio

from trioraft.machine import Machine
from trioraft.raft.membership import Configuration
from trioraft.replica.ports import DiskThread
from trioraft.replica.replica import Replica
from trioraft.replica.replicated import Replicated
from trioraft.replica.slots import Slot
from trioraft.testing.stores import store_of
from trioraft.wire.operations import OPERATIONS

from ..helpers.virtual_cluster import Cluster, Node
from ..server.test_pipelines import plainest
from .test_failing_snapshots import OFTEN, leave_one_behind

IN_TIME = 0.3
SLACK = 0.03
"""How early or late a reply may be: a node counts ticks, and the reply has a way to go."""
UNIQUE = "a value that nobody else writes"
NEWCOMER = "newcomer:1"
CHANGES: dict[str, dict[str, Any]] = {
    "put": {"key": "unique", "value": UNIQUE},
    "incr": {"key": "counted", "by": 7},
    "delete": {"key": "there"},
    "add_member": {"address": NEWCOMER, "learner": True},
    "remove_member": {"member": 3},
    "promote_member": {"member": 4},
    "open_session": {},
    "close_session": {"client": "one that is `Prepared`"},
    "txn": {"then": [{"op": "put", "key": "in a transaction", "value": 1}]},
    "lease_grant": {"ttl_ms": 80_000_000},
    "lease_revoke": {"lease": "one that is `Prepared`"},
    "lock": {"name": "free"},
    "unlock": {"name": "held"},
    "set_history": {"changes": 7, "bytes": 7000},
}
"""The change that each operation makes, if it makes one; `done` tells whether it was made."""


class Hangs:
    """A disk thread whose writes do not end until they are released."""

    def __init__(self, writer: DiskThread) -> None:
        self._writer = writer
        self._held: Callable[[], None] | None = None
        self.hangs = True

    def start(self, write: Callable[[], None]) -> None:
        if self.hangs:
            self._held = write
        else:
            self._writer.start(write)

    def finished(self, wait: bool = True) -> bool:
        if self.hangs:
            return False
        if self._held is not None:
            held, self._held = self._held, None
            self._writer.start(held)
        return self._writer.finished(wait)

    def close(self) -> None:
        self._writer.close()


Heal = Callable[[], Awaitable[None]]
Hindrance = Callable[[Cluster], Awaitable[tuple[int, Heal]]]


async def no_majority(cluster: Cluster) -> tuple[int, Heal]:
    """The other nodes are gone; nobody leads."""
    leader = await cluster.leader()
    node = (leader + 1) % 3
    gone = [other for other in cluster.nodes if other.index != node]
    for other in gone:
        other.crash()
    await trio.sleep(2)

    async def heal() -> None:
        for other in gone:
            other.start()

    return node, heal


async def no_answer(cluster: Cluster) -> tuple[int, Heal]:
    """This node still believes that it leads; nobody hears it."""
    leader = await cluster.leader()
    others = [other.hub for other in cluster.nodes if other.index != leader]
    for hub in others:
        hub.freeze()

    async def heal() -> None:
        for hub in others:
            hub.thaw()

    return leader, heal


async def a_silent_leader(cluster: Cluster) -> tuple[int, Heal]:
    """The leader is stopped, and nobody has noticed it yet."""
    leader = await cluster.leader()
    hub = cluster.nodes[leader].hub
    hub.freeze()

    async def heal() -> None:
        hub.thaw()

    return (leader + 1) % 3, heal


def _hang(node: Node) -> Heal:
    assert node.driver is not None
    driver, replica = node.driver, node.driver.replica
    assert replica.log is not None
    assert replica.snapshots is not None
    hanging = [Hangs(replica.log._thread), Hangs(replica.snapshots._writer)]
    replica.log._thread, replica.snapshots._writer = hanging

    async def heal() -> None:
        for writer in hanging:
            writer.hangs = False
        driver.hub.wake()

    return heal


async def a_follower_whose_disk_hangs(cluster: Cluster) -> tuple[int, Heal]:
    node = (await cluster.leader() + 1) % 3
    return node, _hang(cluster.nodes[node])


async def a_leader_whose_disk_hangs(cluster: Cluster) -> tuple[int, Heal]:
    leader = await cluster.leader()
    return leader, _hang(cluster.nodes[leader])


async def a_majority_whose_disks_hang(cluster: Cluster) -> tuple[int, Heal]:
    leader = await cluster.leader()
    heals = [_hang(node) for node in cluster.nodes if node.index != leader]

    async def heal() -> None:
        for one in heals:
            await one()

    return leader, heal


async def a_snapshot_that_takes_long(cluster: Cluster) -> tuple[int, Heal]:
    """This node is behind, knows the leader, and waits for the snapshot that it lacks."""
    _, behind = await leave_one_behind(cluster)
    await trio.sleep(1)  # for the others to take a snapshot
    behind.disk.no_snapshots = True
    behind.start()
    with trio.fail_after(20):
        while behind.driver is None or behind.driver.replica.core.leader is None:
            await trio.sleep(0.01)
    await trio.sleep(2)
    assert behind.driver.replica.core.last_applied < 100, "it is behind"

    async def heal() -> None:
        behind.disk.no_snapshots = False

    return behind.index, heal


SETTINGS = msgspec.structs.replace(OFTEN, hold_bytes=0)
HINDRANCES: list[Hindrance] = [
    no_majority,
    no_answer,
    a_silent_leader,
    a_follower_whose_disk_hangs,
    a_leader_whose_disk_hangs,
    a_majority_whose_disks_hang,
    a_snapshot_that_takes_long,
]


class Prepared(NamedTuple):
    """What requests are to name."""

    session: str = ""
    lease: int = 0
    """It holds a lock."""
    revoked: int = 0
    """A lease that is to be revoked."""


NOTHING = Prepared()


def request_for(op: str, there: Prepared = NOTHING) -> dict[str, Any]:
    fields = {**(CHANGES.get(op) or plainest(op))}
    match op:
        case "get" | "scan":
            fields["read"] = "linearizable"
        case "close_session":
            fields["client"] = there.session
        case "lease_revoke":
            fields["lease"] = there.revoked
        case "lock" | "unlock":
            fields["lease"] = there.lease
    return {"op": op, **fields}


async def prepared(cluster: Cluster) -> Prepared:
    """Make a key to be deleted, two learners, one to be removed and one to be promoted, and what requests name."""
    leader = await cluster.leader()
    learners = [{"op": "add_member", "address": f"learner:{port}", "learner": True} for port in (3, 4)]
    lasting: dict[str, Any] = {"op": "lease_grant", "ttl_ms": 86_400_000}
    asked: list[dict[str, Any]] = [
        {"op": "put", "key": "there", "value": 1},
        *learners,
        {"op": "open_session"},
        lasting,
        lasting,
    ]
    replies = await cluster.ask(leader, *asked)
    assert all(reply["ok"] for reply in replies), replies
    session, lease, revoked = replies[-3:]
    there = Prepared(str(session["client"]), int(str(lease["lease"])), int(str(revoked["lease"])))
    [held] = await cluster.ask(leader, {"op": "lock", "name": "held", "lease": there.lease})
    assert held["ok"], held
    return there


def done(op: str, cluster: Cluster, there: Prepared = NOTHING) -> bool:
    """Whether the change took effect on any node."""
    number = int(there.session.rpartition("-")[2] or 0)

    def holds(machine: Machine, configuration: Configuration) -> bool:
        assert isinstance(machine, Replicated)
        store = store_of(machine)
        learner = configuration.member(4)
        sessions = machine.sessions._by_number
        return {
            "put": machine.read("unique") is not None,
            "incr": machine.read("counted") is not None,
            "delete": machine.read("there") is None,
            "add_member": any(member.address == NEWCOMER for member in configuration.members),
            "remove_member": configuration.member(3) is None,
            "promote_member": learner is not None and (learner.promote or learner.role == "voter"),
            "open_session": len(sessions.keys() - {number}) > 0,
            "close_session": number not in sessions,
            "txn": machine.read("in a transaction") is not None,
            "lease_grant": 80_000_000 in store.leases.ttls.values(),
            "lease_revoke": store.leases.get(there.revoked) is None,
            "lock": store.locks.get("free") is not None,
            "unlock": store.locks.get("held") is None,
            "set_history": store.history.max_changes == 7,
        }[op]

    return any(
        holds(node.driver.replica.machine, node.driver.replica.core.configuration)
        for node in cluster.nodes
        if node.driver is not None
    )


async def ask(cluster: Cluster, node: int, request: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """Ask, and return how long the reply took, and the reply."""
    client = await cluster.connect(node)
    began = trio.current_time()
    client.send(request)
    [reply] = await client.replies(1)
    return trio.current_time() - began, reply


async def ask_in_time(
    cluster: Cluster, node: int, op: str, there: Prepared, answers: dict[str, dict[str, Any]]
) -> None:
    asked = {**request_for(op, there), "timeout_ms": int(IN_TIME * 1000)}
    seconds, answers[op] = await ask(cluster, node, asked)
    assert seconds <= IN_TIME + SLACK, (op, seconds, answers[op])


@pytest.mark.parametrize("how", HINDRANCES, ids=lambda how: how.__name__)
async def test_every_operation_is_answered_in_its_time_and_says_truly_whether_it_was_applied(
    cluster: Cluster, how: Hindrance
) -> None:
    """Ask for every operation of the code's table at once."""
    cluster.tune(SETTINGS)
    there = await prepared(cluster)
    node, heal = await how(cluster)
    answers: dict[str, dict[str, Any]] = {}
    async with trio.open_nursery() as nursery:
        for op in OPERATIONS:
            nursery.start_soon(ask_in_time, cluster, node, op, there, answers)
    await heal()
    await cluster.leader()
    await trio.sleep(6)
    for op, reply in answers.items():
        applied = reply.get("error", {}).get("applied")
        changes = op in CHANGES or op == "transfer_leadership"
        assert changes == OPERATIONS[op].changes, f"say in CHANGES, and in `done`, what {op} is to change here"
        assert reply["ok"] or (applied is not None) == changes, (op, reply)
        if op in CHANGES and (reply["ok"] or applied == "no"):
            assert done(op, cluster, there) == reply["ok"], (op, reply)
        if how is no_majority and changes:
            assert applied == "no", (op, reply)
    if how in (a_follower_whose_disk_hangs, a_leader_whose_disk_hangs):
        assert answers["snapshot"]["error"]["code"] == "timeout"


@pytest.mark.parametrize("rested", [0.0, 0.013, 0.047, 0.094])
async def test_the_time_given_counts_from_the_moment_at_which_a_request_comes(cluster: Cluster, rested: float) -> None:
    """However long the node has rested: it counts ticks, and a part of one counts as one."""
    node, _ = await no_majority(cluster)
    for milliseconds in (20, 90, 120, 300) * 3:
        await trio.sleep(0.2 + rested)
        seconds, reply = await ask(cluster, node, {**request_for("put"), "timeout_ms": milliseconds})
        assert reply["error"]["code"] == "timeout"
        assert -0.0101 <= seconds - milliseconds / 1000 <= 0.0101


@pytest.mark.parametrize("rested", [0.0, 0.013, 0.047, 0.094])
async def test_so_it_does_where_there_is_a_leader(cluster: Cluster, rested: float) -> None:
    leader = await cluster.leader()
    for node in (leader, (leader + 1) % 3):
        for milliseconds in (20, 90, 120, 300):
            await trio.sleep(0.2 + rested)
            read = {"op": "get", "key": "k", "read": "stale", "min_rev": 10**9, "timeout_ms": milliseconds}
            seconds, reply = await ask(cluster, node, read)
            assert reply["error"]["code"] == "timeout"
            assert -0.0101 <= seconds - milliseconds / 1000 <= 0.0101


async def test_a_node_rests_whatever_time_it_was_given_for_what_is_answered(cluster: Cluster) -> None:
    node = (await cluster.leader() + 1) % 3
    driver = cluster.nodes[node].driver
    assert driver is not None
    turns: list[int] = []
    turn, driver.turn = driver.turn, lambda: (turns.append(1), turn())[1]  # type: ignore[method-assign, func-returns-value]

    async def turns_within_two_seconds() -> int:
        turns.clear()
        await trio.sleep(2)
        return len(turns)

    usual = await turns_within_two_seconds()
    client = await cluster.connect(node)
    client.send(*[{"op": "get", "key": "a", "timeout_ms": 10 * number} for number in range(1, 201)])
    await client.replies(200)
    assert await turns_within_two_seconds() <= usual + 5


@pytest.mark.parametrize("how", HINDRANCES, ids=lambda how: how.__name__)
async def test_what_has_no_time_of_its_own_is_not_kept_waiting_for_ever(cluster: Cluster, how: Hindrance) -> None:
    cluster.tune(SETTINGS)
    there = await prepared(cluster)
    node, heal = await how(cluster)
    answers: dict[str, dict[str, Any]] = {}

    async def one(op: str) -> None:
        seconds, answers[op] = await ask(cluster, node, request_for(op, there))
        assert seconds < (2.2 if op in ("get", "scan") else 8), (op, seconds, answers[op])

    async with trio.open_nursery() as nursery:
        for op in OPERATIONS:
            if op != "snapshot":  # it takes as long as the disk
                nursery.start_soon(one, op)
    await heal()
    await cluster.leader()
    await trio.sleep(6)
    for op in CHANGES:
        if answers[op]["ok"] or answers[op]["error"]["applied"] == "no":
            assert done(op, cluster, there) == answers[op]["ok"], (op, answers[op])


async def test_what_a_follower_has_passed_on_and_given_up_is_not_begun_later(cluster: Cluster) -> None:
    """The leader knows the deadline, and carries out one change at a time: the second is never begun."""
    await prepared(cluster)
    leader, heal = await a_majority_whose_disks_hang(cluster)
    first = await cluster.connect(leader)
    first.send({"op": "remove_member", "member": 3})
    await trio.sleep(0.1)
    add = {"op": "add_member", "address": NEWCOMER, "learner": True, "timeout_ms": 300}
    seconds, reply = await ask(cluster, (leader + 1) % 3, add)
    assert seconds <= IN_TIME + SLACK
    assert reply["error"]["code"] == "timeout"
    await trio.sleep(0.2)
    await heal()
    assert (await first.replies(1))[0]["ok"]
    await trio.sleep(3)
    assert not done("add_member", cluster)


async def test_a_change_that_waits_behind_another_request_is_withdrawn_with_its_time(cluster: Cluster) -> None:
    await prepared(cluster)
    leader, heal = await a_majority_whose_disks_hang(cluster)
    client = await cluster.connect(leader)
    remove = {"op": "remove_member", "member": 3, "timeout_ms": 200}
    client.send({"op": "put", "key": "a", "value": 1}, remove)
    await trio.sleep(0.3)
    await heal()
    put, removed = await client.replies(2)
    assert put["ok"]
    assert removed["error"]["code"] == "timeout"
    assert removed["error"]["applied"] == "no"
    await trio.sleep(3)
    assert not done("remove_member", cluster)


async def test_a_read_that_has_time_is_answered_once_the_node_has_caught_up(cluster: Cluster) -> None:
    cluster.tune(SETTINGS)
    await prepared(cluster)
    node, heal = await a_snapshot_that_takes_long(cluster)
    client = await cluster.connect(node)
    client.send({"op": "get", "key": "there", "timeout_ms": 15_000})
    await trio.sleep(4)
    assert client.lines == b""
    await heal()
    assert (await client.replies(1))[0]["value"] == 1


async def test_a_node_stops_at_once_though_what_it_has_answered_had_much_time(cluster: Cluster) -> None:
    node = (await cluster.leader() + 1) % 3
    driver = cluster.nodes[node].driver
    assert driver is not None
    day = {"timeout_ms": 86_400_000}
    client = await cluster.connect(node)
    client.send({"op": "get", "key": "a", **day}, {"op": "put", "key": "a", "value": 1, **day}, {"op": "ping", **day})
    client.send({"op": "transfer_leadership", "target": (node + 1) % 3, **day})
    await client.replies(4)
    client.send({"op": "snapshot", **day})
    for reply in await client.replies(5):
        assert reply["ok"], reply
    began = trio.current_time()
    await driver.stop(10)
    assert trio.current_time() - began < 0.5


@pytest.mark.parametrize("one_waits", [False, True])
async def test_answered_requests_with_much_time_leave_nothing(cluster: Cluster, one_waits: bool) -> None:
    node = (await cluster.leader() + 1) % 3
    driver = cluster.nodes[node].driver
    assert driver is not None
    if one_waits:  # its time is over before that of the others
        waiting = await cluster.connect(node)
        waiting.send({"op": "get", "key": "a", "read": "stale", "min_rev": 10**12, "timeout_ms": 3_600_000})
    client = await cluster.connect(node)
    few: int | None = None
    for _ in range(20):
        client.send(*[{"op": "get", "key": "a", "read": "stale", "timeout_ms": 86_400_000}] * 500)
        client.send(*[{"op": "put", "key": "a", "value": 1, "timeout_ms": 86_400_000}] * 500)
        await client.replies(1000)
        client.lines = b""
        few = few or len(driver.requests.deadlines)
        assert len(driver.requests.deadlines) <= 2 * max(few, 1024)
    assert driver.requests.idle is not one_waits


async def test_many_whose_time_is_over_at_once_are_looked_for_together(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Searching for each one among all that wait would take two hundred million steps."""
    looks: list[int] = []
    withdraw = Replica.withdraw

    def counted(replica: Replica, slots: Sequence[Slot]) -> set[Slot]:
        looks.append(len(slots))
        return withdraw(replica, slots)

    monkeypatch.setattr(Replica, "withdraw", counted)
    node, _ = await no_majority(cluster)
    clients = [await cluster.connect(node) for _ in range(20)]
    for client in clients:
        client.send(*[{"op": "incr", "key": "a", "timeout_ms": 500}] * 1000)
    for client in clients:
        assert all(reply["error"]["applied"] == "no" for reply in await client.replies(1000))
    assert sum(looks) == 20_000
    assert len(looks) < 100
