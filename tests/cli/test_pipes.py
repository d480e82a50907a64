"""Where a line sends its output: a command of the shell, or a file; and what happens when that side fails."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from trioraft_cli.outcomes import BROKEN, Failure
from trioraft_cli.pipes import into
from trioraft_cli.typed import Sink

from ..helpers.processes import eventually


def test_the_shell_reads_what_is_printed_and_it_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with into(Sink("|", "tr a-z A-Z; exit 3")) as side:
        assert not sys.stdout.isatty()
        print("héllo")
    assert side.code == 3
    assert capfd.readouterr().out == "HéLLO\n"


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_leaves_is_quiet(capfd: pytest.CaptureFixture[str], lines: int) -> None:
    with into(Sink("|", "head -1")) as side:
        for number in range(lines):
            print(number)
    assert side.code == 0
    assert capfd.readouterr() == ("0\n", "")


def test_a_command_that_the_shell_does_not_know_is_told_by_the_shell(capfd: pytest.CaptureFixture[str]) -> None:
    with into(Sink("|", "no-such-command-at-all")) as side:
        print("x")
    assert side.code == 127
    assert "no-such-command-at-all" in capfd.readouterr().err


def test_a_file_is_written_anew_or_added_to(tmp_path: Path) -> None:
    for kind, expected in ((">", "1\n"), (">>", "1\n1\n"), (">", "1\n")):
        with into(Sink(kind, str(tmp_path / "a file"))) as side:
            print(1)
        assert side.code == 0
        assert (tmp_path / "a file").read_text() == expected


def test_a_file_may_be_named_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with into(Sink(">", "~/out")):
        print(1)
    assert (tmp_path / "out").read_text() == "1\n"


@pytest.mark.parametrize("name", ["no such folder/f", ".", "a\0b"])
def test_a_file_that_cannot_be_opened_is_said_and_nothing_is_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Failure) as failure, into(Sink(">", name)):
        raise AssertionError
    assert failure.value.code == BROKEN
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_full_disk_is_said_with_the_file(capsys: pytest.CaptureFixture[str], lines: int) -> None:
    with into(Sink(">", "/dev/full")) as side:
        for number in range(lines):
            print(number)
    assert side.code == BROKEN
    assert capsys.readouterr().err == "trioraft: /dev/full cannot be written: No space left on device\n"


@pytest.mark.parametrize("is_printing", [False, True])
def test_ctrl_c_ends_both_sides_even_one_that_does_not_want_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_printing: bool
) -> None:
    begun = tmp_path / "begun"
    monkeypatch.setenv("BEGUN", str(begun))

    def interrupt() -> None:
        eventually(begun.exists, "the other side runs")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt), into(Sink("|", "trap '' INT; echo $$ >\"$BEGUN\"; sleep 60")):
        while is_printing:
            print("x" * 1000)
    process = int(begun.read_text())
    assert not Path(f"/proc/{process}").exists()
    print("and then standard output is what it was")
