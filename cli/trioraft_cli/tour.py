"""The tour of a demo: it goes through the steps with whoever looks on, and mends what they broke."""

from __future__ import annotations

import contextlib
import sys
import termios
import textwrap
import time
from typing import Final

import click

from trioraft.client import ClientError
from trioraft_cli import form
from trioraft_cli.connection import Connection
from trioraft_cli.demo_acts import Demo
from trioraft_cli.escapes import safe
from trioraft_cli.lines import PROMPT
from trioraft_cli.outcomes import INTERRUPTED, NO
from trioraft_cli.streams import folded, say
from trioraft_cli.tour_steps import LEAST_NODES, LOCK, PREFIX, STEPS, Facts, Run, Step

WIDTH: Final = 78
EVENT_SECONDS: Final = 10.0
"""How long the events of a watch may take to be shown: a failover, and a busy machine."""
_LOOK_SECONDS: Final = 0.02
_WELCOME: Final = """
    {nodes} nodes keep the same data, and go on while a majority of them lives: how, in {steps} steps and five minutes.
    Each step says what to look at and asks a question: type an answer, or just press Enter. Then you see commands and
    what they do to the nodes of this demo. Ctrl-C leaves the tour, and mends what is broken by then.
"""
_END: Final = """
    That is all: one log, one leader a term, and a majority for all that counts. The nodes run, the links are whole, and
    the keys of the tour are gone. 'help' lists the commands.
"""


def tour_command(demo: Demo, *, asks: bool) -> click.Command:
    """The command for the prompt. `asks`: somebody is there to answer; else the tour does not wait."""

    def run() -> int:
        connection = click.get_current_context().find_object(Connection)
        assert connection is not None  # the prompt's
        return _Tour(demo, connection, asks).run()

    return click.Command("\\tour", callback=run, help=_HELP)


_HELP: Final = """Go through Raft in five minutes, with this demo's nodes: elections, failures, locks, watches.

\b
Example: \\tour
"""


class _Tour:
    """One tour."""

    def __init__(self, demo: Demo, connection: Connection, asks: bool) -> None:
        self._demo = demo
        self._connection = connection
        self._asks = asks
        self._facts = Facts(demo, connection)
        self._watches = False

    def run(self) -> int:
        """Go through all steps; the exit code."""
        if self._facts.nodes < LEAST_NODES:
            say(f"the tour needs {LEAST_NODES} nodes, so that one can fail: leave, and type 'trioraft demo'")
            return NO
        try:
            self._demo.mend()
            self._tell(_WELCOME)
            return self._go_through()
        except (KeyboardInterrupt, EOFError):
            if not self._asks:
                raise
            print("\nThe tour ends here.")
            self._leave()
            return INTERRUPTED

    def _go_through(self) -> int:
        for number, step in enumerate(STEPS, 1):
            if number > 1:
                self._wait("\nEnter goes on: ")
            title = f"{number} of {len(STEPS)}: {step.title}"
            print(f"\n{title}\n{'-' * len(title)}")
            if not self._take(step):
                say("that did not go as it should: the tour ends here")
                self._leave()
                return NO
        self._leave()
        print()
        self._tell(_END)
        return 0

    def _take(self, step: Step) -> bool:
        """Take one step; whether all went as it should."""
        self._tell(step.look)
        reply = self._ask(step.question)
        for run in step.run(self._facts):
            if not self._carry_out(run):
                return False
        print()
        self._tell(f"{_judged(reply, [self._filled(right) for right in step.replies])} {step.answer}")
        print()
        self._tell(step.seen)
        print()
        print(folded(f"To do it again alone:  {step.again}", sys.stdout))
        return True

    def _carry_out(self, run: Run) -> bool:
        """Carry out a line as if it were typed; whether it went as it should."""
        shown = self._connection.going_on.events_shown
        self._watches = self._watches or run.line.startswith("watch ")
        if run.line == "status":
            self._demo.settle()
        print(f"{PROMPT}{safe(run.line)}", flush=True)
        with form.chosen("table"):
            code = self._connection.carry_out(run.line)
        sys.stdout.flush()
        deadline = time.monotonic() + EVENT_SECONDS
        while self._connection.going_on.events_shown < shown + run.events:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECONDS)
        return code == run.code

    def _ask(self, question: str) -> str:
        """Ask, and wait for what is typed. Raises KeyboardInterrupt, EOFError."""
        print()
        self._tell(f"Question: {question}")
        return self._wait("Your answer, or Enter: ")

    def _wait(self, prompt: str) -> str:
        """Wait for what is typed, where somebody is there. Raises KeyboardInterrupt, EOFError."""
        if not self._asks:
            return ""
        with contextlib.suppress(termios.error):  # what was typed before is no answer
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
        print(prompt, end="", flush=True)
        reply = sys.stdin.readline()
        if not reply:
            raise EOFError
        return reply

    def _leave(self) -> None:
        """Mend what is broken, and take away what the tour made."""
        going_on = self._connection.going_on
        if self._watches:
            going_on.end_watches()
        if going_on.holds(LOCK):
            going_on.give_back(LOCK)
        self._demo.mend()
        with contextlib.suppress(ClientError):
            self._connection.call("delete", prefix=PREFIX)

    def _filled(self, text: str) -> str:
        return text.format(nodes=self._facts.nodes, majority=self._facts.majority, steps=len(STEPS))

    def _tell(self, text: str) -> None:
        print(textwrap.fill(" ".join(self._filled(text).split()), WIDTH, break_on_hyphens=False))


def _judged(reply: str, right: list[str]) -> str:
    """How the answer begins for somebody who typed that."""
    word = next(iter(reply.lower().split()), "").strip(".,:;!")
    return "" if not word else "Right." if word in right else "Not so."
