"""The command lead: who leads is seen by others, and what is lost is waited for again."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from trioraft_cli import outcomes

from ..helpers.fake_nodes import Make
from ..helpers.processes import is_running
from .conftest import Call
from .test_locks_and_leases import PATIENCE, SHOW, Answers, error, program


def puts(answers: Answers) -> list[dict[str, Any]]:
    return [request for request in answers.asked if request["op"] == "put"]


def test_a_command_runs_while_this_leads_and_others_see_who_it_is(fake: Make, call: Call) -> None:
    answers = Answers()
    words = ("lead", "l", "--value", '{"at": "h"}', "--", "sh", "-c", SHOW)
    assert call(fake(answers), *words) == (7, "l 42 41\n", "")
    assert answers.ops == ["lease_grant", "lock", "put", "lease_revoke"]
    key = {"op": "put", "key": "leaders/l", "value": {"at": "h"}, "lease": 41, "lock": "l", "fence": 42}
    assert puts(answers) == [key]


def test_the_value_is_the_host_and_the_process_where_none_is_given(fake: Make, call: Call) -> None:
    answers = Answers()
    assert call(fake(answers), "lead", "l", "--", "true")[0] == 0
    assert puts(answers)[0]["value"].rpartition(":")[2].isdigit()


def test_a_lead_that_is_lost_ends_the_command_and_is_waited_for_again(fake: Make) -> None:
    answers = Answers()
    script = "echo $TRIORAFT_FENCE $$; test $TRIORAFT_FENCE = 50 && exit 3; while :; do sleep 0.1; done"
    with program(fake(answers), "lead", "l", "--ttl", "3", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        fence, number = process.stdout.readline().split()
        assert fence == "42"
        answers.replies["lock"] = {"fence": 50}
        assert answers.kept.wait(PATIENCE)
        answers.is_unlocked = True
        why = "it was unlocked by somebody else"
        assert process.stderr.readline() == f"trioraft: the lead of l is lost: {why}: it is waited for again\n"
        answers.is_unlocked = False
        assert process.stdout.readline().split()[0] == "50"
        assert process.wait(PATIENCE) == 3
        assert not is_running(int(number))
    assert len(puts(answers)) == 2


def test_what_is_lost_while_it_is_waited_for_is_waited_for_again(fake: Make, call: Call) -> None:
    answers = Answers(lock=[error("lease_expired", "no"), {"fence": 50}])
    code, out, err = call(fake(answers), "lead", "l", "--", "sh", "-c", SHOW)
    assert (code, out) == (7, "l 50 41\n")
    assert err == "trioraft: the lead of l is lost: it failed: it is waited for again\n"


def test_with_json_too(fake: Make, call: Call) -> None:
    answers = Answers(lock=[error("lease_expired", "no"), {"fence": 50}])
    code, out, _ = call(fake(answers), "lead", "l", "-o", "json", "--", "true")
    assert (code, [json.loads(line)["ok"] for line in out.splitlines()]) == (0, [False, True])


@pytest.mark.parametrize("code", ["fenced", "lease_expired"])
def test_one_that_cannot_say_that_it_leads_does_not(fake: Make, call: Call, code: str) -> None:
    answers = Answers(put=[error(code, "no"), {"rev": 5}])
    assert call(fake(answers), "lead", "l", "--", "sh", "-c", SHOW)[:2] == (7, "l 42 41\n")
    assert answers.ops.count("lock") == 2


def test_that_it_leads_is_said_again_where_nobody_knows_whether_it_was(fake: Make, call: Call) -> None:
    answers = Answers(put=[error("timeout", "unknown"), error("no_quorum", "no"), {"rev": 5}])
    assert call(fake(answers), "lead", "l", "--", "true")[0] == 0
    assert answers.ops == ["lease_grant", "lock", "put", "put", "put", "lease_revoke"]


def test_it_is_waited_for_again_too_where_nobody_knows_whether_a_lease_was_granted(fake: Make, call: Call) -> None:
    unknown = [error("timeout", "unknown"), error("no_quorum", "no")]
    answers = Answers(lease_grant=[{"lease": 40}, *unknown, {"lease": 41}], put=[error("fenced", "no"), {"rev": 5}])
    assert call(fake(answers), "lead", "l", "--", "sh", "-c", SHOW)[:2] == (7, "l 42 41\n")


@pytest.mark.parametrize(
    ("replies", "code"),
    [
        ({"lock": error("timeout", "no")}, outcomes.NOT_NOW),
        ({"put": error("bad_request", "no")}, outcomes.USAGE),
        ({"lease_grant": error("no_quorum", "no")}, outcomes.NOT_NOW),
    ],
)
def test_a_lead_that_cannot_be_had_runs_nothing(fake: Make, call: Call, replies: dict[str, Any], code: int) -> None:
    assert call(fake(Answers(**replies)), "lead", "l", "--timeout", "0", "--", "echo", "run")[:2] == (code, "")


def test_who_leads_is_shown(fake: Make, call: Call) -> None:
    there = fake(lambda _: {"value": "h:7", "rev": 3, "created": 3, "version": 1, "at": 9})
    nobody = fake(lambda _: {"value": None, "rev": 0, "created": 0, "version": 0, "at": 9})
    assert call(there, "lead", "l", "--show") == (0, '"h:7"\n', "")
    assert call(nobody, "lead", "l", "--show") == (outcomes.NO, "", "trioraft: nobody leads l\n")
    assert call(there, "lead", "l", "--show", "--", "true")[0] == outcomes.USAGE
    assert call(there, "lead", "l", "--")[0] == outcomes.USAGE


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_without_a_command_it_leads_until_a_signal(fake: Make, number: signal.Signals, code: int) -> None:
    answers = Answers()
    with program(fake(answers), "lead", "l") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "fence 42, lease 41\n"
        assert process.stderr.readline() == "trioraft: this leads l until Ctrl-C\n"
        process.send_signal(number)
        assert process.wait(PATIENCE) == code
    assert answers.ops[-1] == "lease_revoke"
