"""The commands for locks: lock, unlock, locks."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

import click
import msgspec

from trioraft.client import KeptLease, NoNode, Refused, Reply, Unknown
from trioraft.client.attempts import Attempts
from trioraft.wire.codec import decode
from trioraft_cli import render
from trioraft_cli.arguments import LEASE, LOCK, NUMBER, TTL, WithTail
from trioraft_cli.asking import Asker, asks, page_options, waits
from trioraft_cli.children import Child
from trioraft_cli.going_on import GoingOn
from trioraft_cli.outcomes import NO, telling
from trioraft_cli.signals import Leaving
from trioraft_cli.streams import flush, say
from trioraft_cli.words import quote, shell_word


class _Row(msgspec.Struct):
    name: str
    lease: int
    fence: int
    waiters: int


ttl_option = click.option(
    "--ttl",
    type=TTL,
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How soon others may have it if this process is gone, at least.",
)


@click.command(cls=WithTail)
@click.argument("name", type=LOCK)
@ttl_option
@waits("How long to wait for it; for ever where it is not given, 0: not at all.")
def lock(asker: Asker, name: str, ttl: float, timeout: float | None, tail: tuple[str, ...] | None) -> int:
    """Hold the lock NAME while COMMAND runs, or until Ctrl-C.

    COMMAND finds TRIORAFT_LOCK, TRIORAFT_FENCE and TRIORAFT_LEASE in its environment, and its exit code is passed on.
    Where the lock is lost, because no node could be reached for too long, or because somebody unlocked it, COMMAND and
    all that it started get SIGTERM, and SIGKILL a tenth of the ttl later; the exit code is 1 then. Where the lock
    cannot be had in time it is 4. If this process itself is killed, COMMAND runs on, and others get the lock. Without a
    COMMAND, the prompt holds it while other commands are typed, until it is unlocked or the prompt ends.

    Who writes with --lock and --fence is refused once the lock is another's, however late the write comes.

    \b
    Examples: trioraft lock deploy -- ./deploy.sh
              trioraft lock jobs --timeout 0 -- sh -c 'trioraft put last now --lock jobs --fence $TRIORAFT_FENCE'
    """
    if tail == ():
        raise click.UsageError("there is no command behind the '--'")
    if asker.going_on is not None and tail is None:
        return _keep(asker, asker.going_on, name, ttl, timeout)
    with Leaving(), asker.printing(), kept_lease(asker, ttl) as kept:
        fence = take(asker, kept, name, timeout)
        code = while_held(asker, kept, name, fence, tail, "the lock {} is held until Ctrl-C")
        if kept.lost.is_set():
            say(f"the lock {quote(name, sys.stderr.encoding)} is lost: {kept.why_lost}")
            return NO
    return NO if code is None else code


def kept_lease(asker: Asker, ttl: float) -> KeptLease:
    """A lease that is kept alive, for which nodes are asked as long as the asker is told to. Raises ClientError.

    A lease that was granted, and of which nobody was told, ends by itself.
    """
    now = time.monotonic()
    seconds = asker.patience(0.0)
    attempts = Attempts({"op": "lease_grant"}, len(asker.addresses), now, seconds, persists=True)
    while True:
        try:
            return KeptLease(asker.addresses, ttl)
        except NoNode as error:
            pause = attempts.unreachable(error, time.monotonic())
        except Unknown as error:
            tried = time.monotonic()
            if tried >= now + seconds:
                raise
            pause = attempts.lost(None, error.message, tried)
        except Refused as error:
            pause = attempts.refused(error.reply, time.monotonic())
        time.sleep(pause)


def take(asker: Asker, kept: KeptLease, name: str, timeout: float | None) -> int:
    """Take the lock for a lease; its fence. Raises ClientError, Failure."""
    shown = quote(name, sys.stderr.encoding)
    late = f"the lock {shown} was not to be had within {timeout:g} s" if timeout else f"another holds the lock {shown}"
    with telling("wait_ms", late):
        fence: int = asker.settle("lock", timeout, name=name, lease=kept.lease)["fence"]
    kept.holds(name, fence)
    return fence


def _keep(asker: Asker, going_on: GoingOn, name: str, ttl: float, timeout: float | None) -> int:
    """Take the lock, and hold it while the prompt runs, unless it is unlocked before."""
    if going_on.holds(name):
        raise click.UsageError(f"this prompt holds the lock {quote(name)} already")
    with ExitStack() as lock:
        kept = lock.enter_context(kept_lease(asker, ttl))
        fence = take(asker, kept, name, timeout)
        if not asker.as_json:
            print(f"fence {fence}, lease {kept.lease}")
        say(f"the lock is kept while this prompt runs, or until 'unlock {quote(name, sys.stderr.encoding)}'")
        going_on.hold(name, lock.pop_all(), kept)
    return 0


def while_held(
    asker: Asker, kept: KeptLease, name: str, fence: int, command: Sequence[str] | None, said: str
) -> int | None:
    """Run the command while the lock is held, or wait and say so; its exit code, or None once the lock is lost."""
    if command is not None:
        return _run(kept, name, fence, command)
    if not asker.as_json:
        print(f"fence {fence}, lease {kept.lease}")
    flush()
    say(said.format(quote(name, sys.stderr.encoding)))
    kept.lost.wait()
    return None


def _run(kept: KeptLease, name: str, fence: int, command: Sequence[str]) -> int | None:
    """Run the command while the lock is held; its exit code, or None where the lock was lost before, which ended it."""
    environment = {"LOCK": name.encode(), "FENCE": b"%d" % fence, "LEASE": b"%d" % kept.lease}
    with Child(command, {f"TRIORAFT_{part}": value for part, value in environment.items()}) as child:
        kept.on_lost = child.wake
        if kept.lost.is_set():
            child.wake()
        code = child.wait()
        if code is None:
            child.end(kept.margin)
    return code


@click.command()
@click.argument("name", type=LOCK)
@click.argument("lease", type=LEASE, required=False, metavar="LEASE")
@click.option("--fence", type=NUMBER, help="Only if it is held under this fence.")
@asks
def unlock(asker: Asker, name: str, lease: int | None, fence: int | None) -> int:
    """Take the lock NAME from LEASE, which holds it. `locks` shows who does. One that the prompt holds needs no LEASE.

    To do it again does no harm. Where LEASE did not hold the lock, standard error says so; the exit code is 0 all the
    same.

    \b
    Example: trioraft unlock deploy 41
    """
    if lease is None and asker.going_on is not None and asker.going_on.holds(name):
        asker.going_on.give_back(name)
        return 0
    if lease is None:
        raise click.UsageError("say from which LEASE: 'locks' shows who holds the lock")
    if asker.call("unlock", name=name, lease=lease, fence=fence)["rev"] == 0:
        say(f"the lock {quote(name, sys.stderr.encoding)} was not held {_so(lease, fence)}: 'locks' shows who holds it")
    return 0


def _so(lease: int, fence: int | None) -> str:
    return f"by the lease {lease}" + ("" if fence is None else f" under the fence {fence}")


@click.command()
@click.option("--after", type=LOCK, metavar="NAME", help="Begin behind this lock.")
@page_options
@asks
def locks(asker: Asker, after: str | None, limit: int | None) -> int:
    """List the locks that are held: by which lease, under which fence, and how many wait.

    \b
    Example: trioraft locks
    """
    reply = asker.call("locks", after=after, limit=limit)
    if not asker.as_json:
        _show(reply)
    return 0


def _show(reply: Reply) -> None:
    rows = decode(reply.raw("locks"), list[_Row])
    encoding = sys.stdout.encoding
    table = [[quote(row.name, encoding), str(row.lease), str(row.fence), str(row.waiters)] for row in rows]
    render.show("", ["LOCK", "LEASE#", "FENCE#", "WAITERS#"], table)
    if reply["more"]:
        say(f"there are more: go on with --after {shell_word(rows[-1].name, sys.stderr.encoding)}")


COMMANDS = (lock, unlock, locks)
