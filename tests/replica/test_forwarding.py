"""The numbers of forwarded requests, and the answers to them that count."""

from __future__ import annotations

import pytest

from trioraft.replica.forwarding import Lead, PassedOn

FIRST, SECOND = Lead(1, 4), Lead(2, 5)


@pytest.fixture
def passed_on() -> PassedOn[str]:
    """One request at one leader, and one with three numbers at the next leader."""
    some: PassedOn[str] = PassedOn()
    assert some.add("a", FIRST) == 0
    assert some.add("b", SECOND, 3) == 1
    return some


def test_an_answer_of_whom_was_asked_counts_once(passed_on: PassedOn[str]) -> None:
    assert passed_on.pop(2, 1, 3) == ("b", SECOND)
    assert passed_on.pop(2, 1, 3) is None
    assert len(passed_on) == 1


@pytest.mark.parametrize(("sender", "number", "count"), [(1, 1, 3), (2, 0, 1), (2, 1, 2), (2, 2, 3), (2, 4, 1)])
def test_no_other_answer_counts(passed_on: PassedOn[str], sender: int, number: int, count: int) -> None:
    assert passed_on.pop(sender, number, count) is None
    assert len(passed_on) == 2


def test_numbers_are_not_used_again(passed_on: PassedOn[str]) -> None:
    assert passed_on.pop_all() == ["a", "b"]
    assert passed_on.add("c", FIRST) == 4
    assert passed_on.pop(1, 0) is None


def test_what_a_lost_leader_was_asked_is_taken_back_alone(passed_on: PassedOn[str]) -> None:
    passed_on.add("c", FIRST)
    assert passed_on.pop_from(1) == ["a", "c"]
    assert passed_on.first == "b"


def test_what_is_given_up_is_taken_back_alone(passed_on: PassedOn[str]) -> None:
    assert passed_on.pop_if(lambda what: what == "a") == ["a"]
    assert passed_on.first == "b"
