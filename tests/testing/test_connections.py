"""The judge of connections is tested on histories whose verdict is known."""

from __future__ import annotations

import pytest

from trioraft.testing.connections import check_ahead, check_connections
from trioraft.testing.history import Answer, History, Operation, Outcome
from trioraft.testing.linearizability import check


def asked(*operations: Operation, connection: int = 0) -> list[Operation]:
    """Ask these on one connection in this order, all under way at once."""
    for place, operation in enumerate(operations):
        operation.connection, operation.place = connection, place
    return list(operations)


def op(
    kind: str,
    rev: int | None = None,
    *,
    key: str = "k",
    outcome: Outcome = "done",
    stale: bool = False,
    if_rev: int | None = None,
    deleted: int | None = None,
    value: bytes = b"1",
    shows: bytes | None = None,
    at: int | None = None,
) -> Operation:
    answer = Answer(shows, rev, deleted=deleted, at=at) if outcome in ("done", "conflict") else None
    returned = None if outcome == "unknown" else 9.0
    return Operation(
        0, kind, key, 0.0, value=value, stale=stale, if_rev=if_rev, outcome=outcome, answer=answer, returned=returned
    )


IN_ORDER = {
    "writes to any key": asked(op("put", 5), op("put", 7, key="other"), op("delete", 9, deleted=1)),
    "a write that failed says nothing": asked(op("put", 5), op("put", outcome="unknown"), op("put", 6, key="other")),
    "a read of another key that nobody is known to have written": asked(op("put", 5), op("get", 2, key="other")),
    "a read that shows more than was written": asked(op("put", 5), op("get", 8)),
    "a key that another has deleted": [
        *asked(op("put", 5), op("get", 0)),
        *asked(op("delete", 6, deleted=1), connection=1),
    ],
    "a key that another may have deleted": [
        *asked(op("put", 5), op("get", 0, stale=True)),
        *asked(op("delete", outcome="unknown"), connection=1),
    ],
    "a conflict that shows what was written": asked(op("put", 5), op("put", 5, outcome="conflict", if_rev=3)),
    "a read that sees what another writes, who may not": [
        *asked(op("get", 5, shows=b"7")),
        *asked(op("put", outcome="unknown", value=b"7"), connection=1),
    ],
    "a read that sees what was written before and may be written again": asked(
        op("put", 5, value=b"7"), op("get", 5, shows=b"7"), op("put", outcome="unknown", value=b"7")
    ),
    "a read of a state that another connection has changed since": [
        *asked(op("get", 5, at=8)),
        *asked(op("put", 5), op("put", 9), connection=1),
    ],
    "what one connection is shown binds no other": [*asked(op("put", 5)), *asked(op("get", 0), connection=1)],
}

OUT_OF_ORDER = {
    "a write that is overtaken": asked(op("put", 7), op("put", 5)),
    "a write that is overtaken by one to another key": asked(op("put", 7), op("put", 5, key="other")),
    "a count that is overtaken": asked(op("incr", 7), op("incr", 5, key="other")),
    "a delete that is overtaken": asked(op("put", 7, key="other"), op("delete", 5, deleted=1)),
    "a write that is overtaken, with others between that failed": asked(
        op("put", 7),
        op("put", outcome="unknown"),
        op("put", outcome="refused"),
        op("get", outcome="refused"),
        op("put", 5),
    ),
    "a read that sees what is written behind it": asked(op("get", 7), op("put", 7)),
    "a stale read that sees what is written behind it": asked(op("get", 7, stale=True), op("put", 7)),
    "a conflict that shows what is written behind it": asked(op("put", 7, outcome="conflict", if_rev=1), op("put", 7)),
    "a read that sees what may be written behind it": asked(
        op("get", 7, shows=b"7"), op("put", outcome="unknown", value=b"7")
    ),
    "a conflict that shows what may be written behind it": asked(
        op("put", 7, outcome="conflict", if_rev=1, shows=b"7"), op("put", outcome="unknown", value=b"7")
    ),
    "a read that misses what was written": asked(op("put", 7), op("get", 5)),
    "a stale read that misses what was written": asked(op("put", 7), op("get", 5, stale=True)),
    "a read that misses that the key was written at all": asked(op("put", 7), op("get", 0)),
    "a conflict that misses what was written": asked(op("put", 7), op("put", 5, outcome="conflict", if_rev=1)),
    "a condition that held of the past": asked(op("put", 7), op("put", 8, if_rev=5)),
    "a delete that misses what was written": asked(op("put", 7), op("delete", 0, deleted=0)),
    "a read that reflects more than it shows": [
        *asked(op("get", 5, at=8)),
        *asked(op("put", 7), connection=1),
    ],
    "a read that reflects what is written behind it": asked(op("get", 5, at=8), op("put", 8, key="other")),
    "a read that goes back behind another": asked(op("get", 7), op("get", 5, stale=True)),
    "a read of another key, older than what was shown": [
        *asked(op("put", 9, key="other"), op("get", 5, stale=True)),
        *asked(op("put", 5), op("put", 7), connection=1),
    ],
    "a read of another key that was deleted before what was shown": [
        *asked(op("put", 9, key="other"), op("get", 5, stale=True)),
        *asked(op("put", 5), op("delete", 7, deleted=1), connection=1),
    ],
    "a key that is missing, though it was deleted only before": [
        *asked(op("put", 9, key="other"), op("get", 0, stale=True)),
        *asked(op("delete", 3, deleted=1), op("put", 5), connection=1),
    ],
}


@pytest.mark.parametrize("name", IN_ORDER)
def test_what_was_served_in_order_is_accepted(name: str) -> None:
    assert (check_connections(IN_ORDER[name]) or check_ahead(IN_ORDER[name])) is None


@pytest.mark.parametrize("name", OUT_OF_ORDER)
def test_what_was_not_is_refused_and_the_request_named(name: str) -> None:
    found = check_connections(OUT_OF_ORDER[name]) or check_ahead(OUT_OF_ORDER[name])
    assert found is not None
    assert "as request" in found
    assert "of connection 0" in found


def test_the_order_is_that_of_asking_and_not_of_the_list() -> None:
    assert check_connections(list(reversed(asked(op("put", 5), op("put", 7))))) is None
    assert check_connections(list(reversed(asked(op("put", 7), op("put", 5))))) is not None


def test_what_is_on_no_known_connection_is_not_judged() -> None:
    assert check_connections([op("put", 7), op("put", 5)]) is None


def test_the_whole_judge_looks_at_connections_and_lets_stale_reads_see_the_past() -> None:
    overtaken = asked(op("put", 7), op("put", 5, key="other"))
    assert check(overtaken).outcome == "violation"
    stale = op("get", 0, stale=True)
    stale.called, stale.returned = 10.0, 11.0
    assert check([op("put", 5), *asked(stale)]).outcome == "linearizable"


def test_a_history_notes_which_connection_an_operation_is_asked_on_and_its_place() -> None:
    history = History()
    first, second = history.connect(), history.connect()
    for connection in (first, second, first, None):
        history.call(Operation(0, "put", "k", 0.0), connection)
    noted = [(operation.connection, operation.place) for operation in history.operations]
    assert noted == [(first, 0), (second, 0), (first, 1), (None, 0)]
