"""The longest values that are allowed: they are kept, and cost no election."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ..helpers.processes import Cluster, Line

LONGEST = 32 * 1024 * 1024


def hold(condition: bool, what: str) -> None:
    """Raise AssertionError where it does not, unless the machine is too busy for nodes to keep time."""
    if not condition and os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        pytest.skip(f"not on a machine as busy as this one: {what}")
    assert condition, what


@pytest.mark.slow
@pytest.mark.parametrize("through", ["the leader", "a follower"])
def test_the_longest_values_cost_no_election(tmp_path: Path, through: str) -> None:
    with Cluster(tmp_path) as cluster:
        for node in cluster.nodes:
            node.options = ["--max-request-bytes", str(LONGEST)]
        cluster.start()
        leader = cluster.leader()
        term = leader.status()["term"]
        node = leader if through == "the leader" else cluster.followers()[0]
        with Line(node.port, 60) as line:
            for number in range(4):
                line.send(b'{"op":"put","key":"long-%d","value":"%b"}\n' % (number % 2, b"%d" % number * 30_000_000))
                hold(line.read()["ok"], "it is taken")
            line.send({"op": "get", "key": "long-1"})
            assert line.read()["value"] == "3" * 30_000_000
        cluster.caught_up()
        hold([node.status()["term"] for node in cluster.nodes] == [term] * 3, "nobody had to be elected")
