"""The commands that wait for changes, with nodes that say what the test says: what is printed, run, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from trioraft_cli import watching

from ..helpers.fake_nodes import FakeNode, Make
from ..helpers.processes import eventually, is_full
from .conftest import Call

ODD = 'it\'s "quoted"\nand ☾'
CLOSED = {"event": "closed", "error": {"code": "compacted", "message": "too long ago"}, "at": 30}


def program(node: FakeNode, *words: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trioraft_cli", *words],
        env={**os.environ, "TRIORAFT_SERVERS": str(node.address)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def watched(fake: Make, *pushes: dict[str, Any], asked: list[dict[str, Any]] | None = None) -> FakeNode:
    """A node that sends these events to a watch."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] != "watch":
            return {}
        if asked is not None:
            asked.append(request)
        return {"waiting": True, "at": 10, "cluster": "c1", "pushes": [dict(push) for push in pushes]}

    return fake(answer)


EVENTS = (
    {"event": "put", "key": "a", "value": {"x": 1.50}, "rev": 12, "created": 12, "version": 1},
    {"event": "synced", "at": 12},
    {"event": "put", "key": ODD, "value": "☾", "rev": 15, "created": 12, "version": 1, "more": True},
    {"event": "delete", "key": "b", "rev": 15},
    {"event": "delete", "key": "c", "rev": 17, "by": "lease"},
    {"event": "progress", "at": 20},
)


def test_a_change_is_a_line_whatever_the_key(fake: Make, call: Call) -> None:
    code, out, err = call(watched(fake, *EVENTS, CLOSED), "watch")
    assert code == 4
    assert out.splitlines() == [
        '12  put  a  {"x": 1.5}',
        r'15  put  "it\'s \"quoted\"\nand ☾"  "\u263e"'.replace("\\'", "'"),
        "15  delete  b",
        "17  delete  c  (with its lease)",
    ]
    assert err == "trioraft: compacted: too long ago.\n"


def test_in_json_it_is_what_the_node_sent(fake: Make, call: Call) -> None:
    code, out, _ = call(watched(fake, *EVENTS, CLOSED), "watch", "-o", "json")
    assert code == 4
    shown = [{name: value for name, value in json.loads(line).items() if name != "id"} for line in out.splitlines()]
    assert shown == [*EVENTS[:5], CLOSED]


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["watch"], {"prefix": ""}),
        (["watch", "cfg/"], {"prefix": "cfg/"}),
        (["watch", "cfg", "--key"], {"key": "cfg"}),
        (["watch", "--initial"], {"prefix": "", "initial": True}),
        (["watch", "cfg/", "--after", "7"], {"prefix": "cfg/", "after_rev": 7}),
    ],
)
def test_what_is_asked(fake: Make, call: Call, words: list[str], fields: dict[str, Any]) -> None:
    asked: list[dict[str, Any]] = []
    call(watched(fake, CLOSED, asked=asked), *words)
    assert [
        {name: request[name] for name in request if name not in ("id", "op", "progress_ms")} for request in asked
    ] == [fields]


@pytest.mark.parametrize("words", [["watch", "--initial", "--after", "7"], ["watch", "a", "--"], ["watch", "a", "b"]])
def test_what_makes_no_sense_is_wrong_usage(fake: Make, call: Call, words: list[str]) -> None:
    assert call(fake(None), *words)[0] == 2


SHOW = 'import os, sys; print([os.environ.get(f"TRIORAFT_{n}") for n in ("EVENT", "KEY", "VALUE", "REV")], input())'


