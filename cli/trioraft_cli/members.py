"""The commands for the members: members, and its own commands add, remove, promote, apply."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from trioraft.addresses import ServersFileError, read_servers
from trioraft_cli import render, where
from trioraft_cli.arguments import NODE, TEXT
from trioraft_cli.asking import Asker, asks, cluster_options
from trioraft_cli.groups import Commands
from trioraft_cli.member_plan import PlanError, carry_out, plan
from trioraft_cli.membership import added, ask_members, show_members
from trioraft_cli.outcomes import left_open
from trioraft_cli.streams import say


@click.group(cls=Commands, invoke_without_command=True)
@cluster_options
@click.pass_context
def members(context: click.Context, /, **options: Any) -> int:
    """Show the members of the cluster, or change them: add, remove, promote, apply.

    \b
    Example: trioraft members
    """
    if context.invoked_subcommand is None:
        return _list(**options)
    if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in options):
        raise click.UsageError(f"the options of '{context.invoked_subcommand}' stand behind it")
    return 0


@asks
def _list(asker: Asker) -> int:
    if asker.as_json:
        asker.call("members")
        return 0
    return show_members(asker.with_client(ask_members), asker.down())


@members.command()
@click.argument("address", type=TEXT)
@click.option("--learner", is_flag=True, help="It never votes, unless it is promoted.")
@asks
def add(asker: Asker, address: str, learner: bool) -> int:
    """Take in a node at ADDRESS; it gets the next id, and a vote once it has caught up.

    \b
    Example: trioraft members add 10.0.0.4:8000 --learner
    """
    reply = asker.call("add_member", address=str(where.address(address)), learner=learner)
    if not asker.as_json:
        member = added(reply)
        print(
            f"node {member.id} at {member.address} is a member: start it with 'trioraft node {member.id} servers.txt',"
        )
        print(f"its line added to servers.txt at position {member.id}")
    return 0


@members.command()
@click.argument("member", type=NODE)
@click.option("--force", is_flag=True, help="Though no majority of the others is live.")
@asks
def remove(asker: Asker, member: int, force: bool) -> int:
    """Let the node with the id MEMBER go, for good.

    \b
    Example: trioraft members remove 2
    """
    asker.call("remove_member", member=member, force=force)
    if not asker.as_json:
        print(f"node {member} is no member any more: stop it, and put '-' in its line of servers.txt")
    return 0


@members.command()
@click.argument("member", type=NODE)
@asks
def promote(asker: Asker, member: int) -> int:
    """Let the learner with the id MEMBER vote, once it has caught up.

    \b
    Example: trioraft members promote 3
    """
    asker.call("promote_member", member=member)
    if not asker.as_json:
        print(f"node {member} votes as soon as it has caught up")
    return 0


@members.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@asks
def apply(asker: Asker, file: Path, dry_run: bool) -> int:
    """Make the members those that FILE lists, a safe change after the other.

    With -o json standard output has the reply to each change, and standard error what is done.

    \b
    Example: trioraft members apply servers.txt --dry-run
    """
    try:
        listed = read_servers(file)
        present = asker.with_client(ask_members)
        steps = plan(listed, present)
        tell: Callable[[str], None] = say if asker.as_json else print
        for step in steps:
            tell(f"{'would' if dry_run else 'will'} {step}")
        if not steps:
            tell("nothing to do: the members are those of the file")
        if not dry_run:
            with asker.printing():
                for reply in carry_out(asker.client, present, steps, file, tell):
                    if asker.as_json:
                        render.show_json(reply.line)
    except (ServersFileError, PlanError) as error:
        raise click.UsageError(str(error)) from None
    except KeyboardInterrupt:
        raise left_open() from None
    return 0


COMMANDS = (members,)
