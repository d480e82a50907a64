"""How `check` prints its findings, and how it ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from trioraft_cli import main
from trioraft_cli.checking import inquiry, run
from trioraft_cli.outcomes import NO_NODE, NOT_NOW

from ..helpers.fake_nodes import FakeNode, Make


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for silent addresses, and for the second look, a moment only."""
    monkeypatch.setattr(inquiry, "REPLY_SECONDS", 0.2)
    monkeypatch.setattr(run, "SECOND_LOOK_SECONDS", 0.0)
    monkeypatch.delenv("TRIORAFT_SERVERS", raising=False)


def alone(fake: Make, other: str = "") -> FakeNode:
    """Make a leader, of itself alone or with another voter, which it hears no more."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        members = [{"id": 0, "address": str(node.address), "role": "voter", "folder": "f"}]
        live = {0: True}
        if other:
            members.append({"id": 1, "address": other, "role": "voter", "folder": "g"})
            live[1] = False
        indexes = {"commit_index": 5, "last_applied": 5, "last_index": 5}
        status = {"node": 0, "role": "leader", "term": 2, "leader": 0, **indexes, "cluster": "c", "folder": "f"}
        rows = [{**member, "live": live[int(str(member["id"]))]} for member in members]
        told: dict[str, dict[str, Any]] = {
            "hello": {"version": "1"},
            "status": {**status, "members": members},
            "members": {"members": rows, "next_id": len(rows), "voters": len(rows), "can_lose": 0},
        }
        return dict(told.get(request["op"], {}))

    node = fake(answer)
    return node


def check(*words: str) -> Any:
    return main.cli.main(["check", *words], prog_name="trioraft", standalone_mode=False)


GONE = "127.0.0.1:1"


def test_all_is_well(fake: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--connect", str(alone(fake).address)) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "ok: 1 node, node 0 leads in term 2, can lose 0 of 1"
    assert rest[0].startswith("remark: one node votes")


def test_the_steps_stand_below_their_finding(fake: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    servers = tmp_path / "my list.txt"
    servers.write_text(f"{alone(fake, GONE).address}\n{GONE}\n")
    assert check("--servers", str(servers)) == NOT_NOW
    first, start, command, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(f"down: node 1 at {GONE} does not run: nobody listens there. 1 of 2 voters is there")
    assert start == f"    start node 1 at {GONE}, on its machine, as it was started before:"
    assert command == f"    $ trioraft node 1 '{servers}'"


def test_each_finding_is_a_line_of_json(fake: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("-o", "json", "--connect", str(alone(fake, GONE).address)) == NOT_NOW
    lines = capsys.readouterr().out.splitlines()
    found = json.loads(lines[0])
    assert list(found) == ["code", "severity", "nodes", "message", "steps"]
    assert (found["code"], found["severity"], found["nodes"]) == ("not_running", "down", [1])
    assert list(found["steps"][0]) == ["do", "command"]


def test_no_node(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--connect", GONE) == NO_NODE
    assert capsys.readouterr().out.startswith(f"down: the node at {GONE} does not run")


def test_the_severity_is_coloured_where_that_is_wanted(
    fake: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert check("--connect", str(alone(fake).address)) == 0
    assert capsys.readouterr().out.startswith("\x1b[32mok\x1b[0m: ")


def test_a_list_from_a_pipe_is_read_once(fake: Make, capsys: pytest.CaptureFixture[str]) -> None:
    end, into = os.pipe()
    os.write(into, f"{alone(fake).address}\n".encode())
    os.close(into)
    assert check("--servers", f"/dev/fd/{end}") == 0
    os.close(end)
    assert capsys.readouterr().out.startswith("ok: 1 node")


def test_what_a_stranger_says_moves_no_cursor(fake: Make, capsys: pytest.CaptureFixture[str]) -> None:
    node = fake(lambda _: {"ok": False, "error": {"code": "internal", "message": "\x1b[2J\n"}})
    assert check("--connect", str(node.address)) == NO_NODE
    assert "\x1b" not in capsys.readouterr().out
