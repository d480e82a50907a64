"""The prompt on a terminal, as a person uses it: typing, completing, pasting, interrupting, closing the terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trioraft.client.attempts import REPLY_SECONDS

from ..helpers.fake_nodes import fake_nodes
from ..helpers.processes import Cluster, Node, eventually
from ..helpers.terminals import OnTerminal, Terminal

ENTER, TAB, CTRL_C, CTRL_D = b"\r", b"\t", b"\x03", b"\x04"
PROMPT = "trioraft>"
Open = Callable[..., OnTerminal]


def program(command: str) -> list[str]:
    return [sys.executable, "-m", "trioraft_cli", command]


def ports(nodes: list[Node]) -> list[int]:
    return [node.port for node in nodes]


def environment(folder: Path, ports: list[int]) -> dict[str, str]:
    servers = ",".join(f"127.0.0.1:{port}" for port in ports)
    names = {"TRIORAFT_SERVERS": servers, "XDG_STATE_HOME": str(folder), "TMPDIR": str(folder)}
    return {**os.environ, **names, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}


@pytest.fixture
def prompt(steady: Cluster, tmp_path: Path) -> Iterator[OnTerminal]:
    """Start a prompt on the whole cluster."""
    with OnTerminal(program("shell"), environment(tmp_path, ports(steady.nodes))) as opened:
        opened.shows(PROMPT)
        yield opened


def enter(prompt: OnTerminal, line: bytes, answer: str, count: int = 1) -> None:
    """Type a line, and wait for its answer and the next prompt."""
    prompts = prompt.shown.count(PROMPT)
    prompt.does(line + ENTER, answer, count)
    at = prompt.shown.rindex(answer)
    prompt.terminal.read_until(lambda: PROMPT in prompt.shown[at:], f"the prompt after {line!r}, the {prompts + 1}th")


def ends_well(prompt: OnTerminal, keys: bytes = b"exit\r") -> None:
    prompt.terminal.type(keys)
    assert prompt.ends() == 0
    assert "Traceback" not in prompt.shown
    assert "Exception" not in prompt.shown


@pytest.mark.parametrize(("begin", "end"), [(b"\x1b[200~", b"\x1b[201~\r"), (b"", b"\r")], ids=["bracketed", "bare"])
def test_pasted_lines_are_a_command_each(prompt: OnTerminal, steady: Cluster, begin: bytes, end: bytes) -> None:
    name = begin[1:].decode().strip("~") + "paste"
    lines = f'put {name}1 1\nput {name}2 {{"op": "delete",\n"key": "{name}1"}}\nget {name}1'.encode()
    if not begin:
        lines = lines.replace(b",\n", b",")  # each of these is typed as one line
    prompt.does(begin + lines + end, "revision", 2)
    node = steady.leader()
    eventually(
        lambda: node.get(f"{name}2")["value"] == {"op": "delete", "key": f"{name}1"}, "the second is carried out"
    )
    assert node.get(f"{name}1")["value"] == 1
    enter(prompt, b"get 'not there'", "there is no key")
    ends_well(prompt)


def test_bytes_that_are_no_text_are_said_and_the_prompt_goes_on(prompt: OnTerminal, steady: Cluster) -> None:
    assert steady.leader().put("there", "still there")["ok"]
    for line in (b"get \xff\xfe", b"put there \xc3(", b'put there "\xed\xa0\x80"'):
        enter(prompt, line, "the line holds")
    enter(prompt, b"get there", '"still there"')
    ends_well(prompt)


def test_ctrl_c_breaks_off_what_hangs_and_leaving_waits_for_nothing(tmp_path: Path) -> None:
    with fake_nodes() as make:
        node = make(lambda request: {} if request["op"] == "ping" else None)  # the node is there, but does not answer
        with OnTerminal(program("shell"), environment(tmp_path, [node.address.port])) as prompt:
            prompt.shows(PROMPT)
            for asked, line in enumerate((b"put hanging 2", b"get hanging"), 1):
                prompt.terminal.type(line + ENTER)
                eventually(lambda line=line: line.decode().split()[0] in node.asked, "the node is asked")  # type: ignore[misc]
                enter(prompt, CTRL_C * asked, "not waited for any more")
                enter(prompt, b"help exit", "Leave the prompt")
            began = time.monotonic()
            ends_well(prompt)
            assert time.monotonic() - began < REPLY_SECONDS


def test_a_stopped_first_node_costs_the_prompt_a_moment(steady: Cluster, tmp_path: Path) -> None:
    first = steady.followers()[0]
    others = [node for node in steady.nodes if node is not first]
    first.pause()
    try:
        with OnTerminal(program("shell"), environment(tmp_path, ports([first, *others]))) as prompt:
            prompt.shows(PROMPT)
            enter(prompt, b"put first 1", "revision")
            enter(prompt, b"incr first 41", "42")
            ends_well(prompt)
    finally:
        first.resume()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_prompt_that_is_told_to_leave_leaves_the_terminal_as_it_was(prompt: OnTerminal, number: int) -> None:
    assert prompt.terminal.is_raw
    prompt.process.send_signal(number)
    eventually(lambda: prompt.process.poll() is not None, "it ends")
    assert not prompt.terminal.is_raw
    assert prompt.ends() == 128 + number
    assert "Traceback" not in prompt.shown
    assert prompt.terminal.sent.rindex(b"\x1b[?2004l") > prompt.terminal.sent.rindex(b"\x1b[?2004h")


def test_a_terminal_that_goes_away_ends_the_prompt(prompt: OnTerminal) -> None:
    prompt.terminal.hang_up()
    assert prompt.process.wait(20) == 128 + signal.SIGHUP


def test_a_terminal_that_goes_away_ends_a_prompt_that_is_not_told(steady: Cluster, tmp_path: Path) -> None:
    with Terminal() as terminal:
        process = subprocess.Popen(
            program("shell"),
            stdin=terminal.slave,
            stdout=terminal.slave,
            stderr=terminal.slave,
            env=environment(tmp_path, ports(steady.nodes)),
            start_new_session=True,  # without a terminal of its own
        )
        try:
            terminal.read_until(lambda: PROMPT.encode() in terminal.sent, "the prompt")
            terminal.close_slave()
            terminal.hang_up()
            assert process.wait(20) == 74
        finally:
            process.kill()
            process.wait()


def test_ctrl_c_before_the_program_is_loaded_ends_it_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with OnTerminal(program("get"), {**os.environ, "PYTHONPATH": path}) as loading:
        loading.does(b"", "loading")
        loading.terminal.type(CTRL_C)
        assert loading.ends() == -signal.SIGINT
        assert "Traceback" not in loading.shown
