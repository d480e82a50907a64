"""Threads for the disk that are none."""

from __future__ import annotations

from collections.abc import Callable


class ImmediateThread:
    """Writes on the spot: for disks in memory, where nothing takes time."""

    def __init__(self) -> None:
        self._error: Exception | None = None

    def start(self, write: Callable[[], None]) -> None:
        """Write."""
        self._error = None
        try:
            write()
        except Exception as error:
            self._error = error

    def finished(self, wait: bool = True) -> bool:  # noqa: ARG002
        """It has. Raises what it raised."""
        if self._error is not None:
            raise self._error
        return True

    def close(self) -> None:
        """Nothing is under way."""
