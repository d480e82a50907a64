"""The command line: the tree of its commands, and how they are run."""

from __future__ import annotations

from typing import Any

import click

import trioraft
from trioraft_cli import (
    check,
    cluster,
    faults,
    keys,
    leading,
    leases,
    locks,
    members,
    pipe,
    running,
    saving,
    shell_completion,
    streams,
    top,
    transactions,
    watching,
)
from trioraft_cli.bench import command as bench
from trioraft_cli.groups import Commands
from trioraft_cli.outcomes import conclude


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(trioraft.__version__, prog_name="trioraft")
def cli() -> None:
    """A replicated JSON key-value store.

    Try it with nothing prepared: trioraft demo
    """


cli.section("run", *running.COMMANDS, *shell_completion.COMMANDS)
cli.section("keys", *keys.COMMANDS, *transactions.COMMANDS, *pipe.COMMANDS)
cli.section("watch and lock", *watching.COMMANDS, *locks.COMMANDS, *leading.COMMANDS, *leases.COMMANDS)
cli.section("cluster", *members.COMMANDS, *cluster.COMMANDS, *faults.COMMANDS)
cli.section("seeing", *cluster.SEEING, *top.COMMANDS, *check.COMMANDS)
cli.section("saving", *saving.COMMANDS)
cli.section("proof", running.sim, *bench.COMMANDS)


def command_line() -> Any:
    """Carry out the command that sys.argv names; the exit code of one that does not fail. Raises whatever it raises."""
    return cli.main(prog_name="trioraft", standalone_mode=False)


def run() -> int:
    """Run the command line on sys.argv; the exit code."""
    streams.prepare()
    shell_completion.prepare()
    return conclude(command_line)
