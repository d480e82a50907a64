"""The commands that wait for changes: watch and wait."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import click

from trioraft.client import Push, Stream, Watching
from trioraft_cli import render, streams
from trioraft_cli.arguments import KEY, PREFIX, REVISION, TEXT, WithTail
from trioraft_cli.asking import Asker, waits
from trioraft_cli.children import Child
from trioraft_cli.counts import counted
from trioraft_cli.deadlines import TimeIsUp, ending_within
from trioraft_cli.outcomes import NOT_NOW, telling
from trioraft_cli.signals import Leaving
from trioraft_cli.values import to_json
from trioraft_cli.words import quote

LONGEST_VARIABLE: Final = 100_000
"""In bytes. The system takes no variable of an environment that is longer than 128 KiB."""


@click.command(cls=WithTail)
@click.argument("prefix", type=PREFIX, default="")
@click.option("--key", is_flag=True, help="PREFIX is one whole key.")
@click.option("--initial", is_flag=True, help="Begin with the keys that are there.")
@click.option("--after", type=REVISION, metavar="REVISION", help="Begin behind this revision, the `at` of a reply.")
@waits("Watch for so long, and end with 0; else until Ctrl-C.")
def watch(
    asker: Asker,
    prefix: str,
    key: bool,
    initial: bool,
    after: int | None,
    timeout: float | None,
    tail: tuple[str, ...] | None,
) -> int:
    """Print each change of the keys that begin with PREFIX: its revision, what happened, the key and the value.

    With a COMMAND, run it at each change, one after the other. It finds the change in its environment, as
    TRIORAFT_EVENT (put or delete), TRIORAFT_KEY, TRIORAFT_VALUE (JSON) and TRIORAFT_REV, and as JSON on its standard
    input. What cannot stand in an environment, as a very long value, is on standard input alone.

    It goes on through failures of nodes, and shows each change once, until Ctrl-C or --timeout. At the prompt it does
    so while other commands are typed, unless a COMMAND is run, it is piped, or there is a --timeout.

    \b
    Examples: trioraft watch users/ --initial
              trioraft watch config --key -- sh -c 'echo "$TRIORAFT_REV: $TRIORAFT_VALUE"'
    """
    if tail == ():
        raise click.UsageError("there is no command behind the '--'")
    fields = _watched(prefix, key, initial, after)
    going_on = asker.going_on
    if going_on is not None and not going_on.is_quiet and tail is None and timeout is None:
        going_on.watch(fields, as_json=asker.as_json)
        streams.say("changes are shown as they come, until Ctrl-C")
        return 0
    stream = Stream(asker.addresses, Watching(fields), streams.say, asker.tries_until)
    with asker.printing(), Leaving(), suppress(TimeIsUp), ending_within(timeout):
        if tail is None:
            stream.before_waiting = streams.show_what_came
        for push in stream:
            assert isinstance(push, Push)  # the first answer of a watch is no event
            if tail is not None:
                _run(tail, push)
            else:
                _show(asker, push)
    if stream.has_begun:
        return 0
    streams.say(f"no node has answered within {timeout:g} s")
    return NOT_NOW


def _watched(prefix: str, key: bool, initial: bool, after: int | None) -> dict[str, Any]:
    """The fields of the request for a watch. Raises click.UsageError."""
    if initial and after is not None:
        raise click.UsageError("--initial shows the newest state, and --after what came since an older one: choose")
    if key and not prefix:
        raise click.UsageError("--key needs a whole key in the place of PREFIX")
    fields: dict[str, Any] = {"key" if key else "prefix": prefix}
    if initial:
        fields["initial"] = True
    if after is not None:
        fields["after_rev"] = after
    return fields


def _show(asker: Asker, push: Push) -> None:
    if asker.as_json:
        render.show_json(push.line)
    elif push.event != "synced":
        print(render.event_line(push))


def _run(command: Sequence[str], push: Push) -> None:
    """Run the command on a change, to its end. Raises KeyboardInterrupt if Ctrl-C came meanwhile, Failure."""
    import tempfile

    if push.event == "synced":
        return
    with tempfile.TemporaryFile() as stdin:
        stdin.write(push.line + b"\n")
        stdin.seek(0)
        with Child(command, dict(_environment(push)), stdin) as child:
            code = child.wait()
    if child.was_interrupted:
        raise KeyboardInterrupt
    if code:
        streams.say(f"{command[0]} ended with {code} at revision {push['rev']}")


def _environment(push: Push) -> Iterator[tuple[str, bytes | None]]:
    """Yield what an environment can hold of a change, and None for the rest, which an outer watch may have set."""
    parts = {
        "EVENT": push.event.encode(),
        "KEY": push["key"].encode(),
        "VALUE": push.raw("value"),
        "REV": push.raw("rev"),
    }
    for name, value in parts.items():
        fits = value and b"\0" not in value and len(value) <= LONGEST_VARIABLE
        yield f"TRIORAFT_{name}", value if fits else None


@click.command()
@click.argument("key", type=KEY)
@click.option("--exists", is_flag=True, help="Until KEY exists; where nothing else is given.")
@click.option("--missing", is_flag=True, help="Until KEY does not exist.")
@click.option("--value", type=TEXT, help="Until KEY has this value: JSON if it reads as JSON, else a string.")
@click.option("--rev-above", type=REVISION, metavar="REVISION", help="Until KEY has a higher revision.")
@click.option("--raw", is_flag=True, help="A string without its quotes.")
@waits("At most so long; for ever where it is not given.")
def wait(
    asker: Asker,
    key: str,
    exists: bool,
    missing: bool,
    value: str | None,
    rev_above: int | None,
    timeout: float | None,
    raw: bool,
) -> int:
    """Wait until KEY is as it is to be, and print its value then. It may be so already.

    Where the time is over first, the exit code is 4.

    \b
    Examples: trioraft wait jobs/7/result --timeout 30
              trioraft wait leader --value '"node-2"'
    """
    conditions: dict[str, Any] = {
        "exists": exists or None,
        "missing": missing or None,
        "value": None if value is None else to_json(value),
        "rev_above": rev_above,
    }
    given = {name: condition for name, condition in conditions.items() if condition is not None}
    if len(given) > 1:
        raise click.UsageError(f"one condition at a time, and not {counted(len(given), 'condition')}")
    shown = quote(key, sys.stderr.encoding)
    with telling("wait_ms", f"the key {shown} was not so within {timeout or 0:g} s"):
        line = asker.settle("wait", timeout, key=key, **(given or {"exists": True}))
    if not asker.as_json and not missing:
        (render.show_raw if raw else render.show_value)(line.raw("value"))
    return 0


COMMANDS = (watch, wait)
