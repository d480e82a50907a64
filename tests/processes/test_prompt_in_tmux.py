"""The prompt in a real terminal: what is drawn while a line is typed, and Ctrl-C in each state."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..helpers.fake_nodes import Make
from ..helpers.processes import Cluster, Line, eventually
from ..helpers.tmux import Tmux, needs_tmux

PROMPT = "trioraft>"
CONTINUED = "       .."
Open = Callable[..., Tmux]

pytestmark = needs_tmux


@pytest.fixture
def opens(tmp_path: Path) -> Iterator[Open]:
    """Give a function that opens a prompt on nodes at these ports."""
    opened: list[Tmux] = []

    def open_(ports: list[int], rows: int = 24, columns: int = 80, **environment: str) -> Tmux:
        names = {"TRIORAFT_SERVERS": ",".join(f"127.0.0.1:{port}" for port in ports), "XDG_STATE_HOME": str(tmp_path)}
        program = [sys.executable, "-m", "trioraft_cli", "shell"]
        opened.append(Tmux(tmp_path, program, {**names, **environment}, rows, columns))
        opened[-1].shows(PROMPT)
        return opened[-1]

    yield open_
    for tmux in opened:
        tmux.__exit__()


def ports(cluster: Cluster) -> list[int]:
    return [node.port for node in cluster.nodes]


def enter(prompt: Tmux, line: str, *answers: str) -> None:
    """Clear the screen, type a line, and wait for its answers and the next prompt."""
    prompt.press("C-l")
    prompt.until(lambda seen: seen.startswith(f"{PROMPT}\n"), "an empty line on an empty screen")
    prompt.type(line)
    prompt.press("Enter")
    prompt.until(
        lambda seen: all(answer in seen for answer in answers) and seen.count(PROMPT) == 2, f"{answers} to {line!r}"
    )


def leaves(prompt: Tmux) -> None:
    prompt.press("C-d")
    assert prompt.ends() == 0
    assert "Traceback" not in prompt.screen("-S", "-")
    assert "internal error" not in prompt.screen("-S", "-")


@pytest.mark.slow
def test_a_key_with_quotes_that_is_completed_is_the_key_that_is_read_and_written(steady: Cluster, opens: Open) -> None:
    node = steady.leader()
    for key, value in (("it's", "told"), ('"q"', "said"), ("it", "other")):
        assert node.put(key, value)["ok"]
    prompt = opens(ports(steady))
    for typed, completed, value in (("get it'", "get it's", '"told"'), (r'get "\"', r'get "\"q\""', '"said"')):
        prompt.type(typed)
        prompt.press("Tab")
        prompt.shows(completed)
        prompt.press("Enter")
        prompt.shows(value)
    prompt.type("put it'")
    prompt.press("Tab")
    prompt.shows("put it's")
    prompt.type(" 7")
    prompt.press("Enter")
    prompt.shows("revision")
    assert (node.get("it's")["value"], node.get("it")["value"]) == (7, "other")
    leaves(prompt)


def test_what_is_drawn_while_a_line_is_typed(steady: Cluster, opens: Open) -> None:
    assert steady.leader().put("drawn/key", 7)["ok"]
    prompt = opens(ports(steady))
    prompt.shows("alive 3/3", "leader ", "commit ", " ms")
    assert prompt.screen().splitlines()[23].startswith(" node ")
    prompt.type("put drawn")
    prompt.shows("put drawn VALUE")
    assert "\x1b[1mput" in prompt.screen("-e")
    prompt.type("/")
    prompt.press("Tab")
    prompt.shows("put drawn/key")
    prompt.type(' {"a": [1')
    prompt.shows('{"a": [1')
    assert "[36m" in prompt.screen("-e")
    prompt.resize(50, 200)
    prompt.until(lambda seen: seen.splitlines()[49:50] != [] and "Tab completes" in seen.splitlines()[49], "the bar")
    prompt.press("Enter")
    prompt.shows(CONTINUED)
    prompt.type("]}")
    prompt.press("Enter")
    prompt.shows("revision")
    enter(prompt, "get drawn/key", '{"a": [1]}')
    prompt.press("C-r")
    prompt.type("drawn/k")
    prompt.shows("reverse-i-search", "get drawn/key")
    prompt.press("C-c")
    prompt.type("get")
    prompt.shows("get drawn/key")  # what the history suggests
    prompt.press("C-c")
    prompt.until(lambda seen: f"\n{PROMPT}\n" in seen, "the next prompt")
    leaves(prompt)


STATES: dict[str, tuple[list[str], str]] = {
    "typing": (["half a li"], "half a li"),
    "an open value": (['put k {"a":', "Enter"], CONTINUED),
    "searching": (["C-r", "zzz"], "i-search"),
    "a command that waits": (["wait no/such/key", "Enter"], "no/such/key\ntrioraft: waiting"),
    "a lock that is waited for": (["lock held", "Enter"], "lock held\ntrioraft: waiting"),
    "the pager": (["help", "Enter"], "\n:"),
    "a pipe": (["get k | cat; echo piped; sleep 60", "Enter"], "\npiped"),
    "a pipe that does not want to end": (["get k | trap '' INT; echo piped; sleep 60", "Enter"], "\npiped"),
    "a command into a pipe": (["wait no/such/key | cat", "Enter"], "| cat\ntrioraft: waiting"),
    "a repeated command": ([r"\watch 30 get k", "Enter"], '\n"v"'),
    "a paste half done": (["PASTE", "get k\nwait no/such/key\nget k", "Enter"], "no/such/key\ntrioraft: waiting"),
}


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_ctrl_c_ends_what_goes_on_and_the_next_command_works_at_once(steady: Cluster, opens: Open, state: str) -> None:
    with Line(steady.leader().port) as holder:
        holder.ask({"op": "put", "key": "k", "value": "v"})
        lease = holder.ask({"op": "lease_grant", "ttl_ms": 60_000})["lease"]
        holder.ask({"op": "lock", "name": "held", "lease": lease})
        prompt = opens(ports(steady))
        keys, shown = STATES[state]
        for key in keys:
            if "\n" in key:
                prompt.paste(key)
            elif key in ("Enter", "C-r"):
                prompt.press(key)
            elif key != "PASTE":
                prompt.type(key)
        prompt.until(lambda seen: shown in seen, shown)
        prompt.press("C-c")
        prompt.until(lambda seen: seen.rstrip().splitlines()[-1].startswith(" node "), "the bar, and so the prompt")
        if state == "a paste half done":
            prompt.shows("not carried out: 1 more")
        enter(prompt, "get k", '"v"')
        leaves(prompt)
        holder.ask({"op": "lease_revoke", "lease": lease})


@pytest.mark.slow
def test_ctrl_c_and_typing_go_on_while_keys_are_asked_for_in_vain(fake: Make, opens: Open) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any] | None:
        return {"ping": {}, "get": {"value": 7, "version": 1, "rev": 1}}.get(request["op"])

    node = fake(answer)
    prompt = opens([node.address.port])
    prompt.type("get ")
    prompt.press("Tab")
    eventually(lambda: "scan" in node.asked, "the node is asked for keys")
    prompt.press("C-c")
    prompt.until(lambda seen: seen.count(PROMPT) == 2, "the next prompt")
    prompt.shows("no node answers")
    prompt.type("get k")
    prompt.press("Enter")
    prompt.until(lambda seen: "\n7\n" in seen, "the answer")
    leaves(prompt)


@pytest.mark.slow
def test_a_leader_that_dies_while_a_line_is_typed_is_told_once_above_it(cluster: Cluster, opens: Open) -> None:
    prompt = opens(ports(cluster))
    prompt.shows("alive 3/3")
    prompt.type("put failed")
    dead = cluster.leader()
    dead.kill()
    prompt.shows("alive 2/3", "leads now", "put failed")
    prompt.type(" over")
    prompt.press("Enter")
    prompt.shows("revision")
    enter(prompt, "get failed", '"over"')
    assert prompt.screen("-S", "-").count("leads now") == 1
    leaves(prompt)


@pytest.mark.slow
def test_a_paste_of_a_thousand_lines_is_a_thousand_commands(steady: Cluster, opens: Open) -> None:
    prompt = opens(ports(steady))
    prompt.paste("".join(f"put pasted/{number} {number}\n" for number in range(1000)))
    prompt.press("Enter")
    prompt.until(lambda seen: "put pasted/999 999\nrevision" in seen, "the last is carried out")
    enter(prompt, "get pasted/999", "999")
    assert len([key for key in steady.leader().everything() if key.startswith("pasted/")]) == 1000
    leaves(prompt)


@pytest.mark.slow
def test_events_are_shown_above_the_line_that_is_typed_and_not_into_the_pager(steady: Cluster, opens: Open) -> None:
    prompt = opens(ports(steady))
    enter(prompt, "watch seen/", "until Ctrl-C")
    prompt.type("get half")
    prompt.shows("get half")
    assert steady.leader().put("seen/1", 1)["ok"]
    seen = prompt.shows("put  seen/1  1", f"{PROMPT} get half")
    assert seen.index("seen/1") < seen.index("get half")
    prompt.press("C-u")
    prompt.type("help")
    prompt.press("Enter")
    prompt.shows("\n:")
    assert steady.leader().put("seen/2", 2)["ok"]
    assert "seen/2" not in prompt.screen()
    prompt.press("q")
    prompt.shows("put  seen/2  2")
    leaves(prompt)


@pytest.mark.slow
def test_a_dumb_terminal_gets_plain_lines(steady: Cluster, opens: Open) -> None:
    prompt = opens(ports(steady), TERM="dumb")
    for keys in ('put dumb {"a":', "1.50}"):
        prompt.type(keys)
        prompt.press("Enter")
    prompt.shows("revision")
    prompt.type("half")
    prompt.press("C-c")
    prompt.type("get dumb")
    prompt.press("Enter")
    prompt.until(lambda seen: '\n{"a": 1.50}\n' in seen, "the value")
    prompt.type("help")
    prompt.press("Enter")
    prompt.shows("A line that begins with #")  # the end of it: there is no pager
    assert "alive" not in prompt.screen()
    assert "\x1b" not in prompt.screen("-e")
    leaves(prompt)


@pytest.mark.slow
def test_other_letters_are_typed_and_shown_in_the_locale_c(steady: Cluster, opens: Open) -> None:
    prompt = opens(ports(steady), LC_ALL="C")
    enter(prompt, 'put "ü" "日本"', "revision")
    enter(prompt, "get ü", "")
    assert steady.leader().get("ü")["value"] == "日本"
    leaves(prompt)


@pytest.mark.slow
def test_a_tiny_window_is_enough_to_work_in(steady: Cluster, opens: Open) -> None:
    prompt = opens(ports(steady), 5, 20)
    prompt.shows("leader")
    prompt.type('put tiny {"a":')
    prompt.press("Enter")
    prompt.type("1}")
    prompt.press("Enter")
    prompt.shows("revision")
    prompt.type("get t")
    prompt.press("Tab")
    prompt.shows("get tiny")
    prompt.press("Enter")
    prompt.shows('{"a":')
    leaves(prompt)


@pytest.mark.slow
@pytest.mark.parametrize("typed", ["", "help", "get k | sleep 60", r"\watch 1 get k", "wait no/such/key"])
def test_a_window_that_is_closed_ends_the_prompt_whatever_goes_on(steady: Cluster, opens: Open, typed: str) -> None:
    prompt = opens(ports(steady))
    process = prompt.process
    if typed:
        prompt.type(typed)
        prompt.press("Enter")
        prompt.until(lambda seen: not seen.rstrip().splitlines()[-1].startswith(" node "), "it is carried out")
    prompt.tell("kill-window")
    eventually(lambda: not os.path.exists(f"/proc/{process}"), "it ends")
