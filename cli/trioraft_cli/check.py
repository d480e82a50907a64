"""The command `check`: every node is asked, and what is wrong is said in words, with what to do, worst first."""

from __future__ import annotations

import click

from trioraft_cli.asking import Asker, asks


@click.command()
@asks
def check(asker: Asker) -> int:
    """Ask every node, and say what is wrong and what to do, worst first.

    Where something is not as it should be, it looks twice, and takes some seconds. The exit code is 4 where something
    has to be done, and 3 where no node answers.

    \b
    Example: trioraft check
    """
    from trioraft_cli.checking.run import run_check

    return run_check(asker)


COMMANDS = (check,)
