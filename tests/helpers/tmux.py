"""Programs in tmux, a real terminal: it answers questions about its cursor, wraps lines, and can be resized."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import pytest

SECONDS = 20.0
"""How long anything expected may take: programs have to start on a busy machine."""
_LOOK_SECONDS = 0.02
_KEPT = ("PATH", "HOME", "TMPDIR")
"""What the program gets of the environment of the tests, beside what concerns Python."""

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")


class Tmux:
    """A program in a window of tmux. A context, at whose end neither is left."""

    def __init__(
        self, folder: Path, program: Sequence[str], environment: dict[str, str], rows: int = 24, columns: int = 80
    ) -> None:
        """Start the program. The socket of this tmux is in the folder, and its settings are its own."""
        self._socket = folder / "tmux"
        settings = folder / "tmux.conf"
        self._code = folder / "code"
        settings.write_text("set -g default-shell /bin/sh\nset -g status off\nset -g remain-on-exit on\n")
        size = ["-x", str(columns), "-y", str(rows)]
        kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("PYTHON")}
        given = {**kept, "TERM": "screen", "LC_ALL": "C.UTF-8", **environment}
        command = shlex.join(["env", "-i", *(f"{name}={value}" for name, value in given.items()), *program])
        # The shell is not ended by Ctrl-C, and the program hears of it as ever.
        line = f"trap : INT; {command}; echo $? >{shlex.quote(str(self._code))}"
        self.tell("-f", str(settings), "new-session", "-d", *size, line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False)

    def tell(self, *words: str) -> str:
        """Carry out a command of tmux; what it prints."""
        done = subprocess.run(["tmux", "-S", self._socket, *words], capture_output=True, check=True, timeout=SECONDS)
        return done.stdout.decode()

    def type(self, text: str) -> None:
        """Press the keys of a text."""
        self.tell("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys by their names, as Enter, Tab, C-c."""
        self.tell("send-keys", *keys)

    def paste(self, text: str) -> None:
        """Paste a text, as from a clipboard: in brackets where the program asks for them."""
        subprocess.run(["tmux", "-S", self._socket, "load-buffer", "-"], input=text.encode(), check=True)
        self.tell("paste-buffer", "-p")

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the window."""
        self.tell("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self, *options: str) -> str:
        """What is seen; with "-e" its colours too, with "-S", "-" what has left at the top too."""
        return self.tell("capture-pane", "-p", *options)

    def lines(self) -> list[str]:
        """The lines on the screen that are not blank."""
        return [line.rstrip() for line in self.screen().splitlines() if line.strip()]

    def shows(self, *texts: str) -> str:
        """Wait until all texts are seen at once. Return the screen."""
        return self.until(lambda seen: all(text in seen for text in texts), f"{texts} are seen")

    def until(self, look: Callable[[str], bool], what: str) -> str:
        """Wait until the screen is as it is to be, and return it. AssertionError if that is not in time."""
        deadline = time.monotonic() + SECONDS
        while not look(seen := self.screen()):
            assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}:\n{seen}"
            time.sleep(_LOOK_SECONDS)
        return seen

    def ends(self) -> int:
        """Wait until the program has ended by itself; its exit code."""
        self.until(lambda _: self._code.exists() and self._code.read_text() != "", "the program has ended")
        return int(self._code.read_text())

    @property
    def process(self) -> int:
        """The program's process id."""
        shell = self.tell("display-message", "-p", "#{pane_pid}").strip()
        return int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])
