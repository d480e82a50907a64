"""The commands for the cluster and its nodes, apart from its members: status, show-log, transfer, snapshot."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from trioraft_cli import render
from trioraft_cli.arguments import NODE
from trioraft_cli.asking import Asker, asks
from trioraft_cli.counts import snapshot_taken
from trioraft_cli.status import ClusterStatus, judge, show_status
from trioraft_cli.streams import say

LOOK_SECONDS: Final = 0.1
"""How often the cluster is looked at while a leader is waited for."""


@click.command()
@asks
def status(asker: Asker) -> int:
    """Show every node of the cluster: who leads, how far each is, and who does not answer.

    With --retry it waits so long for a leader that has a majority.

    \b
    Example: trioraft status
    """
    cluster = _newest(asker)
    if not asker.as_json:
        return show_status(cluster)
    for reply in cluster.replies.values():
        render.show_json(reply.line)
    for address, failure in cluster.failures.items():  # there is no line of a node that has sent none
        say(f"no answer from {address}: {failure}")
    return judge(cluster)


def _newest(asker: Asker) -> ClusterStatus:
    """The state of the cluster; with --retry the first in which writes are taken, or the last."""
    while True:
        cluster = ClusterStatus(asker.addresses, asker.down())
        if cluster.has_leader or asker.tries_until is None or time.monotonic() > asker.tries_until:
            return cluster
        time.sleep(LOOK_SECONDS)


@click.command("show-log")
@click.option("--from", "first", type=int, help="The first index; the newest entries where it is not given.")
@click.option("--limit", type=int, help="At most so many entries, up to 1000; 100 where it is not given.")
@asks
def show_log(asker: Asker, first: int | None, limit: int | None) -> int:
    """Show the log of the node that answers.

    \b
    Examples: trioraft show-log --limit 5
              trioraft show-log --from 1
    """
    fields: dict[str, Any] = {"from": first}  # `from` is a keyword
    reply = asker.call("show_log", limit=limit, **fields)
    if not asker.as_json:
        render.show_log(reply)
        if reply["more"]:
            last_index = render.log_rows(reply)[-1].index
            say(f"there are more entries: go on with --from {last_index + 1}")
    return 0


@click.command()
@click.argument("target", type=NODE, required=False)
@asks
def transfer(asker: Asker, target: int | None) -> int:
    """Let the node with the id TARGET lead, or the one that has most.

    \b
    Examples: trioraft transfer 1
              trioraft transfer
    """
    reply = asker.call("transfer_leadership", target=target)
    if not asker.as_json:
        print(f"node {reply['leader']} leads in term {reply['term']}")
    return 0


@click.command()
@asks
def snapshot(asker: Asker) -> int:
    """Let the node that answers write a snapshot, and shorten its log.

    \b
    Example: trioraft snapshot
    """
    reply = asker.call("snapshot")
    if not asker.as_json:
        print(snapshot_taken(reply["keys"], reply["index"], reply["bytes"]))
    return 0


COMMANDS = (transfer, snapshot)
SEEING = (status, show_log)
