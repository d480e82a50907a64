"""A script of a demo: its lines are carried out as if they were typed, and shown before."""

from __future__ import annotations

import re
import sys
from typing import Final

from trioraft_cli import form
from trioraft_cli.escapes import safe
from trioraft_cli.lines import PROMPT, Prompt, run_line
from trioraft_cli.typed import is_remark, split_commands

_REMARK: Final = re.compile(r"^([ \t]*#.*)$", re.MULTILINE)


def run_script(prompt: Prompt, text: str) -> int:
    """Carry out the lines up to the first that fails; its exit code. What is shown is what a terminal would show."""
    for part in _REMARK.split(text):
        for line in [part] if is_remark(part) else split_commands(prompt.root, part):
            shown = "\n".join(map(safe, line.split("\n")))
            print(f"{PROMPT}{shown}", flush=True)  # what is said on standard error comes behind it
            with form.chosen("table"):
                code = run_line(prompt, line)
            sys.stdout.flush()
            if code is None:
                return 0
            if code:
                return code
    return 0
