"""The command for one of many that is to do the work: lead."""

from __future__ import annotations

import math
import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final

import click

from trioraft.client import KeptLease, NoNode, Refused, Unknown
from trioraft_cli import render
from trioraft_cli.arguments import LOCK, TEXT, WithTail
from trioraft_cli.asking import Asker, waits
from trioraft_cli.locks import kept_lease, take, ttl_option, while_held
from trioraft_cli.outcomes import NO, USAGE, Failure, exit_code
from trioraft_cli.signals import Leaving
from trioraft_cli.streams import say
from trioraft_cli.values import to_json
from trioraft_cli.words import quote

KEYS: Final = "leaders/"
"""What the keys begin with that hold the values of those that lead."""
_ENDED: Final = ("fenced", "lease_expired")
"""The codes by which a node says that the lead is another's."""
_PAUSE_SECONDS: Final = 0.2


@click.command(cls=WithTail)
@click.argument("name", type=LOCK)
@click.option("--value", type=TEXT, help="What others see of this one while it leads; HOST:PID where it is not given.")
@click.option("--show", is_flag=True, help="Print the value of the one that leads now.")
@ttl_option
@waits("How long to wait for the lead, the first time; for ever where it is not given, 0: not at all.")
def lead(
    asker: Asker,
    name: str,
    value: str | None,
    show: bool,
    ttl: float,
    timeout: float | None,
    tail: tuple[str, ...] | None,
) -> int:
    """Lead NAME, one at a time among all that ask for it: run COMMAND while leading, or wait for Ctrl-C.

    The lead is the lock NAME, with a value that others see: the key leaders/NAME, which goes with the lead. COMMAND
    finds TRIORAFT_LOCK, TRIORAFT_FENCE and TRIORAFT_LEASE in its environment. Where the lead is lost, COMMAND and all
    that it started are ended as with 'lock'. Then it waits for the lead again, and runs COMMAND anew, until COMMAND
    ends by itself; its exit code is passed on.

    \b
    Examples: trioraft lead scheduler -- ./scheduler.sh
              trioraft lead scheduler --show
    """
    if show:
        if tail is not None or value is not None:
            raise click.UsageError("--show only asks who leads: leave out --value and the command")
        return _show(asker, name)
    if tail == ():
        raise click.UsageError("there is no command behind the '--'")
    shown = quote(name, sys.stderr.encoding)
    with Leaving(), asker.printing():
        while True:
            code, why_lost = _lead_once(asker, name, value, ttl, timeout, tail)
            if code is not None:
                return code
            say(f"the lead of {shown} is lost: {why_lost}: it is waited for again")
            timeout, asker.tries_until = None, math.inf


def _show(asker: Asker, name: str) -> int:
    """Print the value of the one that leads; the exit code."""
    reply = asker.call("get", key=f"{KEYS}{name}")
    if reply["version"] == 0:
        say(f"nobody leads {quote(name, sys.stderr.encoding)}")
        return NO
    if not asker.as_json:
        render.show_value(reply.raw("value"))
    return 0


def _lead_once(
    asker: Asker, name: str, value: str | None, ttl: float, timeout: float | None, tail: Sequence[str] | None
) -> tuple[int | None, str]:
    """Wait for the lead, and lead; the exit code of the command, None where the lead was lost, and why it was.

    Raises ClientError, Failure.
    """
    with kept_lease(asker, ttl) as kept:
        try:
            fence = take(asker, kept, name, timeout)
        except Refused as refused:
            if refused.code not in _ENDED:
                raise
            return None, refused.message
        except Failure as failure:  # with JSON the refusal is printed already
            if failure.code != NO:
                raise
            return None, "the lease has ended"
        if not _announce(asker, kept, name, fence, f"{socket.gethostname()}:{os.getpid()}" if value is None else value):
            return None, "another has it"
        return while_held(asker, kept, name, fence, tail, "this leads {} until Ctrl-C"), kept.why_lost


def _announce(asker: Asker, kept: KeptLease, name: str, fence: int, value: str) -> bool:
    """Say who leads, in a key that goes with the lead; whether this still leads. Raises Refused."""
    fields = {"key": f"{KEYS}{name}", "value": to_json(value), "lease": kept.lease, "lock": name, "fence": fence}
    while not kept.lost.is_set():
        try:
            with asker.client() as client:
                client.call("put", **fields)
        except Refused as refused:
            if refused.code in _ENDED:
                return False
            if exit_code(refused) == USAGE:
                raise
        except (NoNode, Unknown):
            pass  # to say it twice does no harm
        else:
            return True
        time.sleep(_PAUSE_SECONDS)
    return False


COMMANDS = (lead,)
