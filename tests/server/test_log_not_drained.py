"""Standard error is a pipe that nobody reads: whoever logs goes on, and ends."""

from __future__ import annotations

import subprocess
import sys

SAYS_MUCH = """
import logging, sys
from trioraft.server.logs import configure
configure("text", "info")
for number in range(5000):
    logging.getLogger("trioraft.test").info("line %d %s", number, "x" * 100)
print("done", flush=True)
sys.stdin.readline()
logging.getLogger("trioraft").handlers[0].flush()
logging.getLogger("trioraft.test").info("last words")
"""


def test_lines_that_nobody_takes_are_dropped_and_counted() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", SAYS_MUCH], text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        _, said = process.communicate("\n", timeout=20)
    assert "lines of the log were dropped" in said
    assert said.endswith("last words\n")
    assert process.returncode == 0


def test_the_end_waits_for_nobody() -> None:
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", SAYS_MUCH], text=True, **pipes) as process:
        assert process.wait(timeout=20) == 0
