"""The type of a mutant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_NOT_SIMULATED: Final = (
    "cli/",
    "trioraft/client/",
    "trioraft/addresses.py",
    "trioraft/background.py",
    "trioraft/names.py",
    "trioraft/server/dialling.py",
    "trioraft/server/listener.py",
    "trioraft/server/logs.py",
    "trioraft/server/node.py",
    "trioraft/cluster/disaster.py",
    "trioraft/replica/metrics.py",
    "trioraft/replica/reports.py",
    "trioraft/server/sockets.py",
    "trioraft/server/disk_thread.py",
    "trioraft/server/durations.py",
    "trioraft/server/vitals.py",
    "trioraft/storage/backups.py",
    "trioraft/storage/replacement.py",
)


@dataclass(frozen=True)
class Mutant:
    """One known mistake: a text in a file of the source, and its replacement."""

    name: str
    file: str
    old: str
    new: str
    kills: str = ""
    """The test that fits it, as pytest names tests; '' where only the simulation catches it."""
    simulated: bool = True
    """Whether the simulation must catch it."""
    whole_nodes: bool = False
    """Whether the simulation of whole nodes must catch it, because the fast one cannot."""

    @property
    def can_be_simulated(self) -> bool:
        """Whether either simulation runs that part of the source at all."""
        return not self.file.startswith(_NOT_SIMULATED)
