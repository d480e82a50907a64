"""The judge is tested on histories whose verdict is known, and against a simple judge that tries every order."""

from __future__ import annotations

from random import Random

import pytest

from trioraft.testing.history import Answer, History, Operation, Outcome
from trioraft.testing.linearizability import check, check_key, check_revisions

from ..helpers.histories import explained_by_some_order, run, spoil


def op(
    kind: str,
    called: float,
    returned: float | None,
    outcome: Outcome = "done",
    *,
    value: int | None = None,
    key: str = "k",
    if_rev: int | None = None,
    by: int = 1,
    **answer: object,
) -> Operation:
    """Make an operation; `value` is the value that a put writes, or that another operation returns."""
    operation = Operation(0, kind, key, called, by=by, if_rev=if_rev, returned=returned, outcome=outcome)
    raw = None if value is None else b"%d" % value
    if kind == "put" and raw is not None:
        operation.value = raw
    if outcome in ("done", "conflict"):
        shown = None if kind == "put" and outcome == "done" else raw
        operation.answer = Answer(shown, **answer)  # type: ignore[arg-type]
    return operation


_CONFLICT = op("delete", 2, 3, "conflict", if_rev=4, rev=5, value=1)

VALID = {
    "a read after a write": [op("put", 0, 1, value=1, rev=5), op("get", 2, 3, value=1, rev=5, created=5, version=1)],
    "a read beside a write, before it": [op("put", 0, 9, value=1, rev=5), op("get", 1, 2, rev=0)],
    "a read beside a write, after it": [op("put", 0, 9, value=1, rev=5), op("get", 1, 2, value=1, rev=5)],
    "an unknown write that took effect": [op("put", 0, None, "unknown", value=1), op("get", 1, 2, value=1, rev=7)],
    "an unknown write that did not": [op("put", 0, None, "unknown", value=1), op("get", 1, 2, rev=0)],
    "an unknown write that takes effect late": [
        op("put", 0, None, "unknown", value=1),
        op("get", 1, 2, rev=0),
        op("put", 3, 4, value=2, rev=6),
        op("get", 5, 6, value=1, rev=7, created=6, version=2),
    ],
    "a conflict that had a reason": [
        op("put", 0, 1, value=1, rev=5),
        op("put", 2, 3, "conflict", if_rev=4, rev=5, value=1),
    ],
    "counting": [
        op("incr", 0, 1, value=1),
        op("incr", 0, 2, value=2),
        op("get", 3, 4, value=2, rev=9, created=8, version=2),
    ],
    "a count that an unknown one came before": [op("incr", 0, None, "unknown"), op("incr", 1, 2, value=2)],
    "a key that went and came": [
        op("put", 0, 1, value=1, rev=5),
        op("delete", 2, 3, rev=6, deleted=1),
        op("get", 4, 5, rev=0),
        op("delete", 6, 7, rev=0, deleted=0),
        op("put", 8, 9, value=2, rev=8, if_rev=0),
        op("get", 10, 11, value=2, rev=8, created=8, version=1),
    ],
    "a refused write that nobody saw": [op("put", 0, 1, "refused", value=1), op("get", 2, 3, rev=0)],
}

INVALID = {
    "a stale read": [
        op("put", 0, 1, value=1, rev=5),
        op("put", 2, 3, value=2, rev=6),
        op("get", 4, 5, value=1, rev=5, created=5, version=1),
    ],
    "a lost write": [op("put", 0, 1, value=1, rev=5), op("get", 2, 3, rev=0)],
    "a refused write that somebody saw": [op("put", 0, 1, "refused", value=1), op("get", 2, 3, value=1)],
    "a count that counted twice": [op("incr", 0, 1, value=1), op("get", 2, 3, value=2)],
    "an unknown write that appears and disappears": [
        op("put", 0, 1, value=1, rev=5),
        op("put", 2, None, "unknown", value=2),
        op("get", 3, 4, value=2, rev=6),
        op("get", 5, 6, value=1, rev=5),
    ],
    "an unknown write that takes effect twice": [
        op("put", 0, None, "unknown", value=1),
        op("get", 1, 2, value=1, rev=5),
        op("put", 3, 4, value=2, rev=6),
        op("get", 5, 6, value=1, rev=7),
    ],
    "a conflict without a reason": [
        op("put", 0, 1, value=1, rev=5),
        op("delete", 2, 3, "conflict", if_rev=5, value=1, rev=5),
    ],
    "a condition that did not hold": [op("put", 0, 1, value=1, rev=5), op("put", 2, 3, value=2, if_rev=4, rev=6)],
    "revisions that fall": [op("put", 0, 1, value=1, rev=5), op("put", 2, 3, value=2, rev=4)],
    "a version that leaves one out": [
        op("put", 0, 1, value=1, rev=5),
        op("get", 2, 3, value=1, rev=5, created=5, version=2),
    ],
    "a read that two others contradict": [
        op("put", 0, 9, value=1, rev=5),
        op("get", 1, 2, value=1, rev=5),
        op("get", 3, 4, rev=0),
    ],
    "a delete of what was not there": [op("delete", 0, 1, rev=5, deleted=1)],
    "a revision settled twice": [
        op("incr", 0, 1, value=1),
        op("get", 2, 3, value=1, rev=5),
        op("get", 4, 5, value=1, rev=6),
    ],
}


