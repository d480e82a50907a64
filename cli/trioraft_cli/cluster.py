"""The commands for the cluster and its nodes, apart from its members: status, show-log, transfer, snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trioraft_cli import render, where
from trioraft_cli.asking import ask, cluster_options
from trioraft_cli.counts import snapshot_taken
from trioraft_cli.status import ClusterStatus, judge, show_status
from trioraft_cli.streams import say


@click.command()
@cluster_options
def status(servers: Path | None, connect: tuple[str, ...], output: str) -> int:
    """Show every node of the cluster: who leads, how far each is, and who does not answer."""
    cluster = ClusterStatus(where.addresses(servers, connect))
    if output == "text":
        return show_status(cluster)
    for reply in cluster.replies.values():
        render.show_json(reply.line)
    for address, failure in cluster.failures.items():  # there is no line of a node that has sent none
        say(f"no answer from {address}: {failure}")
    return judge(cluster)


@click.command("show-log")
@click.option("--from", "first", type=int, help="The first index; the newest entries where it is not given.")
@click.option("--limit", type=int, help="At most so many entries, up to 1000; 100 where it is not given.")
@cluster_options
def show_log(first: int | None, limit: int | None, **place: Any) -> int:
    """Show the log of the node that answers."""
    fields: dict[str, Any] = {"from": first}  # `from` is a keyword
    reply = ask(**place, op="show_log", limit=limit, **fields)
    if place["output"] == "text":
        render.show_log(reply)
        if reply["more"]:
            last_index = render.log_rows(reply)[-1].index
            say(f"there are more entries: go on with --from {last_index + 1}")
    return 0


@click.command()
@click.argument("target", type=int, required=False)
@cluster_options
def transfer(target: int | None, **place: Any) -> int:
    """Let the node with the id TARGET lead, or the one that has most."""
    reply = ask(**place, op="transfer_leadership", target=target)
    if place["output"] == "text":
        print(f"node {reply['leader']} leads in term {reply['term']}")
    return 0


@click.command()
@cluster_options
def snapshot(**place: Any) -> int:
    """Let the node that answers write a snapshot, and shorten its log."""
    reply = ask(**place, op="snapshot")
    if place["output"] == "text":
        print(snapshot_taken(reply["keys"], reply["index"], reply["bytes"]))
    return 0


COMMANDS = (status, show_log, transfer, snapshot)
