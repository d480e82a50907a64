"""What is held of a command's output, and where it goes: to the terminal, or, where it is taller, to the pager."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from trioraft_cli import pager
from trioraft_cli.pager import Held, is_taller
from trioraft_cli.streams import StreamError

from ..helpers.processes import eventually


@pytest.fixture(autouse=True)
def size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.setenv("LINES", "5")


TALL = "".join(f"{number}\n" for number in range(9))


@contextmanager
def paging(monkeypatch: pytest.MonkeyPatch, folder: Path, command: str) -> Iterator[Path]:
    """A context with that pager; the file that `$SEEN` is."""
    seen = folder / "seen"
    monkeypatch.setenv("SEEN", str(seen))
    monkeypatch.setenv("PAGER", command)
    yield seen


@pytest.mark.parametrize(
    ("text", "taller"),
    [
        ("", False),
        ("1\n2\n3\n4\n", False),
        ("1\n2\n3\n4\n5\n", True),
        ("x" * 40, False),
        ("x" * 41 + "\n", True),
        ("\x1b[32m" + "x" * 40 + "\x1b[0m", False),
    ],
)
def test_tall_is_what_leaves_no_line_for_the_prompt(text: str, taller: bool) -> None:
    assert is_taller(text) == taller


def test_what_is_tall_goes_to_the_pager_and_what_is_said_of_it_comes_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with paging(monkeypatch, tmp_path, 'cat >"$SEEN"; echo paged') as seen:
        with Held():
            print(TALL, end="")
            print("there are more", file=sys.stderr)
            assert capfd.readouterr() == ("", "")
        assert seen.read_text() == TALL
    assert capfd.readouterr() == ("paged\n", "there are more\n")


@pytest.mark.parametrize("text", ["1\n", "no end of the line"])
def test_what_fits_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    with paging(monkeypatch, tmp_path, 'cat >"$SEEN"') as seen, Held():
        print(text, end="")
    assert not seen.exists()
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    ("command", "said"),
    [("", ""), (" ", ""), ("exit 3", "exit code 3"), ("/no/such/pager", "exit code 127"), ("kill $$", "exit code 143")],
)
def test_a_pager_that_does_not_exist_or_fails_leaves_the_output_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, said: str
) -> None:
    with paging(monkeypatch, tmp_path, command), Held():
        print(TALL, end="")
    told = capsys.readouterr()
    assert told.out == TALL
    assert said in told.err
    assert bool(told.err) == bool(said)


def test_what_prints_for_longer_is_shown_as_it_goes_on_and_never_paged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pager, "HELD_SECONDS", 0.01)
    shown = ""

    def is_shown() -> bool:
        nonlocal shown
        shown += capsys.readouterr().out
        return bool(shown)

    with paging(monkeypatch, tmp_path, 'cat >"$SEEN"') as seen, Held() as held:
        print("first", end="")
        eventually(is_shown, "the first is shown")
        print(TALL, end="")
        assert not held.is_holding
    assert shown + capsys.readouterr().out == f"first{TALL}"
    assert not seen.exists()


def test_what_click_prints_is_held_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    with Held():
        click.echo("text")
    assert capsys.readouterr().out == "text\n"


def test_other_threads_are_not_held(capsys: pytest.CaptureFixture[str]) -> None:
    with Held():
        print("held")
        other = threading.Thread(target=lambda: print("from another"))
        other.start()
        other.join()
        assert capsys.readouterr().out == "from another\n"
    assert capsys.readouterr().out == "held\n"


def test_ctrl_c_shows_what_was_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Held():
        print("before")
        raise KeyboardInterrupt
    assert capsys.readouterr().out == "before\n"


def test_a_terminal_that_takes_nothing_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _: str) -> int:
            raise StreamError("standard output cannot be written: No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(StreamError), Held():
        print("lost")


def test_a_pager_that_is_told_to_end_ends_with_what_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"
    monkeypatch.setenv("BEGUN", str(begun))

    def interrupt() -> None:
        eventually(begun.exists, "the pager runs")
        os.kill(os.getpid(), 2)

    with paging(monkeypatch, tmp_path, "trap '' INT; echo >\"$BEGUN\"; sleep 60; true"):
        threading.Thread(target=interrupt).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt), Held():
            print(TALL, end="")
        assert time.monotonic() - began < 50
