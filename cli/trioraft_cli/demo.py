"""A whole cluster on this machine, as real processes, with a prompt on it that can break it."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import Final

import click

from trioraft_cli import signals
from trioraft_cli.counts import counted
from trioraft_cli.demo_acts import START_SECONDS, Demo
from trioraft_cli.demo_folder import demo_folder
from trioraft_cli.demo_nodes import DemoNodes
from trioraft_cli.outcomes import NO, fail
from trioraft_cli.status import leading
from trioraft_cli.streams import say, wait_for_nobody

_LOOK_SECONDS: Final = 0.01
_QUIET_SECONDS: Final = 1.0
"""A start that takes longer is told of, to a person."""
_LOG_LINES: Final = 20
"""How much of the log of a node that did not start is shown."""
_FIRST_LINES: Final = r"""
  put name Alice      a write is answered once a majority of the nodes has it
  status              who leads, and how far each node is
  top                 every node and its log, live; q leaves
  \kill leader        kill -9: see who takes over, and how soon
  put name Bob        it goes on
  \tour               Raft in five minutes, step by step
  help                all commands
"""


def run_demo(nodes: int, script: Path | None) -> int:
    """Start the nodes, carry out the script or what is typed, and end them all; the exit code.

    Raises click.UsageError where the script cannot be read.
    """
    text = _read_script(script) if script is not None else None
    with contextlib.ExitStack() as context:
        context.enter_context(signals.Leaving())
        try:
            cluster = DemoNodes(context.enter_context(demo_folder()))
            context.callback(_end, cluster)
            for number in range(nodes):
                cluster.add(number, cluster.hold_port())
            for node in cluster:
                node.start(cluster.servers)
        except OSError as error:
            hint = "have TMPDIR name a folder on a disk with some room, where this user may write"
            return fail(NO, f"the demo cannot be set up: {error.strerror}", hint)
        from trioraft_cli import demo_prompt, shell  # these take as long to load as the nodes do: they start meanwhile

        asks = text is None and sys.stdin.isatty() and sys.stdout.isatty()
        if asks:
            shell.load_keyboard()
        demo = Demo(cluster)
        if not _has_started(demo, asks):
            return NO
        if asks:
            _welcome(demo)
        return demo_prompt.run(demo, text, asks=asks)


def _end(cluster: DemoNodes) -> None:
    """Kill the nodes. A signal that has ended the prompt may be sent twice."""
    wait_for_nobody()
    with signals.undisturbed():
        cluster.close()


def _read_script(path: Path) -> str:
    """The text of a script. Raises click.UsageError."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{path} is no text in UTF-8") from None


def _has_started(demo: Demo, asks: bool) -> bool:
    """Wait for a leader, and tell who it is; whether there is one."""
    began = time.monotonic()
    is_told = not asks
    while time.monotonic() < began + START_SECONDS:
        if not is_told and time.monotonic() > began + _QUIET_SECONDS:
            is_told = True
            say(f"starting {counted(len(demo.nodes), 'node')}")
        if ended := demo.nodes.numbers("killed"):
            say(f"node {ended[0]} ended at its start:")
            _show_log(demo, ended[0])
            return False
        leader = leading(demo.statuses().values())
        if leader is not None:
            count = counted(len(demo.nodes), "node")
            print(f"{count} on this machine, until you leave. Node {leader.node} leads, in term {leader.term}.")
            return True
        time.sleep(_LOOK_SECONDS)
    say(f"the nodes did not elect a leader in {START_SECONDS:.0f} s; node 0 says:")
    _show_log(demo, 0)
    return False


def _show_log(demo: Demo, node: int) -> None:
    for line in demo.nodes[node].log_lines(_LOG_LINES):
        print(line, file=sys.stderr)


def _welcome(demo: Demo) -> None:
    addresses = demo.nodes.addresses
    first = addresses[0]
    print(_FIRST_LINES)
    print("In a second terminal:")
    print(f"  export TRIORAFT_SERVERS={','.join(map(str, addresses))}")
    print(f'  echo \'{{"op":"get","key":"name"}}\' | nc -N {first.host} {first.port}')
    print(f"Data and logs: {demo.nodes.folder}\n")
