"""The prompt's commands that take options, and what goes on between commands: watches, and locks that are kept."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from trioraft_cli import connection, going_on, overview, streams
from trioraft_cli.lines import run_line
from trioraft_cli.outcomes import BROKEN, GIVEN_UP, NOT_NOW, NOT_WAITED_FOR

from trioraft.background import in_background
from trioraft.client import leases

from ..helpers.fake_nodes import FakeNode, Make
from ..helpers.processes import eventually
from ..helpers.prompts import prompt_at
from ..helpers.terminals import OnTerminal
from .test_locks_and_leases import Answers, error

ENTER, CTRL_C = b"\r", b"\x03"
PROMPT = "trioraft>"
PATIENCE = 20.0


class Prompt:
    """A prompt without a terminal: lines are typed one after the other."""

    def __init__(self, node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
        self.prompt = prompt_at([node.address])
        self.connection = self.prompt.connection
        self._capsys = capsys
        self.out = ""

    def types(self, line: str) -> tuple[int | None, str, str]:
        return run_line(self.prompt, line), *self._capsys.readouterr()

    def shown(self) -> str:
        self.out += self._capsys.readouterr().out
        return self.out


@pytest.fixture
def opened(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[FakeNode], Prompt]]:
    prompts: list[Prompt] = []

    def opens(node: FakeNode) -> Prompt:
        prompts.append(Prompt(node, capsys))
        return prompts[-1]

    yield opens
    for prompt in prompts:
        prompt.connection.close()
        prompt.connection._client.close()


Open = Callable[[FakeNode], Prompt]


def test_the_words_are_those_of_the_command_line(fake: Make, opened: Open) -> None:
    held = {"value": "x", "rev": 3, "at": 5}
    done = {"succeeded": True, "results": [{"rev": 9}, {"value": 1, "rev": 9}], "rev": 9, "at": 9}
    answers = Answers(wait=held, txn=done, lease_keepalive={"expired": [41]}, leases={"leases": [], "more": False})
    prompt = opened(fake(answers))
    assert prompt.types("wait 'it''s' --timeout 3")[0] == 2
    assert prompt.types("""wait "two words" --value "x" --timeout 0""") == (0, '"x"\n', "")
    assert prompt.types('txn rev a = 7 -- put a {"x": 1} , get a') == (0, "1\n", "")
    assert prompt.types("lease grant --ttl 3") == (0, "41\n", "")
    assert prompt.types("lease keepalive 41")[0] == 1
    assert prompt.types("lease revoke 41") == (0, "", "")
    assert prompt.types("lease list")[0] == 0
    assert answers.asked == [
        {"op": "wait", "key": "two words", "value": "x", "wait_ms": 0},
        {
            "op": "txn",
            "checks": [{"key": "a", "rev": 7}],
            "then": [{"op": "put", "key": "a", "value": {"x": 1}}, {"op": "get", "key": "a"}],
        },
        {"op": "lease_grant", "ttl_ms": 3000},
        {"op": "lease_keepalive", "leases": [41]},
        {"op": "lease_revoke", "lease": 41},
        {"op": "leases"},
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("wait", "Missing argument 'KEY'"),
        ("wait k --nonsense", "No such option"),
        ("wait k --timeout soon", "not a valid number"),
        ("wait k --connect h", "'h' is no address"),
        ("wait 'k", "the quote has no end"),
        ("txn 'rev a 7' -- get a", "stands where '=' has to"),
        ("watch --", "there is no command behind the '--'"),
        ("unlock l", "say from which LEASE"),
        ("lease frobnicate", "there is no command 'frobnicate': did you mean 'lease --help'?"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_usage(fake: Make, opened: Open, line: str, said: str) -> None:
    code, out, err = opened(fake(None)).types(line)
    assert (code, out) == (2, "")
    assert said in err


def test_help_is_there_for_each(fake: Make, opened: Open) -> None:
    prompt = opened(fake(None))
    assert "--rev-above" in prompt.types("wait --help")[1]
    assert "\n  keepalive " in prompt.types("help lease")[1]
    assert prompt.types("help lease grant")[1].startswith("Usage: lease grant [OPTIONS]\n")


def test_a_lock_is_kept_until_it_is_unlocked(fake: Make, opened: Open) -> None:
    answers = Answers()
    prompt = opened(fake(answers))
    code, out, err = prompt.types("lock 'my lock' --ttl 1")
    assert (code, out) == (0, "fence 42, lease 41\n")
    assert """until 'unlock "my lock"'""" in err
    assert answers.kept.wait(PATIENCE)
    assert prompt.types("lock 'my lock'")[0] == 2
    assert prompt.types("unlock 'my lock'") == (0, "", "")
    assert answers.ops == ["lease_grant", "lock", "lease_revoke"]
    assert prompt.types("unlock 'my lock'")[0] == 2


def test_the_end_of_the_prompt_gives_its_locks_back(fake: Make, opened: Open) -> None:
    answers = Answers()
    prompt = opened(fake(answers))
    prompt.types("lock l")
    prompt.connection.close()
    assert answers.ops == ["lease_grant", "lock", "lease_revoke"]


def test_many_locks_are_given_back_at_once(fake: Make, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "GIVING_BACK_SECONDS", 0.5)
    answers = Answers()
    hangs = threading.Event()
    prompt = opened(fake(lambda request: None if hangs.is_set() else answers(request)))
    for name in "abcdef":
        assert prompt.types(f"lock {name}")[0] == 0
    hangs.set()
    began = time.monotonic()
    prompt.connection.going_on.close()
    assert time.monotonic() - began < 2.0


def test_ctrl_c_behind_any_line_leaves_no_watch_quiet() -> None:
    going = going_on.GoingOn([])

    def broken_off(place: int) -> bool:
        """Break off a quiet context at that line of it; whether there is one."""
        left = place

        def at_line(_: FrameType, event: str, __: object) -> Any:
            nonlocal left
            left -= event == "line"
            if event == "line" and left == 0:
                raise KeyboardInterrupt
            return at_line

        before = sys.gettrace()
        sys.settrace(lambda frame, *_: at_line if frame.f_code.co_filename == going_on.__file__ else None)
        try:
            with going.quiet():
                pass
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False

    for place in range(1, 5):
        assert broken_off(place)
        assert not going.is_quiet


def test_a_lock_that_cannot_be_had_leaves_no_lease(fake: Make, opened: Open) -> None:
    answers = Answers(lock=error("timeout", "no"))
    prompt = opened(fake(answers))
    assert prompt.types("lock l --timeout 0")[0] == 4
    assert answers.ops[-1] == "lease_revoke"
    assert not prompt.connection.going_on.holds("l")


@pytest.mark.parametrize(
    ("happened", "why"),
    [("is_expired", "its lease was revoked"), ("is_unlocked", "it was unlocked by somebody else")],
)
def test_a_lock_that_is_lost_is_said(
    fake: Make, opened: Open, capsys: pytest.CaptureFixture[str], happened: str, why: str
) -> None:
    answers = Answers()
    prompt = opened(fake(answers))
    prompt.types("lock l --ttl 3")
    setattr(answers, happened, True)
    eventually(lambda: not prompt.connection.going_on.holds("l"), "it is lost")
    eventually(lambda: f"the lock l is lost: {why}" in capsys.readouterr().err, "it is said")


class Watched:
    """A node with one watch, of which the test sends the events."""

    def __init__(self, fake: Make) -> None:
        self.begun = threading.Event()
        self.node = fake(self._answer)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] != "watch":
            return {"rev": 1, "value": 7, "version": 1}
        self.id = request["id"]
        self.connection = self.node.newest
        self.begun.set()
        return {"waiting": True, "at": 10, "cluster": "c1", "pushes": [{"event": "synced", "at": 10}]}

    def sends(self, rev: int, key: str = "k") -> None:
        assert self.begun.wait(PATIENCE)
        self.node.push({"event": "put", "key": key, "value": rev, "rev": rev, "id": self.id}, self.connection)


def test_a_watch_prints_while_other_commands_run_and_many_events_are_counted(fake: Make, opened: Open) -> None:
    watched = Watched(fake)
    prompt = opened(watched.node)
    assert prompt.types("watch cfg/") == (0, "", "trioraft: changes are shown as they come, until Ctrl-C\n")
    watched.sends(11)
    eventually(lambda: "11  put  k  11" in prompt.shown(), "the first is shown")
    assert prompt.types("get k") == (0, "7\n", "")
    for rev in range(12, 12 + 3 * going_on.MOST_LINES):
        watched.sends(rev)
    eventually(lambda: "more event" in prompt.shown(), "the others are counted")
    assert prompt.connection.going_on.end_watches() == 1
    assert prompt.connection.going_on.end_watches() == 0


def test_a_watch_into_a_pipe_goes_on_until_its_reader_leaves(fake: Make, opened: Open, tmp_path: Path) -> None:
    watched = Watched(fake)
    prompt = opened(watched.node)
    left = threading.Event()

    def send() -> None:
        rev = 11
        while not left.wait(0.01):
            with contextlib.suppress(OSError):  # it may have hung up
                watched.sends(rev)
            rev += 1

    sender = threading.Thread(target=send)
    sender.start()
    assert prompt.types(f"watch cfg/ | head -1 >{tmp_path}/seen") == (0, "", "")
    left.set()
    sender.join()
    assert (tmp_path / "seen").read_text() == "11  put  k  11\n"


def test_a_watch_prints_above_the_line_that_is_typed_until_ctrl_c_at_an_empty_one(fake: Make, tmp_path: Path) -> None:
    watched = Watched(fake)
    environment = {"TRIORAFT_SERVERS": str(watched.node.address), "XDG_STATE_HOME": str(tmp_path), "TERM": "xterm"}
    with OnTerminal(
        [sys.executable, "-m", "trioraft_cli", "shell"], {**os.environ, **environment, "PROMPT_TOOLKIT_NO_CPR": "1"}
    ) as prompt:
        prompt.shows(PROMPT)
        prompt.does(b"watch" + ENTER, "until Ctrl-C")
        prompt.shows(PROMPT, 2)
        prompt.does(b"get half-ty", "get half-ty")
        watched.sends(11)
        prompt.shows("11  put  k  11")
        at = prompt.shown.rindex("11  put  k  11")
        prompt.terminal.read_until(lambda: "get half-ty" in prompt.shown[at:], "the line that is typed is drawn anew")
        prompt.does(b"ped" + ENTER, "\n7\n")
        at = prompt.shown.rindex("\n7\n")
        prompt.terminal.read_until(lambda: PROMPT in prompt.shown[at:], "the next prompt")
        prompt.does(b"not meant", "not meant")
        prompt.does(CTRL_C, PROMPT)
        watched.sends(12)
        prompt.shows("12  put  k  12")
        prompt.does(CTRL_C, "no longer shown: the changes of 1 watch")
        prompt.does(b"get k" + ENTER, "\n7\n")
        prompt.terminal.type(b"exit" + ENTER)
        assert prompt.ends() == 0
        assert "Traceback" not in prompt.shown


def test_an_event_that_cannot_be_printed_ends_a_script_with_its_failure(fake: Make) -> None:
    watched = Watched(fake)
    servers = {"TRIORAFT_SERVERS": str(watched.node.address)}
    program = [sys.executable, "-m", "trioraft_cli", "shell"]
    with (
        open("/dev/full", "wb") as full,
        subprocess.Popen(program, env={**os.environ, **servers}, stdin=subprocess.PIPE, stdout=full) as shell,
    ):
        assert shell.stdin is not None
        shell.stdin.write(b"watch cfg/\n")
        shell.stdin.flush()
        eventually(lambda: "watch" in watched.node.asked, "the node is asked")
        watched.sends(11)

        def has_ended() -> bool:
            with contextlib.suppress(BrokenPipeError):
                os.write(shell.stdin.fileno(), b"# prints nothing\n")  # type: ignore[union-attr]
            return shell.poll() is not None

        try:
            eventually(has_ended, "it has heard of the full disk")
        finally:
            shell.kill()
        assert shell.wait() == BROKEN


def test_a_command_whose_time_is_over_leaves_the_prompt_its_output(
    fake: Make, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "READER_SECONDS", 0.0)
    hanging = fake(lambda request: {} if request["op"] == "ping" else None)
    prompt = opened(hanging)
    given_up = prompt.connection._client
    text = "x" * 1_000_000
    reading, writing = os.pipe()
    with open(reading) as source, streams.opened(writing, "the pipe") as output, contextlib.redirect_stdout(output):
        for line in ("get k --timeout 0.1", f"get k --timeout 0.1 --connect {hanging.address}"):
            assert prompt.types(line)[0] == NOT_NOW

        def read_late() -> str:
            time.sleep(0.2)
            return source.read(len(text))

        reader = in_background(read_late)
        print(text, end="", flush=True)
        assert len(reader.result(PATIENCE)) == len(text)
    given_up.close()


@pytest.mark.parametrize("at", ["", " --connect 127.0.0.1:1"])
def test_no_event_is_printed_onto_the_screen_of_top(
    fake: Make, opened: Open, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    prompt = opened(Watched(fake).node)
    quiet: list[bool] = []
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(overview, "live", lambda *_: quiet.append(prompt.connection.going_on.is_quiet))
    prompt.types(f"top{at}")
    assert quiet == [True]
    assert not prompt.connection.going_on.is_quiet


def test_ctrl_c_while_a_command_begins_gives_up_its_connection(
    fake: Make, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = opened(Watched(fake).node)
    before = prompt.connection._client
    begun: list[Future[object]] = []

    def begin(work: Callable[[], object]) -> None:
        begun.append(in_background(work))
        raise KeyboardInterrupt

    monkeypatch.setattr(connection, "in_background", begin)
    with pytest.raises(KeyboardInterrupt):
        prompt.types("get k")
    assert prompt.connection._client is not before
    begun[0].exception(PATIENCE)
    before.close()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("put k 1", NOT_WAITED_FOR),
        ("txn -- put k 1", NOT_WAITED_FOR),
        ("lease revoke 41", NOT_WAITED_FOR),
        ("get k", GIVEN_UP),
        ("locks", GIVEN_UP),
        ("wait k", GIVEN_UP),
        ("lock l", GIVEN_UP),
    ],
)
def test_ctrl_c_says_what_it_leaves_open(
    fake: Make, opened: Open, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    answers = Answers()
    prompt = opened(fake(answers))
    monkeypatch.setattr(prompt.connection, "with_client", interrupted)
    monkeypatch.setattr(prompt.connection, "settle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prompt.types(line)
    assert capsys.readouterr().err == f"trioraft: {said}\n"
