"""The commands for leases: lease, with its own commands grant, keepalive, revoke, list."""

from __future__ import annotations

import click
import msgspec

from trioraft.client import Reply
from trioraft.wire.codec import decode
from trioraft_cli import render
from trioraft_cli.arguments import LEASE, TTL
from trioraft_cli.asking import Asker, asks, page_options
from trioraft_cli.counts import seconds
from trioraft_cli.groups import Commands
from trioraft_cli.outcomes import NO
from trioraft_cli.streams import say


class _Row(msgspec.Struct):
    lease: int
    ttl_ms: int
    remaining_ms: int
    keys: int


@click.group(cls=Commands)
def lease() -> None:
    """Make keys and locks go by themselves when nobody keeps them: grant, keepalive, revoke, list.

    \b
    Example: LEASE=$(trioraft lease grant --ttl 30); trioraft put nodes/a up --lease $LEASE
    """


@lease.command()
@click.option(
    "--ttl", type=TTL, default=10.0, show_default=True, metavar="SECONDS", help="How long it lives unkept, at least."
)
@asks
def grant(asker: Asker, ttl: float) -> int:
    """Grant a lease, and print its number.

    \b
    Example: trioraft lease grant --ttl 30
    """
    reply = asker.call("lease_grant", ttl_ms=round(ttl * 1000))
    if not asker.as_json:
        print(reply["lease"])
    return 0


@lease.command()
@click.argument("leases", type=LEASE, nargs=-1, required=True, metavar="LEASE...")
@asks
def keepalive(asker: Asker, leases: tuple[int, ...]) -> int:
    """Let each LEASE live its whole time again, once. Where one has ended, the exit code is 1.

    \b
    Example: while trioraft lease keepalive 41; do sleep 3; done
    """
    expired = asker.call("lease_keepalive", leases=leases)["expired"]
    for number in expired:
        say(f"the lease {number} has ended, or never was")
    return NO if expired else 0


@lease.command()
@click.argument("lease", type=LEASE)
@asks
def revoke(asker: Asker, lease: int) -> int:
    """End a LEASE now, with its keys and locks. One that has ended is none to complain of.

    \b
    Example: trioraft lease revoke 41
    """
    asker.call("lease_revoke", lease=lease)
    return 0


@lease.command("list")
@click.option("--after", type=LEASE, metavar="LEASE", help="Begin behind this lease.")
@page_options
@asks
def list_(asker: Asker, after: int | None, limit: int | None) -> int:
    """List the leases that live: how long, for how much longer, and with how many keys.

    TTL is the least that a lease lives unkept. LEFT may be up to a quarter more: the leader ends a lease that late, so
    that it lives long enough by its holder's clock too.

    \b
    Example: trioraft lease list
    """
    reply = asker.call("leases", after=after, limit=limit)
    if not asker.as_json:
        _show(reply)
    return 0


def _show(reply: Reply) -> None:
    rows = decode(reply.raw("leases"), list[_Row])
    table = [[str(row.lease), seconds(row.ttl_ms), seconds(row.remaining_ms), str(row.keys)] for row in rows]
    render.show("", ["LEASE#", "TTL#", "LEFT#", "KEYS#"], table)
    if reply["more"]:
        say(f"there are more: go on with --after {rows[-1].lease}")


COMMANDS = (lease,)
