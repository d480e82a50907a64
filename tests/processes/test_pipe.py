"""The command pipe with real nodes, which are killed under it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from ..helpers.processes import Cluster

pytestmark = pytest.mark.slow
PATIENCE = 60.0
IN_SESSION, ALONE = 6000, 6000


def requests(session: str) -> Iterator[dict[str, object]]:
    """Increments in a session, and as many that nobody may ask again; the session's floor stays below both."""
    for number in range(1, IN_SESSION + 1):
        yield {"op": "incr", "key": "once", "client": session, "seq": number, "id": number}
        yield {"op": "incr", "key": "alone", "id": -number}


def test_a_pipeline_outlives_its_nodes_and_tells_of_each_request_what_became_of_it(cluster: Cluster) -> None:
    session = cluster.leader().ask({"op": "open_session"})["client"]
    program = subprocess.Popen(
        [sys.executable, "-m", "trioraft_cli", "pipe", "--servers", str(cluster.servers)],
        env=os.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    feeding = program.stdin

    def feed() -> None:
        with feeding:
            for request in requests(session):
                feeding.write(json.dumps(request).encode() + b"\n")

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    replies = []
    for line in program.stdout:
        replies.append(json.loads(line))
        if len(replies) == IN_SESSION:
            cluster.nodes[0].kill()  # the one that is asked first
    code = program.wait(PATIENCE)
    thread.join(PATIENCE)
    program.stdout.close()
    cluster.nodes[0].start()
    assert [reply["id"] for reply in replies] == [request["id"] for request in requests(session)]
    assert {reply["ok"] for reply in replies if reply["id"] > 0} == {True}
    lost = [reply for reply in replies if not reply["ok"]]
    assert {reply["error"]["applied"] for reply in lost} <= {"unknown", "no"}
    assert code == (0 if not lost else 5 if lost[0]["error"]["applied"] == "unknown" else 4)
    leader = cluster.leader()
    assert leader.ask({"op": "get", "key": "once"})["value"] == IN_SESSION
    unknown = sum(reply["error"]["applied"] == "unknown" for reply in lost)
    assert ALONE - len(lost) <= leader.ask({"op": "get", "key": "alone"})["value"] <= ALONE - len(lost) + unknown
