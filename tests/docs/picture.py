"""The README's picture: a session of `trioraft demo`, as it went in a terminal. `python -m tests.docs --picture`."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.docs.svg import drawn
from tests.helpers.tmux import Tmux

PICTURE: Final = Path(__file__).parents[2] / "docs" / "demo.svg"
TITLE: Final = "A session of trioraft demo: the leader is killed, the network is cut, and writes go on"
SESSION: Final = (
    "put name Alice",
    r"\kill leader",
    "put name Bob",
    r"\restart {killed}",
    r"\partition {leader} | {others}",
    "put name Carol",
    "top --once",
    r"\heal",
    "get name",
)
"""What is typed. The nodes in braces are those that the session has shown so far."""
ROWS, COLUMNS = 70, 96
PROMPT: Final = "trioraft>"


def main() -> None:
    """Let the session happen, and draw it."""
    PICTURE.write_text(drawn(took_place(), TITLE))


def took_place() -> list[str]:
    """The lines of a session that happens now, with their colours, without what is the same for all."""
    environment = {"TERM": "screen-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
    with tempfile.TemporaryDirectory(prefix="trioraft-picture-") as folder:
        program = [sys.executable, "-m", "trioraft_cli", "demo"]
        more = {**environment, "XDG_STATE_HOME": folder}
        with Tmux(Path(folder), program, more, rows=ROWS, columns=COLUMNS) as tmux:
            for count, line in enumerate(SESSION, 1):
                seen = tmux.until(lambda seen, count=count: prompts(seen) == count, f"the {count}. prompt")  # type: ignore[misc]
                tmux.type(typed(line, seen))
                tmux.press("Enter")
            tmux.until(lambda seen: prompts(seen) == len(SESSION) + 1, "the last prompt")
            tmux.type("exit")
            tmux.press("Enter")
            tmux.ends()
            return cropped(tmux.screen("-e", "-S", "-").splitlines())


def prompts(seen: str) -> int:
    """How many prompts have been shown; 0 unless the last one waits for a line."""
    lines = [line.rstrip() for line in seen.splitlines() if line.strip()]
    shown = [line for line in lines if line.startswith(PROMPT)]
    return len(shown) if shown and shown[-1] == PROMPT else 0


def typed(line: str, seen: str) -> str:
    """The line, with the nodes that the session has shown."""
    nodes = {int(node) for node in re.findall(r"^ *node (\d)", seen, re.MULTILINE)} | set(range(3))
    leader = int(re.findall(r"(?i)node (\d) leads", seen)[-1])
    killed = re.findall(r"node (\d)[^\n]* killed", seen)
    others = " ".join(str(node) for node in sorted(nodes - {leader}))
    return line.format(leader=leader, killed=killed[-1] if killed else "", others=others)


def cropped(lines: list[str]) -> list[str]:
    """The command, its first line, and all from the first prompt on to the last answer."""
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    begins = next(place for place, line in enumerate(plain) if line.startswith(PROMPT))
    ends = next(place for place, line in enumerate(plain) if line.startswith(f"{PROMPT} exit"))
    first = next(place for place, line in enumerate(plain) if " on this machine" in line)
    return ["\x1b[1m$ trioraft demo\x1b[0m", lines[first], "", *lines[begins:ends]]
