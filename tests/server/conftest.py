from __future__ import annotations

import pytest
import trio
import trio.testing

from .virtual_cluster import Cluster


@pytest.fixture
async def cluster(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> Cluster:  # noqa: ARG001
    """Three nodes that have been started, in virtual time."""
    cluster = Cluster(nursery, seed=1)
    for node in cluster.nodes:
        node.start()
    return cluster