def test_a_command_is_run_at_each_change_with_the_change_in_its_hands(
    fake: Make, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LONGEST_VARIABLE", 50)
    for name in ("EVENT", "KEY", "VALUE", "REV"):
        monkeypatch.setenv(f"TRIORAFT_{name}", "of a watch around this one")
    long = {"event": "put", "key": "n\0ul", "value": "v" * 60, "rev": 19}
    node = watched(fake, *EVENTS[:4], long, CLOSED)
    code, out, err = call(node, "watch", "--", sys.executable, "-c", SHOW)
    assert code == 4
    shown = [line.rpartition("] ") for line in out.splitlines()]
    assert [eval(line[0] + "]") for line in shown] == [
        ["put", "a", '{"x": 1.5}', "12"],
        ["put", ODD, '"\\u263e"', "15"],
        ["delete", "b", None, "15"],
        ["put", None, None, "19"],
    ]
    assert [json.loads(line[2])["rev"] for line in shown] == [12, 15, 15, 19]
    assert err == "trioraft: compacted: too long ago.\n"


def test_a_command_that_fails_is_said_and_the_next_change_is_run(fake: Make, call: Call) -> None:
    code, out, err = call(watched(fake, *EVENTS[:4], CLOSED), "watch", "--", "sh", "-c", "echo run; exit 3")
    assert (code, out) == (4, "run\n" * 3)
    assert err.count("sh ended with 3 at revision") == 3


def test_a_command_that_does_not_exist_ends_the_watch(fake: Make, call: Call) -> None:
    code, _, err = call(watched(fake, *EVENTS), "watch", "--", "/no/such/command")
    assert (code, err) == (127, "trioraft: /no/such/command cannot be started: No such file or directory\n")


def test_a_watch_whose_reader_has_left_ends_without_a_word(fake: Make) -> None:
    with program(watched(fake, EVENTS[0]), "watch") as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 141
        assert process.stderr is not None
        assert process.stderr.read().strip() == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_watch_is_ended_by_a_signal(fake: Make, number: signal.Signals, code: int) -> None:
    with program(watched(fake, EVENTS[0]), "watch") as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(number)
        assert process.wait(20) == code
        assert process.stderr is not None
        assert process.stderr.read().strip() == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_watch_that_nobody_reads_is_ended_by_one_signal(fake: Make, number: signal.Signals, code: int) -> None:
    events = [{"event": "put", "key": "a", "value": "v" * 1000, "rev": 12 + i} for i in range(200)]
    with program(watched(fake, *events), "watch") as process:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        eventually(lambda: is_full(pipe), "the pipe is full")
        process.send_signal(number)
        assert process.wait(10) == code


def test_ctrl_c_ends_a_watch_once_its_command_has_ended(fake: Make) -> None:
    script = 'trap "echo told; exit 0" INT; echo run; while :; do sleep 0.1; done'
    with program(watched(fake, *EVENTS), "watch", "--", "sh", "-c", script, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "run\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "told\n"
        assert process.wait(20) == 130


def waits(fake: Make, asked: list[dict[str, Any]], **fields: Any) -> FakeNode:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "ping":
            return {}
        asked.append({name: value for name, value in request.items() if name not in ("id", "op")})
        return dict(fields)

    return fake(answer)


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ([], {"exists": True}),
        (["--exists"], {"exists": True}),
        (["--missing"], {"missing": True}),
        (["--value", "7"], {"value": 7}),
        (["--value", "seven"], {"value": "seven"}),
        (["--rev-above", "0"], {"rev_above": 0}),
        (["--timeout", "0"], {"exists": True, "wait_ms": 0}),
    ],
)
def test_a_wait_asks_for_its_condition(fake: Make, call: Call, words: list[str], fields: dict[str, Any]) -> None:
    asked: list[dict[str, Any]] = []
    node = waits(fake, asked, value=7, rev=3, at=9)
    assert call(node, "wait", ODD, *words) == (0, "" if "--missing" in words else "7\n", "")
    assert asked == [{"key": ODD, **fields}]


def test_a_wait_prints_what_held_later(fake: Make, call: Call) -> None:
    held = {"event": "held", "value": "two words", "rev": 7}
    node = waits(fake, [], waiting=True, pushes=[{"event": "progress", "at": 3}, held])
    assert call(node, "wait", "k", "--raw", "--timeout", "60") == (0, "two words\n", "")


def test_a_wait_whose_time_is_over_says_so(fake: Make, call: Call) -> None:
    closed = {"event": "closed", "error": {"code": "timeout", "message": "it did not hold in time"}}
    code, out, err = call(waits(fake, [], waiting=True, pushes=[closed]), "wait", "k", "--timeout", "1")
    assert (code, out, err) == (4, "", "trioraft: timeout: it did not hold in time.\n")


def test_a_wait_has_one_condition(fake: Make, call: Call) -> None:
    code, _, err = call(fake(None), "wait", "k", "--missing", "--rev-above", "3")
    assert code == 2
    assert "one condition at a time, and not 2 conditions" in err


def test_a_key_that_was_not_so_in_time_is_named(fake: Make, call: Call) -> None:
    refusal = {"code": "timeout", "message": "the key was not in that state within 'wait_ms'"}
    node = fake(lambda request: {} if request["op"] == "ping" else {"ok": False, "error": refusal})
    said = 'trioraft: timeout: the key "my key" was not so within 1 s.\n'
    assert call(node, "wait", "my key", "--timeout", "1") == (4, "", said)
