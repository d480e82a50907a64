"""Scratch copies of the project, which hold one mutant after another."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.mutants.mutant import Mutant

ROOT: Final = Path(__file__).resolve().parents[2]
LEFT_OUT: Final = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis")


class Checkout:
    """One copy, for one mutant at a time. The compiled modules of all other files stay valid."""

    def __init__(self, scratch: Path, number: int) -> None:
        """Copy the project into `scratch`; all copies there share the compiled modules of the libraries."""
        self.folder = scratch / f"checkout-{number}"
        shutil.copytree(ROOT, self.folder, ignore=LEFT_OUT)
        self._modified = int(time.time())
        self.environment = {
            **os.environ,
            "PYTHONPATH": f"{self.folder}{os.pathsep}{self.folder / 'cli'}",
            "PYTHONPYCACHEPREFIX": str(scratch / "bytecode"),
        }
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    @contextmanager
    def holding(self, mutant: Mutant) -> Iterator[None]:
        """Put the mutant into the source for the context. Raises ValueError where it no longer fits."""
        path = self.folder / mutant.file
        text = path.read_text()
        if text.count(mutant.old) != 1:
            raise ValueError(f"{mutant.name}: its text stands {text.count(mutant.old)} times in {mutant.file}")
        self._write(path, text.replace(mutant.old, mutant.new))
        try:
            yield
        finally:
            self._write(path, text)

    def _write(self, path: Path, text: str) -> None:
        """Write a file with a time of its own: Python compiles a module anew if its size or its second has changed."""
        path.write_text(text)
        self._modified += 1
        os.utime(path, (self._modified, self._modified))
