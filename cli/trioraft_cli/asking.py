"""How a command asks the cluster: the options that say where it is, how long to try, and the request itself."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from trioraft.addresses import Address
from trioraft.client import Client, ClientError, Line, Refused, Reply, Stream, Waiting
from trioraft.client.attempts import changes
from trioraft.wire.operations import OPERATIONS
from trioraft_cli import form, render, where
from trioraft_cli.arguments import LOCK, NUMBER, SECONDS, TEXT, TIME_LIMIT
from trioraft_cli.deadlines import TimeIsUp, ending_within
from trioraft_cli.outcomes import NOT_NOW, UNKNOWN, Failure, exit_code, left_open
from trioraft_cli.streams import end_output_soon, end_soon, say

if TYPE_CHECKING:
    from trioraft_cli.going_on import GoingOn

T = TypeVar("T")
_RETRIES: Final = "Try so long while no node or no majority answers; a write is applied once, as with --once."
GRACE_SECONDS: Final = 1.0
"""How much later than the time for a wait, which the node counts, its answer may come."""


class Asker:
    """Asks one cluster, and with JSON output prints each answer as the node sent it, a refusal too."""

    going_on: GoingOn | None = None
    """What goes on between commands, at the prompt; None on the command line, where nothing can."""

    down: Callable[[], Mapping[Address, str]] = dict
    """Tells which nodes are known to be killed or paused, and need not be asked, with the word for it."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self.addresses = addresses
        self.output = "text"
        """How it prints: one of `form.OUTPUTS`."""
        self.tries_until: float | None = None
        """Up to when what cannot be done for the moment is tried again, on the monotonic clock; None: as usual."""
        self._ends: float | None = None
        self._clients: list[Client] = []

    @contextmanager
    def as_told(self, output: str, timeout: float | None, retry: float | None) -> Iterator[None]:
        """A context in which it asks and prints as the options of a command say.

        Raises Failure once `timeout` seconds are over; what there is to say of it has been said.
        """
        before = self.output, self.tries_until, self._ends, self._clients
        now = time.monotonic()
        self.output = output
        self.tries_until = None if retry is None else now + retry
        self._ends = None if timeout is None else now + timeout
        self._clients = []
        try:
            with form.chosen(output), ending_within(timeout):
                yield
        except TimeIsUp:
            _end_output()
            changed = self.has_changed
            say(f"not done within {timeout:g} s{': it may have been applied, or may still be' if changed else ''}")
            raise Failure(UNKNOWN if changed else NOT_NOW) from None
        finally:
            self.output, self.tries_until, self._ends, self._clients = before

    @property
    def as_json(self) -> bool:
        """Whether it prints what nodes sent, as they sent it."""
        return self.output == "json"

    @property
    def has_changed(self) -> bool:
        """Whether the command may have changed something."""
        return any(client.has_changed for client in self._clients)

    def patience(self, usual: float) -> float:
        """For how many seconds what cannot be done is tried again; as usual where it is told nothing else."""
        return usual if self.tries_until is None else max(0.0, self.tries_until - time.monotonic())

    def client(self, addresses: Sequence[Address] | None = None) -> Client:
        """A client of the cluster, or of those nodes of it, that tries for as long as it is told to."""
        return self._as_told(Client(addresses or self.addresses))

    def with_client(self, work: Callable[[Client], T]) -> T:
        """What `work` makes of a client of the cluster. Raises ClientError."""
        with self.client() as client:
            return work(client)

    def _as_told(self, client: Client) -> Client:
        """The client, which from now on tries for as long as this is told to."""
        client.ends, client.tries_until, client.has_changed = self._ends, self.tries_until, False
        if client not in self._clients:
            self._clients.append(client)
        return client

    def call(self, op: str, *, once: bool = False, **fields: Any) -> Reply:
        """Ask, and return the reply. Fields that are None are left out. Raises ClientError, Failure.

        `once`: in a session of its own, so that a write whose reply is lost is asked again, and applied once.
        """
        return self.ask(op, fields, once=once)

    def ask(self, op: str, fields: dict[str, Any], *, once: bool = False) -> Reply:
        """Ask as `call` does, with fields of any names. A write that is to be tried again goes in a session too."""
        once = once or (bool(self.tries_until) and "seq" in OPERATIONS[op].request.__struct_fields__)
        with self.printing(), _waited_for(op):
            reply = self.with_client(lambda client: _reply_of(client, op, fields, once=once))
        if self.as_json:
            render.show_json(reply.line)
        return reply

    def settle(self, op: str, seconds: float | None, **fields: Any) -> Line:
        """Ask what may have to wait that long, for ever if None, and return the answer. Raises ClientError, Failure.

        Ctrl-C leaves nothing open: the place of a lock that is waited for goes with its lease.
        """
        try:
            with self.printing(), ending_within(None if seconds is None else seconds + GRACE_SECONDS):
                line = _answer_of(self.addresses, op, seconds, fields, self.tries_until)
        except TimeIsUp:
            say(f"no node has answered within {seconds:g} s")
            raise Failure(NOT_NOW) from None
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


