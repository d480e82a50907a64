"""`trioraft top` at work: on the whole screen, or in plain text."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Final

from trioraft.wire.codec import encode
from trioraft_cli import render
from trioraft_cli.asking import Asker
from trioraft_cli.outcomes import NO_NODE, NOT_NOW
from trioraft_cli.top_poll import Poll
from trioraft_cli.top_rows import cluster_of, shown
from trioraft_cli.top_screen import Screen, show, width
from trioraft_cli.top_view import Line, picture

REPAINT_SECONDS: Final = 0.25
"""How often the screen is drawn anew where nothing has come: what has no answer yet gets older, sizes change."""
LOOK_SECONDS: Final = 0.05
"""How long keys are waited for before it is looked whether an answer has come."""
FIRST_LOOKS: Final = 0.25
"""How many seconds are between the two looks that a first picture in plain text is made from."""


def live(asker: Asker, interval: float) -> int:
    """Draw on the whole screen until a key leaves; the exit code."""
    poll = Poll(asker.addresses, asker.down)

    def draw(columns: int, rows: int) -> list[Line]:
        nodes = shown(poll.nodes.values())
        foot = f"q leaves   asked every {interval:g} s   {time.strftime('%H:%M:%S')}"
        return picture(cluster_of(nodes, time.monotonic()), nodes, columns, rows, foot)

    due = drawn = -float("inf")
    with suppress(KeyboardInterrupt), Screen(draw) as screen:
        while True:
            now = time.monotonic()
            if now >= due:
                poll.begin()
                due = now + interval
            if poll.collect(0) or now >= drawn + REPAINT_SECONDS:
                screen.show()
                drawn = now
            if screen.is_left(LOOK_SECONDS):
                break
    return 0


def plain(asker: Asker, interval: float | None) -> int:
    """Print one picture, or one each interval for ever; the exit code, 0 where writes are taken."""
    poll = Poll(asker.addresses, asker.down)
    poll.round()
    time.sleep(FIRST_LOOKS)
    while True:
        began = time.monotonic()
        poll.round()
        led = _print(poll, as_json=asker.as_json)
        sys.stdout.flush()
        if interval is None:
            return led
        time.sleep(max(0.0, began + interval - time.monotonic()))


def _print(poll: Poll, *, as_json: bool) -> int:
    nodes = shown(poll.nodes.values())
    cluster = cluster_of(nodes, time.monotonic())
    if as_json:
        render.show_json(encode(cluster))
    else:
        show(picture(cluster, nodes, width()))
    if not any(seen.answers for seen in nodes):
        return NO_NODE
    return NOT_NOW if cluster.leader is None else 0
