"""A clock that jumps while a node runs: the process was stopped, its machine slept, or others had the processor."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trioraft.replica.ports import TICK_SECONDS
from trioraft.server.election_timer import MAX_LATE, ElectionTimer

from ..helpers.virtual_cluster import Cluster

REST = 10


@pytest.mark.parametrize("seconds", [0.5, 60.0, 86_400.0])
async def test_of_a_jump_a_node_is_told_a_little_and_of_the_rest_never(
    nursery: trio.Nursery, mock_clock: trio.testing.MockClock, seconds: float
) -> None:
    """A node reads first what came meanwhile: if it took the jump for silence, it would end every lead."""
    told: list[int] = []
    timer = ElectionTimer(lambda ticks, _: told.append(ticks), lambda: REST, lambda: None)
    nursery.start_soon(timer.run)
    for jump in (REST * TICK_SECONDS, seconds, *[REST * TICK_SECONDS] * 3):
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(jump)
        await trio.testing.wait_all_tasks_blocked()
    assert told == [REST, REST + MAX_LATE, REST, REST, REST]


async def test_the_parts_of_ticks_between_hurried_looks_are_not_lost(
    nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    told: list[int] = []
    timer = ElectionTimer(lambda ticks, _: told.append(ticks), lambda: REST, lambda: None)
    nursery.start_soon(timer.run)
    for _ in range(400):
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(0.7 * TICK_SECONDS)
        timer.hurry()
    await trio.testing.wait_all_tasks_blocked()
    assert sum(told) == pytest.approx(280, abs=1)


@pytest.mark.parametrize("seconds", [1.0, 60.0])
async def test_a_jump_costs_no_leader_and_no_request(
    cluster: Cluster, autojump_clock: trio.testing.MockClock, seconds: float
) -> None:
    leader = await cluster.leader()
    driver = cluster.nodes[leader].driver
    assert driver is not None
    assert (await cluster.ask((leader + 1) % 3, {"op": "put", "key": "k", "value": 1}))[0]["ok"]
    term = driver.replica.core.term
    for _ in range(3):
        client = await cluster.connect((leader + 1) % 3)
        client.send({"op": "put", "key": "k", "value": 2, "timeout_ms": 800}, {"op": "get", "key": "k"})
        autojump_clock.jump(seconds)
        replies = await client.replies(2)
        assert [reply["ok"] for reply in replies] == [True, True]
        await trio.sleep(0.3)
    assert (driver.replica.core.role, driver.replica.core.term) == ("leader", term)
