"""How far a load is: a bar on standard error, where that is a terminal that can move its cursor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from trioraft_cli import colour

if TYPE_CHECKING:
    from rich.progress import Progress


class Bar:
    """A context that shows a bar, which is gone after it. Nothing is shown where nobody looks."""

    def __init__(self, what: str, total: float) -> None:
        """`total` is what `show` counts up to."""
        self._what = what
        self._total = total
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not colour.is_dumb():
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn(self._what), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            # From this thread alone: at the prompt the output of others comes before what this one has written.
            self._progress = Progress(
                *columns,
                console=colour.console(sys.stderr),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._progress.add_task("", total=self._total)
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, done: float, text: str) -> None:
        """Move the bar, and show a text behind it."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, description=text, refresh=True)
