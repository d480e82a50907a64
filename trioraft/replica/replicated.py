"""What every cluster replicates around its machine: the cluster's level, and the sessions of its clients.

It is a state machine itself (`trioraft.machine.Machine`). Commands that are not its own go to the machine inside, with
its queries. At level 1 a snapshot is that of the machine inside alone, as nodes of before levels read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from trioraft.machine import Leasing, Machine, MachineView, Streams
from trioraft.raft.runs import Run
from trioraft.replica.exactly_once import Bounds, Sessions, SessionsView
from trioraft.wire.cluster_commands import (
    CloseSession,
    Once,
    OpenSession,
    RaiseLevel,
    cluster_command,
)
from trioraft.wire.entries import payloads
from trioraft.wire.sessions import decode_level, encode_level

CLUSTER: Final = "cluster"
"""The section of a snapshot with one line, which holds the level."""
SESSIONS: Final = "sessions"
"""The section with a line for each session, the longest unused first."""


class Replicated:
    """A machine, with the sessions and the level of its cluster."""

    def __init__(
        self,
        machine: Machine,
        encode_outcome: Callable[[Any], bytes],
        decode_outcome: Callable[[bytes], Any],
        bounds: Bounds | None = None,
    ) -> None:
        """`encode_outcome` gives what is remembered of a result of `machine`, as compact JSON of bounded size."""
        self.machine = machine
        self.sessions = Sessions(encode_outcome, decode_outcome, bounds)
        self.level = 1
        self.read = machine.read
        self.size_of = machine.size_of
        self._carry_out: dict[type, Callable[[int, Any], Any]] = {
            OpenSession: lambda index, _: self.sessions.open(index),
            CloseSession: lambda _, command: self.sessions.close(command.session),
            Once: self._once,
            RaiseLevel: lambda index, command: self.raise_level(command.level, index),
        }
        self._has_none = frozenset(self._carry_out).isdisjoint

    @property
    def sections(self) -> Mapping[str, int]:
        """The number of lines of each section."""
        if self.level == 1:
            return self.machine.sections
        return {CLUSTER: 1, SESSIONS: len(self.sessions), **self.machine.sections}

    @property
    def leasing(self) -> Leasing | None:
        """The leases of the machine inside."""
        return self.machine.leasing

    @property
    def streams(self) -> Streams | None:
        """The changes of the machine inside."""
        return self.machine.streams

    def raise_level(self, level: int, index: int) -> None:
        """From the entry `index` on, the cluster is at that level; it never falls."""
        if level > self.level:
            self.level = level
            self.machine.raise_level(level, index)

    def renounce(self, index: int) -> None:
        """Let go of all sessions, and of what else belongs to clients of the old cluster."""
        self.sessions.clear()
        self.machine.renounce(index)

    def decode(self, run: Run) -> Sequence[Any]:
        """Read the commands of a run. Raises ValueError."""
        try:
            return self.machine.decode(run)
        except ValueError:  # some are of this class, or of a newer version
            return self._decode_mixed(run)

    def _decode_mixed(self, run: Run) -> Sequence[Any]:
        commands: list[Any] = []
        first = run.first
        for index, payload in enumerate(payloads(run), first):
            command = cluster_command(bytes(payload), f"entry {index}")
            if command is not None:
                if first < index:
                    commands += self.machine.decode(run.cut(first, index - 1))
                commands.append(command)
                first = index + 1
        if first <= run.last:
            commands += self.machine.decode(run.cut(first, run.last))
        return commands

    def decode_one(self, payload: bytes) -> Any:
        """Read one command, and the one within. Raises ValueError."""
        command = cluster_command(payload)
        if command is None:
            return self.machine.decode_one(payload)
        if isinstance(command, Once):
            self.machine.decode_one(bytes(command.command))
        return command

    def apply(self, first: int, commands: Sequence[Any]) -> Mapping[int, Any]:
        """Apply the commands of the entries from index `first` on. Raises ValueError where one within is unknown."""
        if self._has_none(map(type, commands)):
            return self.machine.apply(first, commands)
        results: dict[int, Any] = {}
        begin = 0
        for place, command in enumerate(commands):
            carry_out = self._carry_out.get(type(command))
            if carry_out is None:
                continue
            if begin < place:
                results.update(self.machine.apply(first + begin, commands[begin:place]))
            if (result := carry_out(first + place, command)) is not None:
                results[first + place] = result
            begin = place + 1
        if begin < len(commands):
            results.update(self.machine.apply(first + begin, commands[begin:]))
        return results

    def _once(self, index: int, once: Once) -> Any:
        def carry_out() -> Any:
            command = self.machine.decode_one(bytes(once.command))
            return self.machine.apply(index, (command,)).get(index)

        return self.sessions.apply(index, once, carry_out)

    def freeze(self) -> MachineView:
        """Make a view of the present state; there is at most one view at a time."""
        view = self.machine.freeze()
        return view if self.level == 1 else ReplicatedView(self.level, self.sessions.freeze(), view)

    def load(self, section: str, lines: Sequence[bytes]) -> None:
        """Add lines of a snapshot. Raises ValueError."""
        if section == CLUSTER:
            self.raise_level(decode_level(lines), 0)
        elif section == SESSIONS:
            self.sessions.load(lines)
        else:
            self.machine.load(section, lines)


class ReplicatedView:
    """The state at one moment: the level, the sessions, and what the machine inside holds."""

    def __init__(self, level: int, sessions: SessionsView, view: MachineView) -> None:
        self.sections: Mapping[str, int] = {CLUSTER: 1, SESSIONS: sessions.count, **view.sections}
        self._level = level
        self._sessions = sessions
        self._view = view

    def slices(self, most_lines: int, enough_bytes: int) -> Iterator[tuple[bytes, int]]:
        """Yield lines and how many they are, as `MachineView.slices` does."""
        yield encode_level(self._level), 1
        yield from self._sessions.slices(most_lines, enough_bytes)
        yield from self._view.slices(most_lines, enough_bytes)

    def close(self) -> None:
        """Release the view."""
        self._sessions.close()
        self._view.close()
