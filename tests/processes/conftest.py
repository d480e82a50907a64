"""Clusters for the tests: one that is shared by those that leave it whole, and a fresh one for the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, running_cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes and a leader, to be broken."""
    with running_cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture(scope="package")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes and a leader, which outlive the test that uses them."""
    with running_cluster(tmp_path_factory.mktemp("steady")) as cluster:
        yield cluster


@pytest.fixture
def unstarted(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes, none of them started yet."""
    with Cluster(tmp_path) as cluster:
        yield cluster
