"""The commands that the prompt alone has: one that repeats another, and one that tells how long each took."""

from __future__ import annotations

import sys
import time

import click

from trioraft_cli.arguments import Seconds
from trioraft_cli.connection import Connection
from trioraft_cli.outcomes import USAGE, LeftOpen
from trioraft_cli.render import on_terminal
from trioraft_cli.streams import say
from trioraft_cli.tree import Leave
from trioraft_cli.typed import WithRest


@click.command(r"\watch", cls=WithRest)
@click.argument("seconds", type=Seconds(0.1, 86_400.0))
@click.argument("line", metavar="COMMAND")
@click.pass_obj
def repeat(connection: Connection, seconds: float, line: str) -> int:
    """Repeat a command each SECONDS, until Ctrl-C.

    COMMAND is the rest of the line, with its pipe or its file. What fails is tried again the next time.

    \b
    Examples: \\watch 2 status
              \\watch 0.5 get name | jq .
    """
    while True:
        began = time.monotonic()
        if on_terminal():
            print(f"-- {time.strftime('%H:%M:%S')}")
        try:
            code = connection.carry_out(line)
            sys.stdout.flush()
            if code == USAGE:
                return code
            if code is None:
                raise Leave
            time.sleep(max(0.0, began + seconds - time.monotonic()))
        except KeyboardInterrupt:
            raise LeftOpen from None  # whatever there was to say has been said


@click.command(r"\timing")
@click.pass_obj
def timing(connection: Connection) -> int:
    """Tell how long each command took, from now on, or not any more.

    \b
    Example: \\timing
    """
    connection.timing = not connection.timing
    say(f"how long each command took is {'told from now on' if connection.timing else 'not told any more'}")
    return 0


COMMANDS = (repeat, timing)
