"""Locks, leases, transactions and writes applied once, with nodes that say what the test says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ..helpers.fake_nodes import FakeNode, Make
from ..helpers.processes import is_running
from .conftest import Call

PATIENCE = 20.0


class Answers:
    """What a node answers, by operation, and what it was asked."""

    def __init__(self, **replies: Any) -> None:
        self.replies = {"lease_grant": {"lease": 41}, "lock": {"fence": 42}, **replies}
        self.asked: list[dict[str, Any]] = []
        self.is_expired = False
        self.is_unlocked = False
        self.kept = threading.Event()

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "ping":
            return {}
        if request["op"] == "lease_keepalive" and "lease" in request:
            self.kept.set()
            return error("lease_expired") if self.is_expired else {}
        if any("fence" in check for check in request.get("checks", ())):
            return {"succeeded": not self.is_unlocked, "results": [], "rev": 0, "at": 60}
        self.asked.append({name: value for name, value in request.items() if name != "id"})
        reply = self.replies.get(request["op"], {})
        return dict(reply.pop(0) if isinstance(reply, list) else reply)

    @property
    def ops(self) -> list[str]:
        return [request["op"] for request in self.asked]


def error(code: str, applied: str | None = None) -> dict[str, Any]:
    return {"ok": False, "error": {"code": code, "message": "it failed", "applied": applied}}


def program(node: FakeNode, *words: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trioraft_cli", *words],
        env={**os.environ, "TRIORAFT_SERVERS": str(node.address)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


SHOW = "echo $TRIORAFT_LOCK $TRIORAFT_FENCE $TRIORAFT_LEASE; exit 7"


def test_a_command_runs_under_a_lock_and_its_exit_code_is_passed_on(fake: Make, call: Call) -> None:
    answers = Answers()
    assert call(fake(answers), "lock", "it's", "--ttl", "3", "--", "sh", "-c", SHOW) == (7, "it's 42 41\n", "")
    assert answers.asked == [
        {"op": "lease_grant", "ttl_ms": 3000},
        {"op": "lock", "name": "it's", "lease": 41},
        {"op": "lease_revoke", "lease": 41},
    ]


def test_a_lock_is_waited_for(fake: Make, call: Call) -> None:
    waiting = {"waiting": True, "ahead": 1, "pushes": [{"event": "locked", "fence": 50}]}
    answers = Answers(lock=waiting)
    assert call(fake(answers), "lock", "l", "--timeout", "60", "--", "sh", "-c", SHOW)[:2] == (7, "l 50 41\n")
    assert 50_000 < answers.asked[1]["wait_ms"] <= 60_000


def test_on_a_terminal_it_says_that_it_waits_and_behind_how_many(
    fake: Make, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    waiting = {"waiting": True, "ahead": 2, "pushes": [{"event": "locked", "fence": 50}]}
    said = call(fake(Answers(lock=waiting)), "lock", "l", "--", "true")
    assert said == (0, "", "trioraft: waiting: 2 ahead, with the one that holds it\n")


@pytest.mark.parametrize(("code", "applied", "exit_code"), [("timeout", "no", 4), ("lease_expired", "no", 1)])
def test_a_lock_that_cannot_be_had_runs_nothing(
    fake: Make, call: Call, code: str, applied: str, exit_code: int
) -> None:
    answers = Answers(lock=error(code, applied))
    assert call(fake(answers), "lock", "l", "--timeout", "0", "--", "echo", "run")[:2] == (exit_code, "")
    assert answers.asked[1]["wait_ms"] == 0
    assert answers.ops[-1] == "lease_revoke"


@pytest.mark.parametrize(
    ("happened", "why"),
    [("is_expired", "its lease was revoked"), ("is_unlocked", "it was unlocked by somebody else")],
)
def test_a_command_whose_lock_is_lost_is_ended_with_all_that_it_started(fake: Make, happened: str, why: str) -> None:
    answers = Answers()
    script = "(trap '' TERM; while :; do sleep 0.1; done) & echo $!; wait"
    with program(fake(answers), "lock", "l", "--ttl", "3", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        started = int(process.stdout.readline())
        assert answers.kept.wait(PATIENCE)
        setattr(answers, happened, True)
        assert process.wait(PATIENCE) == 1
        assert not is_running(started)
        assert process.stderr is not None
        assert process.stderr.read() == f"trioraft: the lock l is lost: {why}\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_without_a_command_it_is_held_until_a_signal_and_given_back(
    fake: Make, number: signal.Signals, code: int
) -> None:
    answers = Answers()
    with program(fake(answers), "lock", "l", "--ttl", "1") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "fence 42, lease 41\n"
        assert process.stderr.readline() == "trioraft: the lock l is held until Ctrl-C\n"
        assert answers.kept.wait(PATIENCE)
        process.send_signal(number)
        assert process.wait(PATIENCE) == code
        assert process.stderr.read().strip() == ""
    assert answers.ops == ["lease_grant", "lock", "lease_revoke"]


def test_ctrl_c_while_a_lock_is_waited_for_leaves_no_place_behind(fake: Make) -> None:
    waiting = threading.Event()

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "lock":
            waiting.set()
        return answers(request)

    answers = Answers(lock={"waiting": True, "ahead": 3})
    with program(fake(answer), "lock", "l", "--", "echo", "run") as process:
        assert waiting.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stdout is not None
        assert process.stdout.read() == ""
        assert process.stderr is not None
        assert "may have been applied" not in process.stderr.read()
    assert answers.ops[-1] == "lease_revoke"


@pytest.mark.parametrize(
    ("timeout", "hint", "said"),
    [
        ("0", "try again, or give wait_ms", "another holds the lock l. It was not applied. (try again, or wait with "),
        ("1.5", "not had within 'wait_ms'", "the lock l was not to be had within 1.5 s. It was not applied."),
    ],
)
def test_a_lock_that_was_not_had_is_named(fake: Make, call: Call, timeout: str, hint: str, said: str) -> None:
    refusal = {"code": "timeout", "message": "held", "hint": hint, "applied": "no"}
    node = fake(Answers(lock={"ok": False, "error": refusal}))
    code, _, err = call(node, "lock", "l", "--timeout", timeout, "--", "true")
    assert (code, err[: len(said) + 19]) == (4, f"trioraft: timeout: {said}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lock", "l", "echo", "hi"], "unexpected extra arguments (echo hi): a command stands behind a '--'"),
        (["lock", "l", "sh", "-c", "x"], "a command stands behind a '--'"),
        (["watch", "k", "sh", "-c", "x"], "a command stands behind a '--'"),
        (["txn", "put", "n", "-x"], "operations stand behind a '--'"),
        (["watch", "--key"], "--key needs a whole key"),
        (["put", "k", "1", "--lock", "l"], "--lock NAME and --fence FENCE go together"),
        (["incr", "k", "--fence", "42"], "--lock NAME and --fence FENCE go together"),
    ],
)
def test_what_lacks_is_named(fake: Make, call: Call, words: list[str], said: str) -> None:
    node = fake(None)
    code, _, err = call(node, *words)
    assert (code, node.asked) == (2, [])
    assert said in err


def test_a_hint_has_the_words_of_the_command_line(fake: Make, call: Call) -> None:
    refusal = {"code": "lease_expired", "message": "lease 9 has ended", "hint": "grant another with lease_grant"}
    node = fake(Answers(put={"ok": False, "error": refusal}))
    said = "trioraft: lease_expired: lease 9 has ended. (grant another with 'lease grant')\n"
    assert call(node, "put", "k", "1", "--lease", "9") == (1, "", said)


def test_the_operation_that_cannot_be_done_is_named(fake: Make, call: Call) -> None:
    node = fake(Answers(txn={**error("conflict", "no"), "failed": 1}))
    _, _, err = call(node, "txn", "--", "put", "a", "1", ",", "incr", "b")
    assert err == "trioraft: conflict: operation 2 cannot be done: it failed. It was not applied.\n"


def test_a_transaction_from_standard_input_is_called_so(fake: Make) -> None:
    with program(fake(None), "txn", "--file", "-", stdin=subprocess.PIPE) as process:
        _, err = process.communicate("{", PATIENCE)
        assert process.returncode == 2
        assert "trioraft: standard input holds no transaction in JSON" in err


def test_a_command_that_does_not_exist_holds_no_lock(fake: Make, call: Call) -> None:
    answers = Answers()
    assert call(fake(answers), "lock", "l", "--", "/no/such/command")[0] == 127
    assert answers.ops[-1] == "lease_revoke"


def test_unlock_needs_to_know_whose(fake: Make, call: Call) -> None:
    answers = Answers(unlock={"rev": 60})
    assert call(fake(answers), "unlock", "l")[0] == 2
    assert call(fake(answers), "unlock", "l", "41", "--fence", "42") == (0, "", "")
    assert answers.asked == [{"op": "unlock", "name": "l", "lease": 41, "fence": 42}]


def test_unlock_says_that_the_lease_did_not_hold_the_lock(fake: Make, call: Call) -> None:
    node = fake(Answers(unlock={"rev": 0}))
    said = "trioraft: the lock l was not held by the lease 41{}: 'locks' shows who holds it\n"
    assert call(node, "unlock", "l", "41") == (0, "", said.format(""))
    assert call(node, "unlock", "l", "41", "--fence", "42") == (0, "", said.format(" under the fence 42"))


def test_the_locks_and_leases_are_tables_that_go_on(fake: Make, call: Call) -> None:
    locks = [{"name": "two words", "lease": 41, "fence": 42, "waiters": 0}]
    leases = [{"lease": 41, "ttl_ms": 10_000, "remaining_ms": 8_240, "keys": 3}]
    node = fake(Answers(locks={"locks": locks, "more": True}, leases={"leases": leases, "more": False}))
    code, out, err = call(node, "locks", "--limit", "1")
    assert (code, [line.split("  ") for line in out.splitlines()][1][0]) == (0, '"two words"')
    assert "go on with --after 'two words'" in err
    code, out, err = call(node, "lease", "list")
    assert (code, out.splitlines()[1].split(), err) == (0, ["41", "10.0", "s", "8.2", "s", "3"], "")


def test_leases_are_granted_kept_and_revoked(fake: Make, call: Call) -> None:
    answers = Answers(lease_keepalive=[{"expired": []}, {"expired": [42]}])
    node = fake(answers)
    assert call(node, "lease", "grant", "--ttl", "1.5") == (0, "41\n", "")
    assert call(node, "lease", "keepalive", "41") == (0, "", "")
    assert call(node, "lease", "keepalive", "41", "42") == (1, "", "trioraft: the lease 42 has ended, or never was\n")
    assert call(node, "lease", "revoke", "41") == (0, "", "")
    assert answers.asked == [
        {"op": "lease_grant", "ttl_ms": 1500},
        {"op": "lease_keepalive", "leases": [41]},
        {"op": "lease_keepalive", "leases": [41, 42]},
        {"op": "lease_revoke", "lease": 41},
    ]
    assert call(node, "lease", "grant", "--ttl", "0.5")[0] == 2


def test_a_write_once_has_a_session_of_its_own(fake: Make, call: Call) -> None:
    answers = Answers(open_session={"client": "3fa9c2d1-118"}, incr={"value": 5, "rev": 7})
    assert call(fake(answers), "incr", "n", "5", "--once") == (0, "5\n", "")
    assert answers.asked == [
        {"op": "open_session"},
        {"op": "incr", "client": "3fa9c2d1-118", "seq": 1, "key": "n", "by": 5},
        {"op": "close_session", "client": "3fa9c2d1-118"},
    ]


def test_a_write_once_is_asked_again_where_its_reply_is_lost(fake: Make, call: Call) -> None:
    answers = Answers(open_session={"client": "c-1"}, incr={"value": 5, "rev": 7, "replayed": True})
    is_first = True

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal is_first
        reply = answers(request)
        if request["op"] == "incr" and is_first:
            is_first = False
            node.drop()
        return reply

    node = fake(answer)
    assert call(node, "incr", "n", "--once") == (0, "5\n", "")
    assert [(request["client"], request["seq"]) for request in answers.asked if request["op"] == "incr"] == [
        ("c-1", 1)
    ] * 2


def test_a_write_under_a_fence_that_is_over_is_refused(fake: Make, call: Call) -> None:
    answers = Answers(put=error("fenced", "no"))
    code, _, err = call(fake(answers), "put", "k", "1", "--lock", "l", "--fence", "42", "--lease", "41")
    assert (code, err) == (1, "trioraft: fenced: it failed. It was not applied.\n")
    assert answers.asked == [{"op": "put", "key": "k", "value": 1, "lock": "l", "fence": 42, "lease": 41}]


def test_all_keys_with_a_prefix_go_some_at_a_time(fake: Make, call: Call) -> None:
    some = [{"deleted": 1000, "more": True, "rev": 7}, {"deleted": 3, "more": False, "rev": 9}]
    answers = Answers(delete=[*some, {"deleted": 0, "more": False, "rev": 0}, some[0]])
    node = fake(answers)
    assert call(node, "delete", "--prefix", "a/") == (0, "", "")
    assert answers.asked == [{"op": "delete", "prefix": "a/"}] * 2
    assert call(node, "delete", "--prefix", "a/") == (1, "", "trioraft: there is no key that begins with a/\n")
    left = "trioraft: there are more keys that begin with a/: they are left\n"
    assert call(node, "delete", "--prefix", "a/", "--limit", "1000") == (0, "", left)
    assert answers.asked[-1] == {"op": "delete", "prefix": "a/", "limit": 1000}
    assert call(node, "delete", "--prefix", "a/", "--if-rev", "3")[0] == 2
    assert call(node, "delete", "a/", "--limit", "3")[0] == 2


def test_an_empty_prefix_is_refused_unless_all_is_meant(fake: Make, call: Call) -> None:
    answers = Answers(delete={"deleted": 3, "more": False, "rev": 7})
    node = fake(answers)
    code, _, err = call(node, "delete", "--prefix", "")
    assert (code, err.splitlines()[-1][:51]) == (2, "trioraft: every key begins with the empty prefix: a")
    assert call(node, "delete", "--prefix", "a/", "--all")[0] == 2
    assert call(node, "delete", "a", "--all")[0] == 2
    assert answers.asked == []
    assert call(node, "delete", "--prefix", "", "--all") == (0, "", "")
    assert answers.asked == [{"op": "delete", "prefix": ""}]


def test_a_transaction_prints_what_it_has_found(fake: Make, call: Call) -> None:
    results = [{"rev": 9}, {"value": {"x": 1}, "rev": 3, "created": 3, "version": 1}, {"value": None, "rev": 0}]
    answers = Answers(txn={"succeeded": True, "results": results, "rev": 9, "at": 9})
    said = call(fake(answers), "txn", "rev a = 7", "--", "put", "a", "1", ",", "get", "b", ",", "get", "c")
    assert said == (0, '{"x": 1}\nnull\n', "")
    assert answers.asked == [
        {
            "op": "txn",
            "checks": [{"key": "a", "rev": 7}],
            "then": [{"op": "put", "key": "a", "value": 1}, {"op": "get", "key": "b"}, {"op": "get", "key": "c"}],
        }
    ]


def test_a_transaction_whose_checks_do_not_hold_is_a_no(fake: Make, call: Call) -> None:
    answers = Answers(txn={"succeeded": False, "results": [{"value": 8, "rev": 8}], "rev": 0, "at": 9})
    said = call(fake(answers), "txn", "rev a = 7", "--", "put", "a", "1", "--", "get", "a")
    assert said == (1, "8\n", "trioraft: a check does not hold\n")


def test_a_transaction_comes_from_a_file_to_the_digit(fake: Make, call: Call, tmp_path: Path) -> None:
    answers = Answers(txn={"succeeded": True, "results": [{"rev": 9}], "rev": 9, "at": 9})
    file = tmp_path / "txn.json"
    then = [{"op": "put", "key": "a", "value": 1}]
    file.write_text(json.dumps({"op": "txn", "then": then}, indent=2).replace(": 1", ": 1.50"))
    raw: list[str] = []
    node = fake(lambda request: answers(raw.append(json.dumps(request)) or request))  # type: ignore[func-returns-value]
    assert call(node, "txn", "--file", str(file)) == (0, "", "")
    assert '"value": 1.5' in raw[-1]
    for text in ("{", "[]", '{"op":"put","key":"a","value":1}', ""):
        file.write_text(text)
        assert call(node, "txn", "--file", str(file))[0] == 2
    assert call(node, "txn", "exists a", "--file", str(file))[0] == 2
    assert call(node, "txn", "--file", str(tmp_path / "none"))[0] == 2


THEN = [{"op": "get", "key": "a"}]


@pytest.mark.parametrize("once", [False, True])
def test_a_file_may_hold_fields_of_any_name(fake: Make, call: Call, tmp_path: Path, once: bool) -> None:
    answers = Answers(open_session={"client": "c-1"}, txn={"succeeded": True, "results": [], "rev": 0, "at": 9})
    fields = {"then": THEN, "self": 1, "fields": 2, "once": True, "lock": "l", "fence": 42, "timeout_ms": 500}
    if not once:
        fields.update(client="c-2", seq=7)
    file = tmp_path / "txn.json"
    file.write_text(json.dumps(fields))
    assert call(fake(answers), "txn", "--file", str(file), *(["--once"] if once else [])) == (0, "", "")
    session = {"client": "c-1", "seq": 1} if once else {}
    assert answers.asked[int(once)] == {"op": "txn", **session, **fields}


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("lock", ["--lock", "l", "--fence", "42"]),
        ("fence", ["--lock", "l", "--fence", "42"]),
        ("client", ["--once"]),
        ("seq", ["--once"]),
    ],
)
def test_what_the_file_and_an_option_say_is_wrong_usage(
    fake: Make, call: Call, tmp_path: Path, field: str, words: list[str]
) -> None:
    file = tmp_path / "txn.json"
    file.write_text(json.dumps({"then": THEN, field: 1}))
    code, _, err = call(fake(None), "txn", "--file", str(file), *words)
    option = "once" if field in ("client", "seq") else field
    assert (code, err.splitlines()[-1]) == (
        2,
        f"trioraft: {file} has '{field}' already: leave it out, or --{option}",
    )


@pytest.mark.parametrize("number", ["nan", "-nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize(
    "words",
    [
        ["lease", "grant", "--ttl"],
        ["lock", "l", "--ttl"],
        ["lock", "l", "--timeout"],
        ["wait", "k", "--timeout"],
    ],
)
def test_a_time_is_a_number_within_bounds(fake: Make, call: Call, words: list[str], number: str) -> None:
    code, _, err = call(fake(None), *words, number)
    assert code == 2
    assert "range" in err or "is not a valid number" in err


@pytest.mark.parametrize("words", [["exists a"], ["exists a", "--"], ["nonsense", "--", "get", "a"], []])
def test_a_transaction_that_cannot_be_read_is_wrong_usage(fake: Make, call: Call, words: list[str]) -> None:
    assert call(fake(None), "txn", *words)[0] == 2


def test_a_replayed_transaction_says_that_its_results_are_gone(fake: Make, call: Call) -> None:
    node = fake(Answers(open_session={"client": "c-1"}, txn={"succeeded": True, "results": None, "rev": 9, "at": 9}))
    code, out, err = call(node, "txn", "--once", "--", "get", "a")
    assert (code, out) == (0, "")
    assert "is not remembered" in err
