"""The prompt's commands that take options: each is read as on the command line, and carried out there or here."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

import click

from trioraft.client import KeptLease
from trioraft_cli import leases, locks, watching
from trioraft_cli.commands import COMMANDS, PromptError
from trioraft_cli.connection import Connection
from trioraft_cli.notation import NotationError, of_line
from trioraft_cli.outcomes import NO
from trioraft_cli.streams import say
from trioraft_cli.transactions import naming_the_failed, show_txn
from trioraft_cli.words import WordError, quote, words_of

_READ_THERE: Final[dict[str, click.Command]] = {
    **{str(command.name): command for command in (*watching.COMMANDS, *locks.COMMANDS)},
    **{f"{leases.lease.name} {name}": command for name, command in leases.lease.commands.items()},
}


def carry_out(connection: Connection, name: str, typed: str) -> int:
    """Carry out a command with what was typed behind its name; the exit code. Raises PromptError, ClientError."""
    try:
        return _txn(connection, typed) if name not in _READ_THERE else _carry_out(connection, name, words_of(typed))
    except (WordError, NotationError) as error:
        raise PromptError(str(error)) from None
    except click.UsageError as error:
        raise PromptError(f"{error.format_message().rstrip('.')}; usage: {COMMANDS[name].typed.usage}") from None
    except click.exceptions.Exit:  # --help was printed
        return 0


def _carry_out(connection: Connection, name: str, words: list[str]) -> int:
    command = _READ_THERE[name]
    arguments = _arguments(command, name, words)
    if arguments.pop("tail", None) is not None:
        raise PromptError(f"a command is run by 'trioraft {name}' alone, in a shell outside of this prompt")
    act = _CARRIED_OUT_HERE.get(name) or _inner(command)
    return act(connection, **arguments)


def _arguments(command: click.Command, name: str, words: list[str]) -> dict[str, Any]:
    """The arguments that the words give the command: those apart that say where the cluster is, and how to ask it."""
    here = copy.copy(command)
    taken = inspect.signature(_inner(command)).parameters
    here.params = [param for param in command.params if param.name in taken]
    return here.make_context(name, words).params


def _inner(command: click.Command) -> Callable[..., int]:
    """The function behind a command, which takes an Asker."""
    inner: Callable[..., int] = command.callback.__wrapped__  # type: ignore[union-attr]
    return inner


def _txn(connection: Connection, typed: str) -> int:
    with naming_the_failed():
        reply = connection.call("txn", **of_line(typed))
    show_txn(reply)
    return 0 if reply["succeeded"] else NO


def _watch(
    connection: Connection, prefix: str, key: bool, initial: bool, after: int | None, timeout: float | None
) -> int:
    if timeout is not None:
        raise PromptError("a watch goes on beside this prompt, until Ctrl-C: leave out --timeout")
    connection.going_on.watch(watching.watched(prefix, key, initial, after))
    say("changes are shown as they come, until Ctrl-C")
    return 0


def _lock(connection: Connection, name: str, ttl: float, timeout: float | None) -> int:
    """Hold a lock while the prompt runs, unless it is unlocked before."""
    if connection.going_on.holds(name):
        raise PromptError(f"this prompt holds the lock {quote(name)} already")
    with ExitStack() as lock:
        kept = lock.enter_context(KeptLease(connection.addresses, ttl))
        fence = locks.take(connection, kept, name, timeout)
        print(f"fence {fence}, lease {kept.lease}")
        typed = quote(name, sys.stderr.encoding)
        say(f"the lock is kept while this prompt runs, or until 'unlock {typed}'")
        connection.going_on.hold(name, lock.pop_all(), kept)
    return 0


def _unlock(connection: Connection, name: str, lease: int | None, fence: int | None) -> int:
    if lease is None and connection.going_on.holds(name):
        connection.going_on.give_back(name)
        return 0
    return _inner(locks.unlock)(connection, name=name, lease=lease, fence=fence)


_CARRIED_OUT_HERE: Final[dict[str, Callable[..., int]]] = {"watch": _watch, "lock": _lock, "unlock": _unlock}
