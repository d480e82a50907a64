"""The prompt: it owns the main thread, and its connection lives in another."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from trioraft.addresses import Address
from trioraft.background import in_background
from trioraft.client import Client, ClientError, NoNode, Reply
from trioraft.wire.codec import DecodeError
from trioraft_cli import members, render
from trioraft_cli.cluster import COLUMNS, ClusterStatus
from trioraft_cli.commands import (
    PromptError,
    complete_command,
    has_broken_json,
    help_lines,
    is_remark,
    key_to_complete,
    parse_line,
    split_commands,
)
from trioraft_cli.counts import snapshot_taken
from trioraft_cli.escapes import safe
from trioraft_cli.history import KeptHistory
from trioraft_cli.main import NO, USAGE, complain, exit_code, judge, no_key, show_members
from trioraft_cli.signals import Interrupts, Leaving
from trioraft_cli.streams import say
from trioraft_cli.values import STORED_AS_STRING
from trioraft_cli.words import quote, shell_word

COMPLETION_SECONDS: Final = 0.5
COMPLETIONS: Final = 100
PROMPT: Final = "trioraft> "
_NO_NODE_HINT: Final = (
    "start the nodes; if they are elsewhere, leave this prompt and say where: 'trioraft shell --servers FILE'"
)

T = TypeVar("T")


class Connection:
    """A client whose calls run in a thread of their own, so that Ctrl-C always ends the wait."""

    def __init__(self, addresses: Sequence[Address], hint: str = _NO_NODE_HINT) -> None:
        """`hint` says what to do where no node can be reached."""
        self._addresses = addresses
        self._hint = hint
        self._client = Client(addresses)
        self._node: Address | None = None

    @property
    def node(self) -> Address | None:
        """The node that answered last."""
        return self._node

    def call(self, op: str, **fields: Any) -> Reply:
        """Ask and wait; Ctrl-C gives up the wait and the connection, and the next call has a new one."""
        return self._wait(lambda client: client.call(op, **fields))

    def members(self) -> members.Members:
        """The members, as the leader sees them."""
        return self._wait(members.ask_members)

    def close(self) -> None:
        """Close it; what is under way is not waited for."""
        self._client.abandon()

    def _wait(self, work: Callable[[Client], T]) -> T:
        client = self._client
        future = in_background(lambda: work(client))
        try:
            return future.result()
        except NoNode as error:
            error.hint = self._hint
            raise
        except KeyboardInterrupt:
            client.abandon()
            self._client = Client(self._addresses)
            raise
        finally:
            before, now = self._node, client.address
            if now is not None:
                self._node = now
                if before not in (None, now):
                    say(f"{before} does not answer, now asking {now}")


class ClusterCompleter(Completer):
    """Completes commands, and the keys that exist.

    It takes no thread of the prompt's loop: the loop waits for those before a command that was entered is carried out.
    """

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._client = Client(addresses, timeout=COMPLETION_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """The commands alone: for the keys a node has to be waited for."""
        text = document.current_line_before_cursor
        return [Completion(name, start_position=-len(text.lstrip())) for name in complete_command(text)]

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """The completions of the text before the cursor."""
        for completion in self.get_completions(document, complete_event):
            yield completion
        found = key_to_complete(document.current_line_before_cursor)
        if found is None:
            return
        prefix, typed = found
        for key in await self._keys(prefix):
            yield Completion(quote(key), start_position=-typed)

    async def _keys(self, prefix: str) -> list[str]:
        fields = {"op": "scan", "prefix": prefix, "keys_only": True, "limit": COMPLETIONS, "read": "stale"}
        client = self._client
        asked = in_background(lambda: client.pipeline([fields])[0])
        try:
            reply = await asyncio.wait_for(asyncio.wrap_future(asked), COMPLETION_SECONDS)
            return [row.key for row in render.scan_rows(reply)] if reply.ok else []
        except (ClientError, TimeoutError, DecodeError):
            return []  # no key is worth a delay, or a message in the middle of the typing
        finally:
            if not asked.done():
                client.abandon()
                self._client = Client(self._addresses, timeout=COMPLETION_SECONDS)


def run_shell(addresses: Sequence[Address], hint: str = _NO_NODE_HINT) -> int:
    """Read commands until the end; the exit code. Without a terminal, a failed command is told by it.

    `hint` says what to do where no node can be reached.
    """
    connection = Connection(addresses, hint)
    try:
        if sys.stdin.isatty() and sys.stdout.isatty():
            return _prompt(connection, addresses)
        code = 0
        for line in sys.stdin:
            if line.strip():
                outcome = run_line(connection, addresses, line)
                if outcome is None:
                    break
                code = code or outcome
                sys.stdout.flush()  # who writes the lines may wait for what comes of them
        return code
    finally:
        connection.close()


def run_line(connection: Connection, addresses: Sequence[Address], line: str) -> int | None:
    """Carry out one line; its exit code, None where it ends the prompt."""
    if is_remark(line):
        return 0
    try:
        name, fields = parse_line(line)
        if name == "exit":
            return None
        code = _carry_out(connection, addresses, name, fields)
        if has_broken_json(line):
            say(STORED_AS_STRING)
        return code
    except PromptError as error:
        say(str(error))
        return USAGE
    except ClientError as error:
        complain(error)
        return exit_code(error)


def _carry_out(connection: Connection, addresses: Sequence[Address], name: str, fields: dict[str, Any]) -> int:
    if name == "help":
        print("\n".join(help_lines(fields.get("about"))))
        return 0
    if name == "status":
        cluster = ClusterStatus(addresses)
        render.show("", COLUMNS, cluster.rows())
        return judge(cluster)
    if name == "members":
        return show_members(connection.members())
    reply = connection.call("transfer_leadership" if name == "transfer" else name, **fields)
    match name:
        case "add_member":
            member = members.added(reply)
            print(f"node {member.id} is a member: start it with 'trioraft node {member.id} servers.txt'")
        case "remove_member":
            print(f"node {fields['member']} is no member any more")
        case "promote_member":
            print(f"node {fields['member']} votes as soon as it has caught up")
        case "transfer":
            print(f"node {reply['leader']} leads in term {reply['term']}")
        case "snapshot":
            print(snapshot_taken(reply["keys"], reply["index"], reply["bytes"]))
        case "get":
            if reply["version"] == 0:
                return no_key(fields["key"])
            render.show_json(reply.raw("value"))
        case "put":
            print(f"revision {reply['rev']}")
        case "delete":
            if not reply["deleted"]:
                return no_key(fields["key"])
            print("deleted")
        case "incr":
            render.show_json(reply.raw("value"))
            print(f"revision {reply['rev']}")
        case "scan":
            render.show_scan(reply, keys_only=False)
            if reply["more"]:
                last = shell_word(render.scan_rows(reply)[-1].key, sys.stderr.encoding)
                say(f"there are more: outside of this prompt 'trioraft scan' shows those --after {last}")
        case "show_log":
            render.show_log(reply)
    return 0


def _prompt(connection: Connection, addresses: Sequence[Address]) -> int:
    with Leaving() as leaving, contextlib.closing(ClusterCompleter(addresses)) as completer:
        typing = _Typing(connection, completer, leaving)
        with Interrupts() as interrupts:
            while True:
                text = typing.next()
                if text is None:
                    return 0
                try:
                    with interrupts.breaking_off():
                        if not _run_lines(connection, addresses, split_commands(text)):
                            return 0
                except KeyboardInterrupt:
                    say("not waited for; a write may still take effect")


class _Typing:
    """What is typed on the terminal."""

    def __init__(self, connection: Connection, completer: Completer, leaving: Leaving) -> None:
        self._history = KeptHistory()
        self._leaving = leaving
        self._session: PromptSession[str] = PromptSession(
            history=self._history,
            auto_suggest=AutoSuggestFromHistory(),
            completer=completer,
            complete_while_typing=False,  # no node is asked for every key that is pressed, and no Tab is lost meanwhile
            bottom_toolbar=lambda: f" {connection.node or 'not connected yet'}   help, exit; Tab completes ",
        )

    def next(self) -> str | None:
        """The next line, or lines that were pasted; nothing where Ctrl-C cleared it, None at the end."""
        if warning := self._history.take_warning():
            say(warning)
        try:
            with self._leaving.by_asking(self._ask_to_end):
                return self._session.prompt(PROMPT, pre_run=self._end_if_told)
        except KeyboardInterrupt:
            return ""
        except EOFError:
            return None

    def _ask_to_end(self) -> None:
        """In the middle of anything: an exception would reach people as a traceback, with the terminal as it is now."""
        if (loop := self._session.app.loop) is not None:
            loop.call_soon_threadsafe(self._end_if_told)

    def _end_if_told(self) -> None:
        app = self._session.app
        if self._leaving.told and app.is_running and not app.is_done:
            app.exit(exception=EOFError)


def _run_lines(connection: Connection, addresses: Sequence[Address], lines: Sequence[str]) -> bool:
    """Carry out what was typed, or pasted, up to the first that fails; whether the prompt goes on."""
    for number, line in enumerate(lines, 1):
        if len(lines) > 1:
            print(f"{PROMPT}{safe(line)}")
        outcome = run_line(connection, addresses, line)
        if outcome is None:
            return False
        if outcome not in (0, NO) and number < len(lines):
            say(f"not carried out: {len(lines) - number} more of the lines pasted")
            break
    return True
