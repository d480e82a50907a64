"""The commands that save a cluster and bring it back: backup, restore, recover."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from trioraft_cli import where
from trioraft_cli.arguments import Whole
from trioraft_cli.asking import Asker, asks
from trioraft_cli.render import show_json


def _or(stream: str) -> Callable[[click.Context, click.Parameter, Path], Path]:
    """A callback that takes '-' for a stream: a file of that name is what nobody means."""
    return lambda _context, _param, file: Path(stream) if file == Path("-") else file


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), callback=_or("/dev/stdout"))
@asks
def backup(asker: Asker, file: Path) -> int:
    """Save all keys of the running cluster to FILE, as they are at one moment; '-' is standard output.

    \b
    Examples: trioraft backup monday.backup
              trioraft backup - | gzip > monday.gz
    """
    from trioraft_cli.backup import save

    with asker.printing(), asker.client() as client:
        return save(client, file, (lambda reply: show_json(reply.line)) if asker.as_json else None)


@click.command()
@click.argument(
    "file", type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True), callback=_or("/dev/stdin")
)
@click.option("--data-dir", type=click.Path(path_type=Path), required=True, help="The folder that is made.")
@click.option("--address", required=True, metavar="HOST:PORT", help="Where the node will listen.")
@click.option("--node", type=Whole(min=0), default=0, show_default=True, help="Its id.")
def restore(file: Path, data_dir: Path, address: str, node: int) -> int:
    """Make a new cluster of one node from the backup FILE; '-' is standard input.

    \b
    Example: trioraft restore monday.backup --data-dir restored --address 127.0.0.1:8000
    """
    from trioraft_cli import backup

    return backup.restore(file, data_dir, node, where.address(address))


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), required=True, help="The survivor's folder.")
@click.option("--force-members", "address", required=True, metavar="HOST:PORT", help="The survivor: the only member.")
def recover(data_dir: Path, address: str) -> int:
    """Make a survivor a new cluster of one, where the majority is lost for good. What only the lost knew is lost.

    \b
    Example: trioraft recover --data-dir trioraft-data/node-1 --force-members 127.0.0.1:8001
    """
    from trioraft_cli import backup

    return backup.recover(data_dir, where.address(address))


COMMANDS = (backup, restore, recover)
