"""A cluster of three real nodes that all abuse must leave whole, and one in which a test speaks for node 1."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..helpers.processes import Cluster, running_cluster


@pytest.fixture(scope="package")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes with a leader."""
    with running_cluster(tmp_path_factory.mktemp("abused")) as cluster:
        yield cluster


@pytest.fixture(scope="package")
def without_node_1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two of three nodes; a test that knows node 1's folder may speak for it."""
    with running_cluster(tmp_path_factory.mktemp("liar")) as cluster:
        cluster.nodes[1].kill()
        cluster.leader()
        yield cluster
