"""The prompt: lines are typed, pasted or piped in, and carried out one after the other. It owns the main thread."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from trioraft.addresses import Address
from trioraft_cli import prompt_commands
from trioraft_cli.colour import is_dumb
from trioraft_cli.connection import NO_NODE_HINT, Connection
from trioraft_cli.counts import duration
from trioraft_cli.escapes import safe
from trioraft_cli.groups import Commands
from trioraft_cli.lines import PROMPT, Prompt, run_line
from trioraft_cli.outcomes import NO
from trioraft_cli.pager import Held
from trioraft_cli.plain_lines import PlainLines
from trioraft_cli.signals import Interrupts, Leaving
from trioraft_cli.streams import say
from trioraft_cli.typed import split_commands

if TYPE_CHECKING:
    from trioraft_cli.keyboard import Keyboard


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
    prompt = Prompt(connection, commands, (*extra, *prompt_commands.COMMANDS))
    try:
        if sys.stdin.isatty() and sys.stdout.isatty():
            return _prompt(prompt)
        code = 0
        for line in sys.stdin:
            if line.strip():
                outcome = _timed(prompt, line)
                if outcome is None:
                    break
                code = code or outcome
                sys.stdout.flush()  # whoever writes the lines may wait for each result
        connection.going_on.check()
        return code
    finally:
        connection.close()


def _prompt(prompt: Prompt) -> int:
    with Leaving() as leaving, Interrupts() as interrupts, _typed(prompt, leaving, interrupts) as typed:
        while (text := typed.next()) is not None:
            with contextlib.suppress(KeyboardInterrupt), interrupts.breaking_off():
                if not _run_lines(prompt, split_commands(prompt.root, text)):
                    break
        return 0


def _typed(prompt: Prompt, leaving: Leaving, interrupts: Interrupts) -> Keyboard | PlainLines:
    """What reads the lines that are typed on this terminal."""
    return PlainLines(prompt, interrupts) if is_dumb() else load_keyboard()(prompt, leaving)


def load_keyboard() -> type[Keyboard]:
    """Load what lines are typed with, which takes a quarter of a second."""
    from trioraft_cli.keyboard import Keyboard

    return Keyboard


def _run_lines(prompt: Prompt, lines: Sequence[str]) -> bool:
    """Carry out what was typed, or pasted, up to the first that fails; whether the prompt goes on."""
    for number, line in enumerate(lines, 1):
        left = len(lines) - number
        if len(lines) > 1:
            print(f"{PROMPT}{safe(line)}")
        try:
            with contextlib.nullcontext() if is_dumb() else Held(prompt.connection.going_on.quiet):
                outcome = _timed(prompt, line)
        except KeyboardInterrupt:
            _say_what_is_left(left)
            raise
        if outcome is None:
            return False
        if outcome not in (0, NO) and left:
            _say_what_is_left(left)
            break
    return True


def _say_what_is_left(count: int) -> None:
    if count:
        say(f"not carried out: {count} more of the lines pasted")


def _timed(prompt: Prompt, line: str) -> int | None:
    """Carry out a line as `run_line` does, and tell how long it took where that is wanted."""
    is_wanted = prompt.connection.timing
    began = time.monotonic()
    outcome = run_line(prompt, line)
    prompt.connection.going_on.check()
    if is_wanted and prompt.connection.timing:
        say(f"took {duration(time.monotonic() - began)}")
    return outcome
