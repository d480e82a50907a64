"""Clusters for the tests: a shared one for tests that leave it whole, and a fresh one for each of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..helpers.processes import Cluster, running_cluster


@pytest.fixture(scope="package")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool], Cluster]]:
    """Give started clusters. If another one will be needed, it starts while the present test is running."""
    spare: list[Cluster] = []

    def launch() -> Cluster:
        cluster = Cluster(tmp_path_factory.mktemp("cluster"))
        for node in cluster.nodes:
            node.start()
        return cluster

    def take(another: bool) -> Cluster:
        cluster = spare.pop() if spare else launch()
        for node in cluster.nodes:
            node.listens()
        if another:
            spare.append(launch())
        return cluster

    yield take
    for cluster in spare:
        cluster.end()


@pytest.fixture
def cluster(request: pytest.FixtureRequest, fresh: Callable[[bool], Cluster]) -> Iterator[Cluster]:
    """Three nodes with a leader, which the test may break."""
    rest = request.session.items[request.session.items.index(request.node) + 1 :]
    another = any(item.path.parent == request.path.parent and "cluster" in item.fixturenames for item in rest)  # type: ignore[attr-defined]
    with fresh(another) as cluster:
        cluster.leader()
        yield cluster


@pytest.fixture(scope="package")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes with a leader, which outlive the test that uses them."""
    with running_cluster(tmp_path_factory.mktemp("steady")) as cluster:
        yield cluster


@pytest.fixture
def unstarted(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes, none of them started yet."""
    with Cluster(tmp_path) as cluster:
        yield cluster