def cluster_options(command: Any, *, prints: bool = True, waits: str = "", retries: str = _RETRIES) -> Any:
    """Add the options that say where the cluster is, how to print, and how long to try.

    Without `prints` there is none that says how to print. `waits` is the help of `--timeout` for a command that waits
    for something, `retries` that of `--retry`.
    """
    servers = click.option("--servers", type=click.Path(path_type=Path), help="A servers.txt that lists the nodes.")
    connect = click.option(
        "--connect", type=TEXT, multiple=True, metavar="HOST:PORT", help="A node; may be given again."
    )
    output = click.option(
        "-o",
        "--output",
        type=click.Choice(form.OUTPUTS),
        default="text",
        metavar="FORM",
        help="json: as sent; plain: for programs; table: for a person. Without it: a table on a terminal, else plain.",
    )
    timeout = click.option(
        "--timeout",
        type=SECONDS if waits else TIME_LIMIT,
        metavar="SECONDS",
        help=waits or "End by then: with 4 where nothing was applied, with 5 where that is unknown.",
    )
    retry = click.option(
        "--retry",
        type=SECONDS,
        metavar="SECONDS",
        help=retries,
    )
    limited = timeout(retry(command))
    return servers(connect(output(limited) if prints else limited))


def write_options(command: Any) -> Any:
    """Add the options of a write, of which two go together."""
    once = click.option(
        "--once", is_flag=True, help="Ask again where a reply is lost, and be applied once all the same."
    )
    lock = click.option(
        "--lock", type=LOCK, metavar="NAME", help="With --fence: only while that lock is held under it."
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
    return asks_as()(command)


def waits(timeout: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Add those options to a command that waits for something, `timeout` at most, which is an argument of its own.

    The help of that option is given.
    """
    return asks_as(waits=timeout)


def asks_as(**options: Any) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Add those options as `cluster_options` is told to."""

    def decorate(command: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(command)
        def with_options(
            servers: Path | None,
            connect: tuple[str, ...],
            timeout: float | None,
            retry: float | None,
            output: str = "text",
            **arguments: Any,
        ) -> T:
            asker = _asker(servers, connect)
            if "waits" in options:
                arguments["timeout"], timeout = timeout, None
            with asker.as_told(output, timeout, retry):
                return command(asker, **arguments)

        added: Callable[..., T] = cluster_options(with_options, **options)
        return added

    return decorate


def _asker(servers: Path | None, connect: tuple[str, ...]) -> Asker:
    """An Asker of the cluster that these options name; else the context's own, as at the prompt.

    Raises click.UsageError.
    """
    asker = click.get_current_context().find_object(Asker)
    return Asker(where.addresses(servers, connect)) if asker is None or servers is not None or connect else asker


def _end_output() -> None:
    """Let no reader hold up what ends here: the process, or at a prompt, which goes on, a pipe."""
    going_on = _going_on()
    if going_on is None:
        end_soon()
    elif going_on.is_quiet:
        end_output_soon()


def _going_on() -> GoingOn | None:
    """What goes on at the prompt at which this command was typed, whichever cluster it asks; None where it was not."""
    context = click.get_current_context(silent=True)
    prompt = None if context is None else context.find_object(Asker)
    return None if prompt is None else prompt.going_on


def quiet_prompt() -> AbstractContextManager[None]:
    """A context in which a prompt at which this command was typed prints no event."""
    going_on = _going_on()
    return nullcontext() if going_on is None else going_on.quiet()


def _reply_of(client: Client, op: str, fields: dict[str, Any], *, once: bool) -> Reply:
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


def _answer_of(
    addresses: Sequence[Address],
    op: str,
    seconds: float | None,
    fields: dict[str, Any],
    tries_until: float | None = None,
) -> Line:
    """Ask what may have to wait that long, for ever if None, and return its answer. Raises ClientError."""
    request = {"op": op, **{name: value for name, value in fields.items() if value is not None}}
    waiting = Waiting(request, seconds, time.monotonic(), _say_that_it_waits)
    return next(iter(Stream(addresses, waiting, say, tries_until)))


def _say_that_it_waits(reply: Reply) -> None:
    """Tell whoever looks at a terminal why nothing happens; of a lock also how many come first."""
    if sys.stderr.isatty():
        ahead = reply.raw("ahead").decode()
        say(f"waiting: {ahead} ahead, with the one that holds it" if ahead else "waiting")


def _close(client: Client, session: str) -> None:
    with suppress(ClientError, TimeIsUp):  # the write is done
        client.call("close_session", client=session)  # else it ends once it is the one longest unused


@contextmanager
def _waited_for(op: str) -> Iterator[None]:
    """A context that says what Ctrl-C leaves open."""
    try:
        yield
    except KeyboardInterrupt:
        if changes(op):
            raise left_open() from None
        raise
