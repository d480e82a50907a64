"""The prompt's history, in a file where that is possible; its failure never stops the prompt."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prompt_toolkit.history import History

LOADED_BYTES: Final = 1024 * 1024
"""How much of the file's end is read; older lines stay in it."""


class KeptHistory(History):
    """What was typed, in the format of prompt-toolkit's own files. What cannot be kept lasts until the prompt ends."""

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self._warning: str | None = None
        try:
            path = _place()
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path = path
            self._append(b"")
        except (OSError, RuntimeError) as error:  # a RuntimeError where there is no home
            self._give_up(error)

    def take_warning(self) -> str | None:
        """Return, once, why nothing is kept."""
        warning, self._warning = self._warning, None
        return warning

    def load_history_strings(self) -> Iterable[str]:
        """The lines of former prompts, the newest first."""
        if self._path is None or not self._path.is_file():
            return []
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - LOADED_BYTES))
                text = file.read(LOADED_BYTES).decode("utf-8", "replace")
        except OSError:
            return []
        entries: list[str] = []
        open_entry = False
        for line in text.split("\n"):
            if not line.startswith("+"):
                open_entry = False
            elif open_entry:
                entries[-1] += "\n" + line[1:]
            else:
                entries.append(line[1:])
                open_entry = True
        return reversed(entries)

    def append_string(self, string: str) -> None:
        """Keep what was typed, for this prompt and for those to come; not what begins with a blank."""
        if not string[:1].isspace():
            super().append_string(string)

    def store_string(self, string: str) -> None:
        """Keep a line."""
        lines = "".join(f"+{line}\n" for line in string.split("\n"))
        try:
            self._append(f"\n# {time.strftime('%Y-%m-%d %H:%M:%S')}\n{lines}".encode("utf-8", "surrogateescape"))
        except (OSError, UnicodeEncodeError) as error:
            self._give_up(error)

    def _append(self, data: bytes) -> None:
        if self._path is None:
            return
        # O_NONBLOCK, as it may be a pipe that nobody reads.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            if os.write(file, data) != len(data):
                raise OSError(f"no room for more in {self._path}")
        finally:
            os.close(file)

    def _give_up(self, error: Exception) -> None:
        place = f" in {self._path}" if self._path is not None else ""
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        self._warning = f"the history cannot be kept{place} ({why}): it lasts until you leave"
        self._path = None


def _place() -> Path:
    """The file, for its owner alone. Raises RuntimeError where there is no home."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "trioraft" / "history"
