"""How a command asks the cluster: the options that say where it is, and the request itself."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from trioraft.addresses import Address
from trioraft.client import Client, ClientError, Line, Refused, Reply, Stream, Waiting
from trioraft.client.attempts import changes
from trioraft_cli import render, where
from trioraft_cli.arguments import NUMBER, TEXT
from trioraft_cli.outcomes import NOT_WAITED_FOR, Failure, exit_code
from trioraft_cli.streams import say

T = TypeVar("T")


class Asker:
    """Asks one cluster, and with JSON output prints each answer as the node sent it, a refusal too."""

    def __init__(self, addresses: Sequence[Address], output: str = "text") -> None:
        self.addresses = addresses
        self.as_json = output == "json"

    def call(self, op: str, *, once: bool = False, **fields: Any) -> Reply:
        """Ask, and return the reply. Fields that are None are left out. Raises ClientError, Failure.

        `once`: in a session of its own, so that a write whose reply is lost is asked again, and applied once.
        """
        return self.ask(op, fields, once=once)

    def ask(self, op: str, fields: dict[str, Any], *, once: bool = False) -> Reply:
        """Ask as `call` does, with fields of any names."""
        with self.printing(), _waited_for(op), Client(self.addresses) as client:
            reply = reply_of(client, op, fields, once=once)
        if self.as_json:
            render.show_json(reply.line)
        return reply

    def settle(self, op: str, seconds: float | None, **fields: Any) -> Line:
        """Ask what may have to wait that long, for ever if None, and return the answer. Raises ClientError, Failure.

        Ctrl-C leaves nothing open: the place of a lock that is waited for goes with its lease.
        """
        with self.printing():
            line = answer_of(self.addresses, op, seconds, fields)
        if self.as_json:
            render.show_json(line.line)
        return line

    @contextmanager
    def printing(self) -> Iterator[None]:
        """A context in which a refusal is printed, where the output is JSON, and becomes a Failure."""
        try:
            yield
        except Refused as refused:
            if not self.as_json:
                raise
            render.show_json(refused.reply.line)
            raise Failure(exit_code(refused)) from None


def cluster_options(command: Any) -> Any:
    """Add the options that say where the cluster is, and how to print."""
    servers = click.option("--servers", type=click.Path(path_type=Path), help="A servers.txt that lists the nodes.")
    connect = click.option(
        "--connect", type=TEXT, multiple=True, metavar="HOST:PORT", help="A node; may be given again."
    )
    output = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="json: as sent.")
    return servers(connect(output(command)))


def write_options(command: Any) -> Any:
    """Add the options of a write, of which two go together."""
    once = click.option(
        "--once", is_flag=True, help="Ask again where a reply is lost, and be applied once all the same."
    )
    lock = click.option(
        "--lock", type=TEXT, metavar="NAME", help="With --fence: only while that lock is held under it."
    )
    fence = click.option("--fence", type=NUMBER, help="The fence that the lock was granted with.")

    @functools.wraps(command)
    def checked(*asker: Any, **arguments: Any) -> Any:
        if (arguments["lock"] is None) != (arguments["fence"] is None):
            raise click.UsageError("--lock NAME and --fence FENCE go together")
        return command(*asker, **arguments)

    return once(lock(fence(checked)))


def page_options(command: Any) -> Any:
    """Add the option that bounds a list."""
    return click.option("--limit", type=NUMBER, help="At most so many.")(command)


def asks(command: Callable[..., T]) -> Callable[..., T]:
    """Add those options, and give the command an Asker as its first argument in their place."""

    @functools.wraps(command)
    def with_options(servers: Path | None, connect: tuple[str, ...], output: str, **arguments: Any) -> T:
        return command(Asker(where.addresses(servers, connect), output), **arguments)

    added: Callable[..., T] = cluster_options(with_options)
    return added


def reply_of(client: Client, op: str, fields: dict[str, Any], *, once: bool) -> Reply:
    """Ask with this client, and return the reply; `once` in a session of its own. Raises ClientError."""
    if not once:
        return client.call(op, **fields)
    session = client.call("open_session")["client"]
    try:
        reply = client.call(op, **{"client": session, "seq": 1, **fields})
    except Refused:
        _close(client, session)
        raise
    _close(client, session)
    return reply


def answer_of(addresses: Sequence[Address], op: str, seconds: float | None, fields: dict[str, Any]) -> Line:
    """Ask what may have to wait that long, for ever if None, and return its answer. Raises ClientError."""
    request = {"op": op, **{name: value for name, value in fields.items() if value is not None}}
    return next(iter(Stream(addresses, Waiting(request, seconds, time.monotonic(), _say_that_it_waits), say)))


def _say_that_it_waits(reply: Reply) -> None:
    """Tell whoever looks at a terminal why nothing happens; of a lock also how many come first."""
    if sys.stderr.isatty():
        ahead = reply.raw("ahead").decode()
        say(f"waiting: {ahead} ahead, with the one that holds it" if ahead else "waiting")


def _close(client: Client, session: str) -> None:
    with suppress(ClientError):
        client.call("close_session", client=session)  # else it ends once it is the one longest unused


@contextmanager
def _waited_for(op: str) -> Iterator[None]:
    """A context that says what Ctrl-C leaves open."""
    try:
        yield
    except KeyboardInterrupt:
        if changes(op):
            say(NOT_WAITED_FOR)
        raise
