"""The prompt of a demo, or the script that stands in its place."""

from __future__ import annotations

import contextlib

import click

from trioraft_cli.connection import Connection
from trioraft_cli.demo_acts import Demo
from trioraft_cli.demo_commands import commands
from trioraft_cli.demo_script import run_script
from trioraft_cli.groups import Commands
from trioraft_cli.lines import Prompt
from trioraft_cli.shell import run_shell
from trioraft_cli.tour import tour_command

HINT = r"'\restart 0' starts node 0 again; 'status' shows which nodes run"


def run(demo: Demo, script: str | None, *, asks: bool) -> int:
    """Carry out the script, or what is typed; the exit code. `asks`: somebody sits at a terminal."""
    extra = [*commands(demo, tells_all=asks), tour_command(demo, asks=asks)]
    if script is None:
        return run_shell(demo.nodes.addresses, HINT, extra, demo.down)
    root = click.get_current_context().find_root().command
    assert isinstance(root, Commands)
    with contextlib.closing(Connection(demo.nodes.addresses, HINT, demo.down)) as connection:
        return run_script(Prompt(connection, root, extra), script)
