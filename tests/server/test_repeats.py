"""Log lines that repeat are counted: the first of a kind is written, and then how many more there were."""

from __future__ import annotations

import ast
import logging
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import trioraft.server
from trioraft.server.repeats import AT_ONCE, MOST_KINDS, PERIOD_SECONDS, Repeats

SERVER = Path(trioraft.server.__path__[0])
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "exception": 40, "log": 30, "critical": 50}


class _Held(Exception):
    """An object whose end can be observed."""


def record(words: str, *args: object, level: int = logging.WARNING, about: object = None) -> logging.LogRecord:
    made = logging.LogRecord("trioraft.test", level, __file__, 1, words, args, None)
    made.about = about
    return made


def failure(error: Exception) -> logging.LogRecord:
    return logging.LogRecord("trioraft.test", logging.ERROR, __file__, 1, "failed", (), (type(error), error, None))


def test_the_first_is_written_the_others_are_counted_and_the_count_is_said_though_none_follows() -> None:
    repeats = Repeats()
    admitted = [repeats.admits(record("%s speaks TLS", number), now=number / 100) for number in range(400)]
    assert admitted == [True] + [False] * 399
    assert repeats.next_due() == PERIOD_SECONDS
    assert repeats.due(PERIOD_SECONDS - 1) == []
    [said] = repeats.due(PERIOD_SECONDS)
    assert said.levelno == logging.WARNING
    assert said.name == "trioraft.test"
    assert said.getMessage() == "399 more lines like this within the last minute, the last: 399 speaks TLS"


def test_what_goes_on_is_a_line_a_minute_and_what_was_quiet_is_said_at_once_again() -> None:
    repeats = Repeats()
    written = 0
    for second in range(600):
        written += len(repeats.due(second))
        written += repeats.admits(record("again"), second)
    assert written == 10
    assert repeats.due(700)
    assert repeats.due(800) == []
    assert repeats.next_due() is None, "it is forgotten"
    assert repeats.admits(record("again"), 801)


def test_a_single_one_that_was_held_back_is_said_with_its_words() -> None:
    repeats = Repeats()
    assert repeats.admits(record("refused: %s", "one reason"), 0)
    assert not repeats.admits(record("refused: %s", "another"), 1)
    [said] = repeats.due(PERIOD_SECONDS)
    assert said.getMessage().endswith("refused: another")


@pytest.mark.parametrize(
    "other",
    [
        record("other words"),
        record("words", about=2),
        record("words", level=logging.ERROR),
        record("words", level=logging.INFO),
    ],
    ids=["words", "what it is about", "level", "information"],
)
def test_another_kind_is_written(other: logging.LogRecord) -> None:
    repeats = Repeats()
    assert repeats.admits(record("words", about=1), 0)
    assert not repeats.admits(record("words", about=1), 0)
    assert repeats.admits(other, 0)


def test_exceptions_are_told_apart_by_where_they_were_raised() -> None:
    repeats = Repeats()
    failures = []
    failing: list[Callable[[], object]] = [lambda: int("x"), lambda: [][1]]
    for raise_it in failing:
        for _ in range(2):
            try:
                raise_it()
            except (ValueError, IndexError) as error:
                failures.append(failure(error))
    assert [repeats.admits(one, 0) for one in failures] == [True, False, True, False]


def test_a_nodes_own_life_is_told_in_full_unless_it_runs_wild() -> None:
    repeats = Repeats()
    lines = [record("node %d leads in term %d", 0, term, level=logging.INFO) for term in range(1000)]
    assert sum(repeats.admits(line, 0) for line in lines) == AT_ONCE[logging.INFO]


def test_last_words_are_always_written() -> None:
    repeats = Repeats()
    assert all(repeats.admits(record("it stops", level=logging.CRITICAL), 0) for _ in range(3))


def test_memory_is_bounded_and_nothing_is_kept_alive() -> None:
    repeats = Repeats()
    kinds = [f"kind {number}" for number in range(MOST_KINDS + 100)]
    written = sum(repeats.admits(record(kind), 0) for kind in kinds)
    assert written == MOST_KINDS + 1
    held = _Held("with all that its traceback knows")
    gone = weakref.ref(held)
    assert not repeats.admits(record("failed: %s", held), 0)
    del held
    assert gone() is None
    [said] = repeats.rest()
    assert (
        said.getMessage()
        == "100 more lines like this within the last minute, the last: failed: with all that its traceback knows"
    )
    assert repeats.next_due() is None


def _calls() -> Iterator[tuple[str, ast.Call]]:
    """Every place in the server's code that writes to the log."""
    for module in sorted(SERVER.glob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                owner = node.func.value
                if isinstance(owner, ast.Name) and owner.id == "log":
                    yield f"{module.name}:{node.lineno}", node


CALLS = dict(_calls())


def _words(call: ast.Call) -> ast.expr:
    assert isinstance(call.func, ast.Attribute)
    return call.args[1 if call.func.attr == "log" else 0]


def test_there_are_places_to_look_at() -> None:
    assert len(CALLS) > 20


@pytest.mark.parametrize("place", CALLS)
def test_every_place_in_the_code_has_words_of_its_own_by_which_its_lines_are_counted(place: str) -> None:
    """A new place is limited by itself, if its varying parts are arguments and not part of the words."""
    call = CALLS[place]
    words = _words(call)
    assert isinstance(words, ast.Constant), f"{place}: give what varies as an argument, not within the words"
    if words.value == "%s":
        assert any(keyword.arg == "extra" for keyword in call.keywords), f"{place}: say what it is about"
