"""Scratch copies of the project, into which mutants are put one after another."""

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
    """One copy, for one mutant at a time. What Python has compiled of the rest stays good from one to the next."""

    def __init__(self, scratch: Path, number: int) -> None:
        """Copy the project into `scratch`, whose other copies share the compiled modules of the libraries."""
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
        """Have that mutant in the source meanwhile. Raises ValueError where it does not fit it any more."""
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
        """Write it at a time of its own: a module is compiled anew where its size has changed, or the second."""
        path.write_text(text)
        self._modified += 1
        os.utime(path, (self._modified, self._modified))
