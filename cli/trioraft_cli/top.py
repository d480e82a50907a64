"""`trioraft top`: the cluster as it is at this moment, again and again."""

from __future__ import annotations

import sys

import click

from trioraft_cli import colour, signals
from trioraft_cli.asking import Asker, asks, quiet_prompt


@click.command()
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    metavar="SECONDS",
    help="How often the nodes are asked; 1 where it is not given.",
)
@click.option("--once", is_flag=True, help="Print one picture, and end.")
@asks
def top(asker: Asker, interval: float | None, once: bool) -> int:
    """Show the cluster live: every node and its figures, and the ends of the logs side by side.

    q or Ctrl-C leaves. What is piped is one picture in plain text, or with --interval one after the other; with -o json
    each picture is a line of JSON.

    \b
    Examples: trioraft top
              trioraft top --once
              trioraft top --interval 5 -o json
    """
    from trioraft_cli.overview import live, plain

    on_screen = sys.stdout.isatty() and not colour.is_dumb() and asker.output in ("text", "table") and not once
    with signals.Leaving():
        if on_screen:
            with quiet_prompt():  # its watches are not to print onto the screen
                return live(asker, interval or 1.0)
        return plain(asker, None if once else interval)


COMMANDS = (top,)
