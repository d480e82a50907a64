"""The command line: the tree of its commands, and how they are run."""

from __future__ import annotations

from typing import Any

import click

import trioraft
from trioraft_cli import check, cluster, keys, leases, locks, members, running, saving, streams, transactions, watching
from trioraft_cli.groups import Commands
from trioraft_cli.outcomes import conclude


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(trioraft.__version__, prog_name="trioraft")
def cli() -> None:
    """A replicated JSON key-value store.

    Try it with nothing prepared: trioraft demo
    """


for command in (
    *running.COMMANDS,
    *keys.COMMANDS,
    *transactions.COMMANDS,
    *watching.COMMANDS,
    *leases.COMMANDS,
    *locks.COMMANDS,
    *cluster.COMMANDS,
    *check.COMMANDS,
    members.members,
    *saving.COMMANDS,
):
    cli.add_command(command)


def command_line() -> Any:
    """Carry out the command that sys.argv names; the exit code of one that does not fail. Raises whatever it raises."""
    return cli.main(prog_name="trioraft", standalone_mode=False)


def run() -> int:
    """Run the command line on sys.argv; the exit code."""
    streams.prepare()
    return conclude(command_line)
