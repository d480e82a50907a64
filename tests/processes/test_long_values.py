"""The longest values that are allowed: they are kept, and cost no election."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..helpers.processes import Cluster, Line, undisturbed

LONGEST = 32 * 1024 * 1024


@pytest.mark.slow
@pytest.mark.parametrize("through", ["the leader", "a follower"])
def test_the_longest_values_cost_no_election(tmp_path: Path, through: str) -> None:
    undisturbed(tmp_path, lambda folder: write_long_values(folder, through))


def write_long_values(folder: Path, through: str) -> str:
    """Write and read long values. Return what shows that the leader was lost meanwhile; empty where it was not."""
    with Cluster(folder) as cluster:
        for node in cluster.nodes:
            node.options = ["--max-request-bytes", str(LONGEST)]
        cluster.start()
        leader = cluster.leader()
        term = leader.status()["term"]
        node = leader if through == "the leader" else cluster.followers()[0]
        with Line(node.port, 60) as line:
            for number in range(4):
                line.send(b'{"op":"put","key":"long-%d","value":"%b"}\n' % (number % 2, b"%d" % number * 30_000_000))
                reply = line.read()
                if not reply["ok"]:
                    assert reply["error"]["applied"] == "unknown", reply
                    return f"write {number}: {reply['error']}"
            line.send({"op": "get", "key": "long-1"})
            assert line.read()["value"] == "3" * 30_000_000
        cluster.caught_up()
        terms = [node.status()["term"] for node in cluster.nodes]
        return "" if terms == [term] * 3 else f"terms {terms} after {term}"
