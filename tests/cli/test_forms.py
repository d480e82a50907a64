"""Each command in each form: what stands on standard output with -o json, plain and table, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import click
import pytest
from trioraft_cli.main import cli

from ..helpers.fake_nodes import Make
from .conftest import Call

STATE: Final = {"value": {"a": 1}, "rev": 3, "created": 3, "version": 1, "at": 3}
MEMBERS: Final = [{"id": 0, "address": "h:1", "role": "voter", "match_index": 3, "live": True, "leader": True}]
STATUS: Final = {
    "node": 0,
    "role": "leader",
    "term": 1,
    "leader": 0,
    "leader_address": None,
    "commit_index": 3,
    "last_applied": 3,
    "first_index": 1,
    "last_index": 3,
    "at": 3,
    "members": MEMBERS,
}
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "get": STATE,
    "put": {"rev": 4},
    "delete": {"deleted": 1, "rev": 5, "more": False},
    "scan": {"items": [{"key": "a", "value": 1, "rev": 3, "created": 3, "version": 1}], "more": False, "at": 3},
    "incr": {"value": 2, "rev": 4},
    "txn": {"succeeded": True, "results": [STATE, {"rev": 6}], "rev": 6, "at": 6},
    "status": STATUS,
    "show_log": {
        "entries": [{"index": 1, "term": 1, "command": None, "committed": True, "applied": True}],
        "more": False,
    },
    "members": {"members": MEMBERS, "next_id": 1, "voters": 1, "can_lose": 0},
    "add_member": {"member": {"id": 1, "address": "h:2", "role": "learner"}},
    "transfer_leadership": {"leader": 0, "term": 1},
    "snapshot": {"index": 3, "keys": 1, "bytes": 10},
    "lease_grant": {"lease": 41},
    "lease_keepalive": {"expired": []},
    "lease_revoke": {"deleted": 0, "rev": 0},
    "leases": {"leases": [{"lease": 41, "ttl_ms": 10_000, "remaining_ms": 9000, "keys": 1}], "more": False, "at": 3},
    "lock": {"fence": 42},
    "unlock": {"rev": 7},
    "locks": {"locks": [{"name": "l", "lease": 41, "fence": 42, "waiters": 0}], "more": False, "at": 3},
    "wait": STATE,
    "watch": {
        "waiting": True,
        "at": 3,
        "cluster": "c",
        "pushes": [{"event": "put", "key": "k", **STATE}, {"event": "delete", "key": "k", "rev": 5}],
    },
}
TYPED: Final = {
    "get": "get k",
    "put": "put k 1",
    "delete": "delete k",
    "scan": "scan",
    "incr": "incr k",
    "txn": "txn -- get k , put k 1",
    "status": "status",
    "show-log": "show-log",
    "members": "members",
    "members add": "members add h:2",
    "members remove": "members remove 0",
    "members promote": "members promote 0",
    "transfer": "transfer",
    "snapshot": "snapshot",
    "lease grant": "lease grant",
    "lease keepalive": "lease keepalive 41",
    "lease revoke": "lease revoke 41",
    "lease list": "lease list",
    "lock": "lock l -- true",
    "lead": "lead l -- true",
    "unlock": "unlock l 41",
    "locks": "locks",
    "wait": "wait k",
    "watch": "watch --timeout 0.2",
}
OTHERS: Final = {
    "members apply": "its steps are changes of a cluster",
    "backup": "it needs a snapshot to save",
    "sim": "it asks no cluster",
    "fault": "it asks each node for itself",
    "top": "it shows a screen",
    "check": "it asks every node for several things",
    "bench": "it loads a cluster",
}
"""The commands that have tests of their own, and why."""
REFUSAL: Final = {"code": "needs_upgrade", "message": "too old", "applied": "no"}


def with_options(name: str, *options: str) -> list[str]:
    """The words of that command, with options behind its name."""
    words, place = TYPED[name].split(), len(name.split())
    return [*words[:place], *options, *words[place:]]


def printing(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if any(param.name == "output" for param in command.params):
            yield f"{before}{name}"
        if isinstance(command, click.Group):
            yield from printing(command, f"{before}{name} ")


def test_every_command_that_prints_is_here() -> None:
    assert {name for name in printing(cli) if name not in OTHERS and name.split()[0] not in OTHERS} == set(TYPED)


def test_every_command_that_asks_has_the_same_options() -> None:
    def walk(group: click.Group) -> Iterator[click.Command]:
        for command in group.commands.values():
            yield command
            if isinstance(command, click.Group):
                yield from walk(command)

    for command in walk(cli):
        names = {param.name for param in command.params}
        if "connect" in names and command.name != "shell":
            assert {"servers", "timeout", "retry"} <= names, command.name


@pytest.mark.parametrize("name", TYPED)
def test_each_form_is_what_it_says(fake: Make, call: Call, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        fields = json.dumps(ANSWERS.get(request["op"], {})).replace("h:1", str(node.address))
        return dict(json.loads(fields))

    node = fake(answer)

    def run(*options: str) -> str:
        code, out, err = call(node, *with_options(name, *options))
        assert (code, err) == (0, ""), err
        return out

    usual, plain, text, table = run(), run("-o", "plain"), run("-o", "text"), run("-o", "table")
    as_json = run("-o", "json")
    assert usual == plain == text
    for line in as_json.splitlines():
        fields = json.loads(line)
        assert fields.get("ok") is True or "event" in fields
    assert as_json
    assert "\x1b" not in plain + table
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run() == table
    assert run("-o", "plain") == plain


@pytest.mark.parametrize("name", [name for name in TYPED if name not in ("status", "lead")])
@pytest.mark.parametrize("form", ["json", "plain", "table"])
def test_a_refusal_is_said_and_with_json_it_is_printed_too(fake: Make, call: Call, name: str, form: str) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] in ("ping", "lease_grant", "lease_revoke") and name not in ("lease grant", "lease revoke"):
            return {"lease": 41}
        return {} if request["op"] == "ping" else {"ok": False, "error": REFUSAL}

    code, out, err = call(fake(answer), *with_options(name, "-o", form))
    assert code == 4
    if form == "json":
        assert json.loads(out)["error"] == REFUSAL
        assert err == ""
    else:
        assert (out, err) == ("", "trioraft: needs_upgrade: too old. It was not applied.\n")


@pytest.mark.parametrize("words", ["get k", "wait k", "txn -- get k"])
def test_a_string_is_printed_as_it_is_where_that_is_asked_for(fake: Make, call: Call, words: str) -> None:
    state = {**STATE, "value": 'é"\n\x7f'}
    node = fake(lambda _: {**state, "rev": 0, "succeeded": True, "results": [state]})
    name, *rest = words.split()
    for form in ("plain", "table", "text"):
        assert call(node, name, "--raw", "-o", form, *rest)[:2] == (0, 'é"\n\x7f\n')
