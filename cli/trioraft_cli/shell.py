"""The prompt: lines are typed, pasted or piped in, and carried out one after the other. It owns the main thread."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import Completer
from prompt_toolkit.patch_stdout import patch_stdout

from trioraft.addresses import Address
from trioraft_cli.colour import is_dumb
from trioraft_cli.completion import ClusterCompleter
from trioraft_cli.connection import NO_NODE_HINT, Connection
from trioraft_cli.counts import counted
from trioraft_cli.escapes import safe
from trioraft_cli.groups import Commands
from trioraft_cli.history import KeptHistory
from trioraft_cli.lines import PROMPT, Prompt, run_line
from trioraft_cli.outcomes import NO
from trioraft_cli.pager import Held
from trioraft_cli.signals import Interrupts, Leaving
from trioraft_cli.streams import say
from trioraft_cli.typed import split_commands


def run_shell(
    addresses: Sequence[Address],
    hint: str = NO_NODE_HINT,
    extra: Sequence[click.Command] = (),
    down: Callable[[], Mapping[Address, str]] = dict,
) -> int:
    """Carry out commands until the end; the exit code, which without a terminal is that of the first that failed.

    It is called from within a command, of whose tree the prompt has the commands, and `extra`. `hint` says what to do
    where no node can be reached, and `down` which nodes are known to be killed or paused.
    """
    commands = click.get_current_context().find_root().command
    assert isinstance(commands, Commands)
    connection = Connection(addresses, hint, down)
    prompt = Prompt(connection, commands, extra)
    try:
        if sys.stdin.isatty() and sys.stdout.isatty():
            return _prompt(prompt)
        code = 0
        for line in sys.stdin:
            if line.strip():
                outcome = run_line(prompt, line)
                if outcome is None:
                    break
                code = code or outcome
                sys.stdout.flush()  # whoever writes the lines may wait for each result
        return code
    finally:
        connection.close()


def _prompt(prompt: Prompt) -> int:
    with Leaving() as leaving:
        typing = _Typing(prompt.connection, ClusterCompleter(prompt), leaving)
        with Interrupts() as interrupts:
            while True:
                text = typing.next()
                if text is None:
                    return 0
                with contextlib.suppress(KeyboardInterrupt), interrupts.breaking_off():
                    if not _run_lines(prompt, split_commands(prompt.root, text)):
                        return 0


class _Typing:
    """What is typed on the terminal."""

    def __init__(self, connection: Connection, completer: Completer, leaving: Leaving) -> None:
        self._history = KeptHistory()
        self._leaving = leaving
        self._connection = connection
        self._session: PromptSession[str] = PromptSession(
            history=self._history,
            auto_suggest=AutoSuggestFromHistory(),
            completer=completer,
            complete_while_typing=False,  # each key would ask a node, and a Tab meanwhile would be lost
            bottom_toolbar=lambda: f" {connection.node or 'not connected yet'}   help, exit; Tab completes ",
        )

    def next(self) -> str | None:
        """Return the next line, or lines that were pasted; an empty one where Ctrl-C cleared it, None at the end."""
        if warning := self._history.take_warning():
            say(warning)
        try:
            beside = patch_stdout() if self._connection.going_on.is_busy else contextlib.nullcontext()
            with self._leaving.by_asking(self._ask_to_end), beside:
                return self._session.prompt(PROMPT, pre_run=self._end_if_told)
        except KeyboardInterrupt:
            if ended := self._connection.going_on.end_watches():
                say(f"no longer shown: the changes of {counted(ended, 'watch', 'watches')}")
            return ""
        except EOFError:
            return None

    def _ask_to_end(self) -> None:
        """Called by a signal: an exception would be shown as a traceback, and leave the terminal as it is."""
        if (loop := self._session.app.loop) is not None:
            loop.call_soon_threadsafe(self._end_if_told)

    def _end_if_told(self) -> None:
        app = self._session.app
        if self._leaving.told and app.is_running and not app.is_done:
            app.exit(exception=EOFError)


def _run_lines(prompt: Prompt, lines: Sequence[str]) -> bool:
    """Carry out what was typed, or pasted, up to the first that fails; whether the prompt goes on."""
    for number, line in enumerate(lines, 1):
        if len(lines) > 1:
            print(f"{PROMPT}{safe(line)}")
        with Held(prompt.connection.going_on.quiet) if not is_dumb() else contextlib.nullcontext():
            outcome = run_line(prompt, line)
        if outcome is None:
            return False
        if outcome not in (0, NO) and number < len(lines):
            say(f"not carried out: {len(lines) - number} more of the lines pasted")
            break
    return True
