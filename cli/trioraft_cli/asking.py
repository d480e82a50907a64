"""How a command of the command line asks the cluster: the options that say where it is, and the request itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trioraft.client import Client, Refused, Reply
from trioraft.client.attempts import changes
from trioraft_cli import render, where
from trioraft_cli.arguments import TEXT
from trioraft_cli.outcomes import NOT_WAITED_FOR, Failure, exit_code
from trioraft_cli.streams import say


def cluster_options(command: Any) -> Any:
    """Add the options that say where the cluster is, and how to print."""
    servers = click.option("--servers", type=click.Path(path_type=Path), help="A servers.txt that lists the nodes.")
    connect = click.option(
        "--connect", type=TEXT, multiple=True, metavar="HOST:PORT", help="A node; may be given again."
    )
    output = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="json: as sent.")
    return servers(connect(output(command)))


def ask(servers: Path | None, connect: tuple[str, ...], output: str, op: str, **fields: Any) -> Reply:
    """Ask the cluster; with json output the reply is printed as the node sent it, and a refusal too.

    Raises ClientError, click.UsageError, Failure.
    """
    with Client(where.addresses(servers, connect)) as client:
        try:
            reply = client.call(op, **fields)
        except Refused as refused:
            if output == "json":
                render.show_json(refused.reply.line)
                raise Failure(exit_code(refused)) from None
            raise
        except KeyboardInterrupt:
            if changes(op):
                say(NOT_WAITED_FOR)
            raise
    if output == "json":
        render.show_json(reply.line)
    return reply
