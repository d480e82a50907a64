"""The command `bench`."""

from __future__ import annotations

import os
import secrets
from typing import Final

import click

from trioraft_cli.arguments import TEXT, Seconds, Whole
from trioraft_cli.asking import Asker, asks
from trioraft_cli.bench.kinds import PUT, WATCH, WORKLOADS
from trioraft_cli.counts import counted
from trioraft_cli.streams import say

_MOST_BYTES: Final = 1 << 30
"""How much may be put under the keys at once: every node holds all of it in memory."""
_STAMP: Final = 20
"""The shortest value of a watch: it says when it was sent."""
_WARM_UP_SECONDS: Final = 0.5
_RATE: Final = click.FloatRange(0.1, 10_000_000)


@click.command()
@click.argument("workload", type=click.Choice(WORKLOADS), default=PUT)
@click.option("--connections", type=Whole(1, 10_000), default=1, show_default=True, help="Of watch: the watchers.")
@click.option(
    "--pipeline", type=Whole(1, 1024), default=1, show_default=True, help="Requests under way on each connection."
)
@click.option("--value-size", type=Whole(1, 32 * 1024 * 1024), default=100, show_default=True, metavar="BYTES")
@click.option("--keys", type=Whole(1, 1_000_000), default=1000, show_default=True, help="How many keys.")
@click.option("--seconds", type=Seconds(0.1, 86_400.0), default=5.0, show_default=True, help="How long it is counted.")
@click.option("--requests", type=Whole(1, 1_000_000_000), help="How many requests, in place of --seconds.")
@click.option("--processes", type=Whole(1, 256), help="How many processes ask; else as many as the processors allow.")
@click.option("--writes", type=click.FloatRange(0.0, 1.0), default=0.1, show_default=True, help="Of mixed: the share.")
@click.option("--stale", is_flag=True, help="Stale reads, from each node's own state.")
@click.option("--rate", type=_RATE, help="So many requests a second, whether answers come or not; else all it can.")
@click.option(
    "--warm-up", type=Seconds(0.0, 3600.0), help="Seconds before it counts.  [default: 0.5; 0 with --requests]"
)
@click.option("--through", default="leader", show_default=True, metavar="leader|any|HOST:PORT", type=TEXT)
@click.option("--prefix", type=TEXT, default="bench/", show_default=True, help="How its keys begin.")
@click.option("--keep", is_flag=True, help="Keep its keys afterwards.")
@asks
def bench(
    asker: Asker,
    workload: str,
    connections: int,
    pipeline: int,
    value_size: int,
    keys: int,
    seconds: float,
    requests: int | None,
    processes: int | None,
    writes: float,
    stale: bool,
    rate: float | None,
    warm_up: float | None,
    through: str,
    prefix: str,
    keep: bool,
) -> int:
    """Load the cluster, and show how many requests it answers, how long that takes, and what the limit is.

    It writes keys of its own, PREFIX with a random word behind it, and removes them at the end. No other key is
    touched. A connection that breaks is made again, to another node, so nodes may be killed meanwhile. `watch` measures
    the time from a write to each of --connections watchers.

    \b
    Examples: trioraft bench put --connections 64 --seconds 2
              trioraft bench mixed --connections 16 --pipeline 4 --requests 1000
              trioraft bench watch --connections 10 --rate 100 --seconds 1
    """
    from trioraft_cli.bench.plan import Plan
    from trioraft_cli.bench.run import find_nodes, run_load

    if keys * value_size > _MOST_BYTES:
        raise click.UsageError(
            f"{counted(keys, 'key')} of {value_size:,} bytes are more than 1 GiB, and every node holds all of it in "
            "memory: use fewer --keys or a smaller --value-size"
        )
    if workload == WATCH and value_size < _STAMP:
        raise click.UsageError(f"the values of watch say when they were sent: --value-size {_STAMP} at least")
    nodes = find_nodes(asker, through)
    most = min(connections, requests or connections)
    if processes is None:
        cores = len(os.sched_getaffinity(0))
        processes = min(most, max(1, cores // 2 if nodes.is_local else cores))
    elif processes > most:
        say(f"{counted(most, 'process', 'processes')} will do: more would have nothing to send")
        processes = most
    plan = Plan(
        workload=workload,
        connections=connections,
        pipeline=pipeline,
        value_size=value_size,
        keys=keys,
        seconds=seconds,
        requests=requests,
        processes=processes,
        through=through,
        writes=writes,
        stale=stale,
        rate=rate,
        warm_up=(_WARM_UP_SECONDS if requests is None else 0.0) if warm_up is None else warm_up,
        prefix=f"{prefix}{secrets.token_hex(3)}/",
    )
    return run_load(asker, plan, nodes, keep=keep)


COMMANDS = (bench,)
