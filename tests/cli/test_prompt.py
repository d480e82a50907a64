"""The prompt, typed into on a simulated terminal, with no node that answers."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from trioraft_cli import history, keyboard, prompt_commands, shell
from trioraft_cli.connection import Connection
from trioraft_cli.lines import Prompt, run_line
from trioraft_cli.streams import StreamError

from trioraft.addresses import Address

from ..helpers.prompts import COMMANDS, prompt_at

NOBODY = [Address("127.0.0.1", 1)]
ENTER = b"\r"
CTRL_D = b"\x04"


def paste(text: str) -> bytes:
    return b"\x1b[200~" + text.encode() + b"\x1b[201~"


Type = Callable[..., int]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Type]:
    """Type into a prompt until it ends."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TERM", "xterm")
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):

        def type_in(*data: bytes) -> int:
            keys.send_bytes(b"".join(data))
            return shell._prompt(prompt_at(NOBODY))

        yield type_in


def test_two_pasted_lines_are_two_commands_each_shown(typed: Type, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(paste("help exit\nhelp help"), ENTER, CTRL_D) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("trioraft>", "Usage:"))]
    assert shown == [
        "trioraft> help exit",
        "Usage: exit [OPTIONS]",
        "trioraft> help help",
        "Usage: help [OPTIONS] [COMMAND]",
    ]


def test_a_thousand_pasted_lines_are_a_thousand_commands(typed: Type, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(paste("help exit\n" * 1000), ENTER, CTRL_D) == 0
    assert capsys.readouterr().out.count("Leave the prompt") == 1000


def test_a_paste_stops_at_the_first_line_that_fails_and_says_so(
    typed: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(paste("frobnicate\nhelp exit\nexit"), ENTER, b"help help", ENTER, CTRL_D) == 0
    told = capsys.readouterr()
    assert "Leave the prompt" not in told.out
    assert "List the commands" in told.out
    assert "not carried out: 2 more" in told.err


def test_an_exit_among_pasted_lines_ends_the_prompt(typed: Type, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(paste("exit\nhelp exit"), ENTER) == 0
    assert "Leave the prompt" not in capsys.readouterr().out


@pytest.mark.parametrize("data", [b"get \xff\xfe", b"\x80", b"put k \xc3", b'get "\\ud800"', b"get \xed\xa0\x80"])
def test_bytes_that_are_no_text_are_said_once_and_the_prompt_goes_on(
    typed: Type, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    assert typed(data, ENTER, b"help exit", ENTER, CTRL_D) == 0
    told = capsys.readouterr()
    assert told.err.count("trioraft:") == 1
    assert "Leave the prompt" in told.out


def _is_a_file_above(place: Path) -> None:
    place.parent.parent.write_text("")


def _is_a_folder(place: Path) -> None:
    place.mkdir(parents=True)


def _is_a_full_disk(place: Path) -> None:
    place.parent.mkdir(parents=True)
    place.symlink_to("/dev/full")


def _is_a_pipe(place: Path) -> None:
    place.parent.mkdir(parents=True)
    os.mkfifo(place)


def _leads_nowhere(place: Path) -> None:
    place.parent.mkdir(parents=True)
    place.symlink_to(place)


@pytest.mark.parametrize("spoil", [_is_a_file_above, _is_a_folder, _is_a_full_disk, _is_a_pipe, _leads_nowhere])
def test_a_history_that_cannot_be_kept_is_one_warning(
    typed: Type, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
) -> None:
    spoil(tmp_path / "state" / "trioraft" / "history")
    assert typed(b"help exit", ENTER, b"help help", ENTER, CTRL_D) == 0
    told = capsys.readouterr()
    assert told.err.count("the history cannot be kept") == 1
    assert told.err.count("\n") == 1
    assert told.out.count("Leave the prompt") == 1
    assert told.out.count("List the commands") == 1


def test_without_a_home_it_is_one_warning(
    typed: Type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    assert typed(b"help exit", ENTER, CTRL_D) == 0
    assert capsys.readouterr().err.count("the history cannot be kept") == 1


def test_a_disk_that_fills_up_while_the_prompt_is_open_is_one_warning(
    typed: Type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "state" / "trioraft" / "history"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x" * 100)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (110, hard))
    try:
        assert typed(b"help exit", ENTER, b"help help", ENTER, CTRL_D) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    told = capsys.readouterr()
    assert told.err.count("the history cannot be kept") == 1
    assert told.out.count("Usage:") == 2


def test_the_history_is_for_its_owner_and_comes_back(typed: Type, tmp_path: Path) -> None:
    assert typed(paste("help exit\nhelp help"), ENTER, b"help\xff", ENTER, CTRL_D) == 0
    kept = tmp_path / "state" / "trioraft" / "history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert list(history.KeptHistory().load_history_strings()) == ["help\ufffd", "help exit\nhelp help"]


def test_a_line_that_cannot_be_drawn_ends_the_prompt(typed: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise StreamError("standard output cannot be written: Input/output error")

    monkeypatch.setattr(keyboard, "usage_to_come", fail)
    with pytest.raises(StreamError):
        typed(b"get")


def test_a_line_with_a_leading_blank_stays_out_of_the_history(typed: Type) -> None:
    assert typed(b" help exit", ENTER, b"help help", ENTER, CTRL_D) == 0
    assert list(history.KeptHistory().load_history_strings()) == ["help help"]


def test_of_a_huge_history_with_bytes_of_any_kind_the_end_is_read(tmp_path: Path, typed: Type) -> None:  # noqa: ARG001
    kept = tmp_path / "state" / "trioraft" / "history"
    kept.parent.mkdir(parents=True)
    with kept.open("wb") as file:
        file.truncate(3 * history.LOADED_BYTES)
        file.seek(0, os.SEEK_END)
        file.write(b"\n# once\n+\xff\n\n# at last\n+get k\n")
    assert list(history.KeptHistory().load_history_strings()) == ["get k", "\ufffd"]


def test_each_command_tells_of_itself_at_the_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    prompt = Prompt(Connection(NOBODY), COMMANDS, prompt_commands.COMMANDS)
    for name, command in prompt.root.commands.items():
        assert run_line(prompt, f"{name} --help") == 0, name
        shown = capsys.readouterr().out
        assert shown.startswith(f"Usage: {command.name}"), name
        assert "\\b" not in shown, name
