"""The command pipe, between a standard input and nodes of the test: what reaches them, and what is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from trioraft_cli import outcomes, pipe
from trioraft_cli.main import command_line
from trioraft_cli.outcomes import conclude

from trioraft.client import attempts

from ..helpers.fake_nodes import FakeNode, Make
from .conftest import Call

Piped = Callable[..., tuple[int, list[Any], str]]
"""Pipes lines to nodes: the exit code, the lines that were printed, and what was said."""
WAITING = {"waiting": True, "at": 3, "cluster": "c"}


@pytest.fixture
def piped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Piped:
    def act(nodes: Sequence[FakeNode], *lines: object, options: Sequence[str] = ()) -> tuple[int, list[Any], str]:
        texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        (tmp_path / "requests").write_bytes(b"\n".join(texts))
        with (tmp_path / "requests").open() as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            where = [word for node in nodes for word in ("--connect", str(node.address))]
            monkeypatch.setattr("sys.argv", ["trioraft", "pipe", *where, *options])
            code = conclude(command_line)
        out, err = capfd.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return act


def get(number: int) -> dict[str, Any]:
    return {"op": "get", "key": "k", "id": number}


def put(number: int) -> dict[str, Any]:
    return {"op": "put", "key": "k", "value": 1, "id": number}


def errors(lines: Sequence[Any]) -> list[str | None]:
    return [line.get("error", {}).get("code") for line in lines]


def test_replies_come_in_the_order_of_the_requests(fake: Make, piped: Piped) -> None:
    node = fake(lambda _: {"rev": 4})
    code, out, err = piped([node], *(get(number) for number in range(2000)), b"", b"\r", put(2000))
    assert (code, err) == (0, "")
    assert [line["id"] for line in out] == list(range(2001))
    assert node.asked[-1] == "put"


def test_nothing_is_asked_where_there_is_nothing_to_ask(fake: Make, piped: Piped) -> None:
    node = fake(lambda _: {})
    assert piped([node]) == (0, [], "")
    assert node.asked == []


def test_what_cannot_be_read_is_answered_in_its_place_and_the_rest_is_done(fake: Make, piped: Piped) -> None:
    code, out, err = piped([fake(lambda _: {})], get(1), b"get k", b"\xff", get(2))
    assert (code, err, errors(out)) == (outcomes.USAGE, "", [None, "bad_json", "bad_json", None])


def test_the_exit_code_is_that_of_the_first_error(fake: Make, piped: Piped) -> None:
    conflict = {"ok": False, "error": {"code": "conflict", "message": "no", "applied": "no"}}
    node = fake(lambda request: conflict if request["op"] == "put" else {})
    assert piped([node], get(1), put(2), b"bad")[0] == outcomes.NO


def test_a_line_that_no_node_takes_is_answered_and_the_next_is_read(
    fake: Make, piped: Piped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "MOST_READ", 1000)
    monkeypatch.setattr(pipe, "CHUNK_BYTES", 300)
    node = fake(lambda _: {})
    for size in (940, *range(955, 964), 1200, 1500, 20_000):
        line = json.dumps({**put(1), "value": "x" * size}).encode()
        code, out, _ = piped([node], get(0), line, get(2))
        is_long = len(line) > 1000
        assert errors(out) == [None, "line_too_long" if is_long else None, None], len(line)
        assert code == (outcomes.USAGE if is_long else 0)


def test_when_a_node_dies_the_next_one_is_asked(fake: Make, piped: Piped) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any] | None:
        if request["op"] == "put":
            dying.go_away()
        return None if request["op"] == "put" else {}

    dying, other = fake(answer), fake(lambda _: {})
    code, out, err = piped([dying, other], get(0), put(1), get(2), {**put(3), "client": "c", "seq": 1})
    assert (code, errors(out)) == (outcomes.UNKNOWN, [None, "lost", None, None])
    assert out[1]["error"]["applied"] == "unknown"
    assert [op for op in other.asked if op != "ping"] == ["get", "put"]
    assert f"{dying.address} is lost" in err


def test_a_node_that_falls_silent_is_left(fake: Make, piped: Piped, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pipe, attempts):
        monkeypatch.setattr(module, "SILENCE_SECONDS", 0.1)
    heard: list[str] = []

    def answer(request: dict[str, Any]) -> dict[str, Any] | None:
        heard.append(request["op"])
        return None if "get" in heard else {}

    code, out, err = piped([fake(answer), fake(lambda _: {})], get(0), get(1))
    assert (code, errors(out)) == (0, [None, None])
    assert "timed out" in err


def test_where_no_node_can_be_reached_each_request_is_told_so(fake: Make, piped: Piped) -> None:
    node = fake(lambda _: {})
    node.go_away()
    requests = [(get if number % 2 else put)(number) for number in range(2500)]
    code, out, err = piped([node], *requests, options=["--retry", "0.1"])
    assert code == outcomes.NO_NODE
    assert [(line["id"], line["error"]["code"]) for line in out] == [(number, "no_node") for number in range(2500)]
    assert {line["error"].get("applied") for line in out} == {None, "no"}
    assert err.count("no node can be reached") == 1


@pytest.mark.parametrize(("request_", "code"), [(put(1), outcomes.UNKNOWN), (get(1), outcomes.NOT_NOW)])
def test_when_the_time_is_over_what_is_open_is_answered(
    fake: Make, piped: Piped, request_: dict[str, Any], code: int
) -> None:
    node = fake(lambda request: {} if request["op"] == "ping" or request["id"] == 0 else None)
    ended, out, err = piped([node], get(0), request_, options=["--timeout", "0.3"])
    assert (ended, errors(out), err) == (code, [None, "no_node"], "trioraft: the time is over\n")


def test_a_watch_goes_on_at_another_node_and_its_cancel_ends_it(fake: Make, piped: Piped) -> None:
    def event(revision: int) -> dict[str, Any]:
        return {"event": "put", "key": "k", "value": 1, "rev": revision, "created": 1, "version": 1}

    def dying(request: dict[str, Any]) -> dict[str, Any] | None:
        if request["op"] == "get":
            first.go_away()
            return None
        return {**WAITING, "pushes": [event(4), event(5)]} if request["op"] == "watch" else {}

    def living(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "watch":
            assert (request["after_rev"], request["cluster"]) == (5, "c")
            return {**WAITING, "at": 5, "pushes": [event(6)]}
        return {}

    first, second = fake(dying), fake(living)
    watch, cancel = {"op": "watch", "prefix": "", "id": "w"}, {"op": "cancel", "request": "w", "id": 2}
    code, out, _ = piped([first, second], watch, get(1), cancel)
    assert code == 0
    assert [line["rev"] for line in out if "event" in line] == [4, 5, 6]
    assert [line["id"] for line in out if "ok" in line] == ["w", 1, 2]


def test_a_node_that_was_silent_is_asked_first_whether_it_is_there(
    fake: Make, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "FRESH_SECONDS", 0.02)
    reading, writing = os.pipe()

    def write_again() -> None:
        os.write(writing, line)
        os.close(writing)

    later = threading.Timer(0.1, write_again)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "put" and not later.ident:
            later.start()
        return {}

    line = json.dumps(put(1)).encode() + b"\n"
    node = fake(answer)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        os.write(writing, line)
        assert call(node, "pipe")[0] == 0
    later.join()
    assert node.asked[:3] == ["ping", "put", "ping"]
    assert node.asked[-1] == "put"


def test_the_end_of_the_time_loses_no_reply_to_a_reader_that_stalls(fake: Make) -> None:
    node = fake(lambda _: {"value": "x" * 500})
    command = [sys.executable, "-m", "trioraft_cli", "pipe", "--connect", str(node.address), "--timeout", "2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"".join(json.dumps(get(number)).encode() + b"\n" for number in range(900)))
        process.stdin.flush()
        while "get" not in node.asked:
            time.sleep(0.01)
        time.sleep(2.3)  # the time is over, and the reader is waited for one second more
        lines = process.stdout.read().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    assert len(lines) - len(whole) <= 1
    assert [json.loads(line)["id"] for line in whole] == list(range(len(whole)))
    assert process.returncode == outcomes.NOT_NOW