@pytest.mark.parametrize("name", VALID)
def test_what_can_be_explained_is_accepted(name: str) -> None:
    assert check(VALID[name]).outcome == "linearizable", check(VALID[name]).explanation
    assert explained_by_some_order(VALID[name])


@pytest.mark.parametrize("name", INVALID)
def test_what_cannot_be_explained_is_refused_and_the_key_named(name: str) -> None:
    verdict = check(INVALID[name])
    assert verdict.outcome == "violation"
    assert verdict.key == "k"
    assert "can be put in order" in verdict.explanation
    assert not explained_by_some_order(INVALID[name])


def test_revisions_are_compared_across_keys() -> None:
    twice = [op("put", 0, 1, value=1, rev=5), op("put", 0, 1, value=2, rev=5, key="other")]
    late = [op("put", 0, 1, value=1, rev=5), op("put", 2, 3, value=2, rev=4, key="other")]
    known = [op("get", 0, 1, value=1, rev=5), op("put", 2, 3, value=2, rev=4, key="other")]
    beside = [op("put", 0, 9, value=1, rev=5), op("put", 2, 3, value=2, rev=4, key="other")]
    assert check_revisions(twice) is not None
    assert check_revisions(late) is not None
    assert check_revisions(known) is not None
    assert check_revisions(beside) is None


@pytest.mark.parametrize("histories", [1000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_both_judges_agree_on_small_histories(histories: int) -> None:
    random = Random(1)
    found = {True: 0, False: 0}
    for _ in range(histories):
        history = run(random, random.randint(3, 6), 1, 3, unknown=0.3)
        for candidate in (history, spoil(random, history)):
            expected = explained_by_some_order(candidate)
            outcome, explanation = check_key(candidate)
            assert (outcome == "linearizable") == expected, (candidate, explanation)
            found[expected] += 1
    assert min(found.values()) > histories / 3


@pytest.mark.parametrize("operations", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_operations_over_a_hundred_keys_are_judged(operations: int) -> None:
    history = run(Random(2), operations, 100, 20, unknown=0.005)
    assert check(history).outcome == "linearizable"
    reads = [
        one for one in history if one.kind == "get" and one.outcome == "done" and one.answer and one.answer.version
    ]
    victim = Random(3).choice(reads)
    assert victim.answer is not None
    victim.answer = Answer(b"-17", victim.answer.rev, victim.answer.created, victim.answer.version)
    assert check(history).key == victim.key


def test_a_search_that_takes_too_long_says_so() -> None:
    history = [op("put", 0, None, "unknown", value=n) for n in range(12)] + [op("get", 1, 2, value=99)]
    assert check(history, max_states=1000).outcome == "undecided"


def test_replies_are_read_as_a_node_writes_them() -> None:
    history = History()
    lines = {
        "done": b'{"id":1,"ok":true,"value":{"a": 1},"rev":7,"created":3,"version":2}\n',
        "refused": b'{"ok":false,"error":{"code":"no_quorum","message":"m","hint":"h"}}\n',
    }
    for outcome, line in lines.items():
        read = history.call(Operation(1, "get", "k", 0.0))
        history.complete(read, 1.0, line)
        assert read.outcome == outcome
    assert history.operations[0].answer == Answer(b'{"a": 1}', 7, 3, 2)
    write = history.call(Operation(1, "put", "k", 2.0, b"1"))
    history.complete(
        write, 3.0, b'{"ok":false,"error":{"code":"timeout","message":"m","hint":"h","applied":"unknown"}}\n'
    )
    assert (write.outcome, write.returned) == ("unknown", None)
    history.complete(write, 3.0, b'{"ok":false,"error":{"code":"timeout","message":"m","hint":"h","applied":"no"}}\n')
    assert write.outcome == "refused"
