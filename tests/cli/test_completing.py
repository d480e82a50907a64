"""Completion of keys from nodes that answer, answer late, or are silent: typing never waits for a node."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.application.current import AppSession
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput
from trioraft_cli import candidates, completion, shell
from trioraft_cli.completion import ClusterCompleter

from trioraft.addresses import Address

from ..helpers.fake_nodes import Make
from ..helpers.prompts import NOBODY, prompt_at

KEYS = ["it's", 'a "b"', "two words", "line\nend", "plain"]
PATIENCE = 10.0
"""From how many seconds on something counts as hanging."""
TAB, ENTER, CLEAR, CTRL_D = b"\t", b"\r", b"\x15", b"\x04"


def keys(request: dict[str, Any]) -> dict[str, Any]:
    """Make the answers of a node that has these keys."""
    found = [key for key in sorted(KEYS) if key.startswith(request.get("prefix", ""))]
    return {"items": [{"key": key, "rev": 1, "created": 1, "version": 1} for key in found], "more": False}


def completed(addresses: Sequence[Address], text: str) -> list[str]:
    """The lines to which the text can be completed at a prompt on these nodes."""
    completer = ClusterCompleter(prompt_at(addresses))

    async def ask() -> list[str]:
        event = CompleteEvent(completion_requested=True)
        found = [found async for found in completer.get_completions_async(Document(text), event)]
        return [text[: len(text) + one.start_position] + one.text for one in found]

    return asyncio.run(asyncio.wait_for(ask(), PATIENCE))


def test_keys_are_completed_as_they_are_to_be_typed(fake: Make) -> None:
    at = [fake(keys).address]
    assert completed(at, "get it") == ["get it's"]
    assert completed(at, "put l") == [r'put "line\nend"']
    assert completed(at, 'scan "two ') == ['scan "two words"']
    assert completed(at, "delete a") == [r'delete "a \"b\""']
    assert completed(at, "ge") == ["get"]
    assert completed(at, "put it's ") == []
    assert "get it's --stale" in completed(at, "get it's ")


def test_locks_are_completed_by_the_beginning_of_their_names(fake: Make) -> None:
    names = ["j", "job", "jobs", "k"]

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        held = [name for name in names if name > request.get("after", "")]
        return {"locks": [{"name": name, "lease": 4, "fence": 5, "waiters": 0} for name in held], "more": False}

    at = [fake(answer).address]
    assert completed(at, "unlock ") == [f"unlock {name}" for name in names]
    assert completed(at, "unlock job") == ["unlock job", "unlock jobs"]
    assert completed(at, "unlock jobs") == ["unlock jobs"]


def test_what_names_nothing_completes_nothing() -> None:
    assert completed([NOBODY], "help get l") == []
    assert completed([NOBODY], r'backup "a\u0000/') == []
    assert completed([NOBODY], r'get --servers "\u0000/') == []


def test_a_completion_that_fails_does_not_end_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[completion.Offer]:
        raise RuntimeError

    monkeypatch.setattr(completion, "offers", fail)
    assert completed([NOBODY], "ge") == []


def test_a_node_that_is_late_completes_nothing_and_the_next_tab_asks_anew(
    fake: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "ASKED_SECONDS", 0.2)
    late, done = [True], threading.Event()

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if late and request["op"] == "scan":
            late.clear()
            done.wait(PATIENCE)
        return keys(request)

    at = [fake(answer).address]
    assert completed(at, "get it") == []
    assert completed(at, "get it") == ["get it's"]
    done.set()


def test_of_nodes_that_are_silent_or_not_there_the_next_is_asked(fake: Make) -> None:
    nobody, silent, healthy = Address("127.0.0.1", 1), fake(None).address, fake(keys).address
    for others in ([], [nobody], [silent], [silent, nobody]):
        assert completed([*others, healthy], "get it") == ["get it's"]
    for others in ([nobody], [silent]):
        assert completed(others, "get it") == []


@pytest.mark.parametrize("fields", [{"items": 7}, {"items": [{"key": 7}]}, {}, {"ok": False, "error": {}}])
def test_what_a_node_answers_that_has_no_keys_completes_nothing(fake: Make, fields: dict[str, Any]) -> None:
    node = fake(lambda request: fields if request["op"] == "scan" else {})
    assert completed([node.address], "get it") == []


class Person:
    """A person who types into a prompt and sees its line."""

    def __init__(self, typed: PipeInput, seen: AppSession) -> None:
        self._typed = typed
        self._seen = seen

    def types(self, data: bytes, line: str | None = None) -> None:
        """Press keys, and wait until the line is the given one, if any."""
        self._typed.send_bytes(data)
        if line is not None:
            eventually(lambda: self._seen.app is not None and self._seen.app.current_buffer.text == line)


def eventually(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.005)


At = Callable[[Address, Callable[[Person], None]], bool]


@pytest.fixture
def at_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[At]:
    """Let a person, in a thread, type into a prompt on the node until it ends; whether the person got to the end."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm")
    with create_pipe_input() as typed, create_app_session(input=typed, output=DummyOutput()) as seen:

        def at_prompt(address: Address, act: Callable[[Person], None]) -> bool:
            done = []

            def live() -> None:
                try:
                    act(Person(typed, seen))
                    done.append(True)
                finally:
                    typed.send_bytes(CLEAR + CTRL_D)

            person = threading.Thread(target=live, daemon=True)
            person.start()
            prompt = prompt_at([address])
            with contextlib.closing(prompt.connection):
                assert shell._prompt(prompt) == 0
            person.join(PATIENCE)
            return done == [True]

        yield at_prompt


def test_while_somebody_only_types_no_node_is_asked(fake: Make, at_prompt: At) -> None:
    asked: list[str] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request.get("prefix", request["op"]))
        return keys(request)

    def act(person: Person) -> None:
        person.types(b"get ", "get ")
        person.types(b"i", "get i")
        person.types(b"t", "get it")
        person.types(TAB, "get it's")

    assert at_prompt(fake(answer).address, act)
    assert [what for what in asked if what not in ("ping", "status")] == ["it"]  # the bar has asked for the others


def test_typing_goes_on_while_keys_are_waited_for(
    fake: Make, at_prompt: At, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(candidates, "ASKED_SECONDS", 2 * PATIENCE)
    monkeypatch.setattr(completion, "COMPLETION_SECONDS", 2 * PATIENCE)
    done = threading.Event()

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "scan":
            done.wait(2 * PATIENCE)
        return keys(request)

    node = fake(answer)

    def act(person: Person) -> None:
        for turn, text in enumerate((b"get it", b"put ", b"scan "), 1):
            person.types(text + TAB)
            eventually(lambda turn=turn: node.asked.count("scan") == turn)  # type: ignore[misc]
            person.types(b"'s", text.decode() + "'s")
            person.types(CLEAR, "")
            person.types(b"help exit" + ENTER, "")

    assert at_prompt(node.address, act)
    done.set()
    assert capsys.readouterr().out.count("Leave the prompt") == 3
