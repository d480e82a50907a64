"""How a command ends: the exit code and the words of every failure, by table."""

from __future__ import annotations

import signal
from collections.abc import Callable

import click
import pytest
from trioraft_cli import outcomes
from trioraft_cli.streams import StreamError

from trioraft.client import BadRequest, ClientError, NoNode, Refused, Reply, Unknown
from trioraft.wire.replies import error_reply


def refused(code: str, applied: str | None = None) -> Refused:
    return Refused(Reply(error_reply(b"1", code, "it failed", "try again", applied)))


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (NoNode("nobody", "start one"), 3, "trioraft: nobody. (start one)\n"),
        (Unknown("lost", "read"), 5, "trioraft: lost. (read)\n"),
        (BadRequest("no JSON", "nothing was sent"), 2, "trioraft: no JSON. (nothing was sent)\n"),
        (refused("conflict", "no"), 1, "trioraft: conflict: it failed. It was not applied. (try again)\n"),
        (refused("timeout", "unknown"), 5, "trioraft: timeout: it failed. It may have been applied. (try again)\n"),
        (refused("no_quorum", "no"), 4, "trioraft: no_quorum: it failed. It was not applied. (try again)\n"),
        (refused("compacted"), 4, "trioraft: compacted: it failed. (try again)\n"),
        (refused("internal"), 70, "trioraft: internal: it failed. (try again)\n"),
        *(
            (refused(code), 2, f"trioraft: {code}: it failed. (try again)\n")
            for code in ("bad_json", "bad_request", "unknown_op", "too_deep", "line_too_long")
        ),
    ],
)
def test_each_failure_of_a_request_has_its_code(
    error: ClientError, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise error

    assert outcomes.conclude(command) == code
    assert capsys.readouterr() == ("", said)


def raising(error: BaseException) -> Callable[[], object]:
    def command() -> object:
        raise error

    return command


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (lambda: None, 0, ""),
        (lambda: 4, 4, ""),
        (raising(outcomes.Failure(5)), 5, ""),
        (raising(click.UsageError("no such option")), 2, "trioraft: no such option\n"),
        (
            raising(outcomes.NoSuchNode("there is no node 7", "  0  h:1")),
            2,
            "trioraft: there is no node 7:\n  0  h:1\n",
        ),
        (raising(click.ClickException("x" * 2000)), 2, f"trioraft: {'x' * 1000}…\n"),
        (raising(click.Abort()), 130, ""),
        (raising(KeyboardInterrupt()), 130, ""),
        (raising(StreamError("standard output cannot be written: No space left on device")), 74, None),
        (raising(StreamError("standard output cannot be written: Broken pipe", reader_left=True)), 141, ""),
        (raising(SystemExit(outcomes.by_signal(signal.SIGHUP))), 129, ""),
        (raising(SystemExit(outcomes.by_signal(signal.SIGTERM))), 143, ""),
        (raising(SystemExit("words")), 70, ""),
        (raising(LookupError("a bug")), 70, "trioraft: internal error: LookupError: a bug\n"),
    ],
)
def test_each_end_of_a_command_has_its_code(
    command: Callable[[], object], code: int, said: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcomes.conclude(command) == code
    told = "trioraft: standard output cannot be written: No space left on device\n" if said is None else said
    assert capsys.readouterr() == ("", told)
