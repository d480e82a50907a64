"""The netcat sessions of docs/protocol.md, held with real nodes: each line is answered as the page shows."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from tests.docs.sessions import PAGE, Answered, Closed, Opened, Reading, Session, Typed, sessions

from ..helpers.processes import Cluster, Line


@pytest.mark.parametrize("session", sessions(PAGE.read_text()), ids=lambda session: session.name)
def test_a_session_of_the_page(steady: Cluster, session: Session) -> None:
    empty(steady)
    reading = Reading()
    with contextlib.ExitStack() as stack:
        terminals: dict[str, Line] = {}
        for step in session.steps:
            match step:
                case Opened(terminal, node):
                    terminals[terminal] = stack.enter_context(Line(steady.nodes[node].port))
                case Typed(terminal, line):
                    terminals[terminal].send(reading.typed(line))
                case Answered(terminal, line):
                    reading.answered(line, heard(terminals[terminal], line))
                case Closed(terminal):
                    with terminals.pop(terminal):
                        pass
        for left in terminals.values():
            left.send(b'{"op":"ping","id":"the end"}\n')
            assert heard(left, "") == {"id": "the end", "ok": True}, "the page shows less than comes"


def empty(cluster: Cluster) -> None:
    """Remove what other tests have left, as a session begins with nothing there."""
    node = cluster.leader()
    for row in node.ask({"op": "leases"})["leases"]:
        node.ask({"op": "lease_revoke", "lease": row["lease"]})
    while node.ask({"op": "delete", "prefix": "", "limit": 10_000})["more"]:
        pass


def heard(terminal: Line, shown: str) -> dict[str, Any]:
    """The next line of a terminal. Passes over the signs of progress that the page does not show."""
    while True:
        said = terminal.read()
        if said.get("event") != "progress" or '"progress"' in shown:
            return said
