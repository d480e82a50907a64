"""The commands that run until they are ended: node, shell, demo; and sim, which runs nodes in virtual time."""

from __future__ import annotations

import os
from pathlib import Path

import click

from trioraft.addresses import AddressError, ServersFileError, numbered, parse_address, read_servers
from trioraft_cli import where
from trioraft_cli.arguments import TEXT, Whole
from trioraft_cli.outcomes import NoSuchNode


@click.command()
@click.argument("index", type=int)
@click.argument("servers", type=click.Path(path_type=Path))
@click.option("--data-dir", type=click.Path(path_type=Path), help="This node's folder.")
@click.option("--listen", metavar="HOST:PORT", help="Listen here, not at the address in SERVERS.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option(
    "--max-request-bytes",
    type=Whole(1024, 32 * 1024 * 1024),
    default=1024 * 1024,
    show_default=True,
    help="The longest request that a client may send.",
)
@click.option("--allow-faults", is_flag=True, help="Break links and the disk on command, for whoever asks.")
def node(
    index: int,
    servers: Path,
    data_dir: Path | None,
    listen: str | None,
    log_format: str,
    log_level: str,
    max_request_bytes: int,
    allow_faults: bool,
) -> int:
    """Run one node: the one at position INDEX, from 0, among the addresses of the file SERVERS.

    \b
    Example: trioraft node 0 servers.txt
    """
    from trioraft_cli.node import run_at

    try:
        listed = read_servers(servers)
        place = parse_address(listen) if listen else None
    except (AddressError, ServersFileError) as error:
        raise click.UsageError(str(error)) from None
    if not (0 <= index < len(listed)) or listed[index] is None:
        raise NoSuchNode(f"there is no node {index} in {servers}", numbered(listed))
    parent = Path(os.environ.get("TRIORAFT_DATA_DIR") or "trioraft-data")
    folder = data_dir or parent / f"node-{index}"
    return run_at(index, listed, folder, place, log_format, log_level, max_request_bytes, allow_faults)


@click.command()
@click.argument("address", type=TEXT, required=False)
@click.option("--servers", type=click.Path(path_type=Path), help="A servers.txt that lists the nodes.")
@click.option("--connect", type=TEXT, multiple=True, metavar="HOST:PORT", help="A node; may be given again.")
def shell(address: str | None, servers: Path | None, connect: tuple[str, ...]) -> int:
    """Open a prompt on the cluster, or on the node at ADDRESS.

    \b
    Examples: trioraft shell
              trioraft shell 127.0.0.1:8001
              echo 'get name' | trioraft shell
    """
    from trioraft_cli.shell import run_shell

    return run_shell(where.addresses(servers, (address,) if address else connect))


@click.command()
@click.option("--nodes", type=Whole(1, 9), default=3, show_default=True, help="How many nodes.")
@click.option("--script", type=click.Path(path_type=Path), help="Carry out the lines of this file, and end.")
def demo(nodes: int, script: Path | None) -> int:
    """Start a whole cluster on this machine, with a prompt on it; all of it ends with the prompt.

    The prompt has commands that break the cluster: kill and restart nodes, pause them, cut and slow the network between
    them. 'help' lists them, and \\tour goes through Raft with them. Lines from a pipe are carried out as well. A script
    ends at the first line that fails, with its exit code.

    \b
    Examples: trioraft demo
              trioraft demo --nodes 5
              printf 'put a 1\\n\\\\kill leader\\nget a\\n' | trioraft demo
    """
    from trioraft_cli.demo import run_demo

    return run_demo(nodes, script)


@click.command()
@click.option("--seed", type=Whole(min=0), help="Run this one, and tell of it in full.")
@click.option("--seeds", metavar="A..B", help="Run many, on all cores.")
@click.option("--nodes", type=Whole(1, 9), help="How many nodes; drawn from the seed where it is not given.")
@click.option("--steps", type=Whole(min=1), help="How many events before the faults end.")
@click.option("--faults", metavar="KIND,...", help="These alone, or 'none'; all of them where it is not given.")
@click.option("--whole-nodes", is_flag=True, help="Whole nodes under Trio: slower, and nearer to the truth.")
@click.option("--jobs", type=Whole(min=1), help="How many processes; as many as there are cores by default.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="json: a line a seed.")
def sim(
    seed: int | None,
    seeds: str | None,
    nodes: int | None,
    steps: int | None,
    faults: str | None,
    whole_nodes: bool,
    jobs: int | None,
    output: str,
) -> int:
    """Run a cluster in virtual time with everything that can go wrong, drawn from a seed, and judge it.

    The same seed gives the same run. A failure prints the last events and the line that runs it again.

    \b
    Examples: trioraft sim --seed 7
              trioraft sim --seeds 0..9 --steps 100 --faults none
    """
    from trioraft_cli.sim import Task, parse_faults, parse_seeds, run_many, run_one

    if (seed is None) == (seeds is None):
        raise click.UsageError("give one of --seed N and --seeds A..B")
    if whole_nodes and steps is not None:
        raise click.UsageError("--steps is not for whole nodes: their runs last as long as they last")
    task = parse_faults(faults, Task(nodes, steps, None, whole_nodes))
    if seed is not None:
        return run_one(seed, task, output)
    assert seeds is not None
    return run_many(parse_seeds(seeds), task, jobs, output)


COMMANDS = (node, shell, demo)
