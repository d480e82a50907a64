"""The prompt: it owns the main thread, and its connection lives in another."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory

from trioraft.addresses import Address
from trioraft.client import Client, ClientError, Reply
from trioraft_cli import members, render
from trioraft_cli.background import in_background
from trioraft_cli.cluster import COLUMNS, ClusterStatus
from trioraft_cli.commands import (
    PromptError,
    complete_command,
    help_lines,
    key_to_complete,
    parse_line,
    quote_key,
)
from trioraft_cli.main import NO, complain, exit_code

COMPLETION_SECONDS: Final = 0.5
COMPLETIONS: Final = 100

T = TypeVar("T")


class Connection:
    """A client whose calls run in a thread of their own, so that Ctrl-C always ends the wait."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
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
        except KeyboardInterrupt:
            client.abandon()
            self._client = Client(self._addresses)
            raise
        finally:
            before, now = self._node, client.address
            if now is not None:
                self._node = now
                if before not in (None, now):
                    print(f"trioraft: {before} does not answer, now asking {now}", file=sys.stderr)


class ClusterCompleter(Completer):
    """Completes commands, and the keys that exist; prompt-toolkit runs it beside the prompt."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._client = Client(addresses, timeout=COMPLETION_SECONDS)
        self._lock = threading.Lock()
        """Completions that are not wanted any more may still be under way when the next are asked for."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """The completions of the text before the cursor."""
        text = document.text_before_cursor
        for name in complete_command(text):
            yield Completion(name, start_position=-len(text.lstrip()))
        prefix = key_to_complete(text)
        if prefix is None:
            return
        for key in self._keys(prefix):
            yield Completion(quote_key(key), start_position=-len(prefix), display=key)

    def _keys(self, prefix: str) -> list[str]:
        fields = {"op": "scan", "prefix": prefix, "keys_only": True, "limit": COMPLETIONS, "read": "stale"}
        with self._lock:
            client = self._client
            future = in_background(lambda: client.pipeline([fields])[0])
            try:
                reply = future.result(COMPLETION_SECONDS)
            except TimeoutError:
                client.abandon()
                self._client = Client(self._addresses, timeout=COMPLETION_SECONDS)
                return []
            except ClientError:
                return []  # no key is worth a delay, or a message in the middle of the typing
        return [row.key for row in render.scan_rows(reply)] if reply.ok else []


def run_shell(addresses: Sequence[Address]) -> int:
    """Read commands until the end; the exit code. Without a terminal, a failed command is told by it."""
    connection = Connection(addresses)
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
        return code
    finally:
        connection.close()


def run_line(connection: Connection, addresses: Sequence[Address], line: str) -> int | None:
    """Carry out one line; its exit code, None where it ends the prompt."""
    try:
        name, fields = parse_line(line)
        if name == "exit":
            return None
        return _carry_out(connection, addresses, name, fields)
    except PromptError as error:
        print(f"trioraft: {error}", file=sys.stderr)
        return 2
    except ClientError as error:
        complain(error)
        return exit_code(error)


def _carry_out(connection: Connection, addresses: Sequence[Address], name: str, fields: dict[str, Any]) -> int:
    if name == "help":
        print("\n".join(help_lines(fields.get("about"))))
        return 0
    if name == "status":
        render.show("", COLUMNS, ClusterStatus(addresses).rows())
        return 0
    if name == "members":
        members.show(connection.members())
        return 0
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
            print(f"{reply['keys']} keys up to entry {reply['index']}, {reply['bytes']} bytes")
        case "get":
            if reply["version"] == 0:
                print(f"trioraft: there is no key {fields['key']!r}", file=sys.stderr)
                return NO
            render.out(reply.raw("value").decode())
        case "put":
            print(f"revision {reply['rev']}")
        case "delete":
            print("deleted" if reply["deleted"] else f"there is no key {fields['key']!r}")
        case "incr":
            render.out(reply.raw("value").decode())
        case "scan":
            render.show_scan(reply, keys_only=False)
        case "show_log":
            render.show_log(reply)
    return 0


def _prompt(connection: Connection, addresses: Sequence[Address]) -> int:
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(_history_file())),
        auto_suggest=AutoSuggestFromHistory(),
        completer=ClusterCompleter(addresses),
        complete_in_thread=True,
        bottom_toolbar=lambda: f" {connection.node or 'not connected yet'}   help, exit; Tab completes ",
    )
    while True:
        try:
            line = session.prompt("trioraft> ")
        except KeyboardInterrupt:
            continue  # Ctrl-C clears the line
        except EOFError:
            return 0
        if not line.strip():
            continue
        try:
            if run_line(connection, addresses, line) is None:
                return 0
        except KeyboardInterrupt:
            print("trioraft: not waited for; a write may still take effect", file=sys.stderr)


def _history_file() -> Path:
    """Where the history is kept, for its owner alone."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = state / "trioraft"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "history"
    path.touch(mode=0o600)
    return path
