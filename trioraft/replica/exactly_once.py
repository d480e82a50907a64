"""Sessions of clients, in which a write is applied exactly once, however often it is asked.

A session remembers the outcomes of its writes by their numbers. Its floor is the larger of what its client has
acknowledged and its highest number less the window: at or below it nothing is remembered and nothing accepted. Above
it, what is not remembered is new. So numbers may come in any order.

All of it follows from the log alone. The sessions stand in the order of their last use: the first one goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import starmap
from struct import Struct
from typing import Any, Final

import msgspec

from trioraft.wire.cluster_commands import Closed, Once, Opened, Replayed, SessionRefused
from trioraft.wire.sessions import OutcomeLine, SessionLine, decode_sessions, encode_session

OUTCOME_OVERHEAD: Final = 128
"""What an outcome takes in memory beside its own bytes: about so much for its entry, its number and its object."""
_DIGEST_BYTES: Final = 8
_HEAD: Final = Struct(f"={_DIGEST_BYTES}sQ")
"""What stands before an outcome's bytes: the digest of its command, and the index of its entry."""
_SIMPLY_WRITTEN: Final = b"null"


class Bounds(msgspec.Struct, frozen=True):
    """How much is remembered."""

    sessions: int = 10_000
    bytes: int = 64 * 1024 * 1024
    """Of all outcomes, each with its overhead."""
    recent: int = 100_000
    """A session that was used within so many entries does not go for the count alone."""
    window: int = 1024
    """How many numbers below its highest one a session remembers."""


class ClientSession:
    """What is remembered of one client."""

    __slots__ = ("acked", "highest", "outcomes", "used")

    def __init__(self, used: int, highest: int = 0, acked: int = 0) -> None:
        self.used = used
        """The index of the entry that used it last."""
        self.highest = highest
        """The highest number that was applied."""
        self.acked = acked
        self.outcomes: dict[int, bytes] = {}
        """By number, each behind its head, in the order in which they were applied; all above the floor."""

    def floor(self, window: int) -> int:
        """Up to which number nothing is accepted."""
        return max(self.acked, self.highest - window)

    def copy(self) -> ClientSession:
        """The session as it is now."""
        copy = ClientSession(self.used, self.highest, self.acked)
        copy.outcomes = self.outcomes.copy()
        return copy


class Sessions:
    """All sessions of a cluster."""

    def __init__(
        self,
        encode_outcome: Callable[[Any], bytes],
        decode_outcome: Callable[[bytes], Any],
        bounds: Bounds | None = None,
    ) -> None:
        """`encode_outcome` gives what is remembered of a result, as compact JSON; `decode_outcome` reads it."""
        self.bytes = 0
        """What all outcomes take in memory, as it is reckoned."""
        self._encode = encode_outcome
        self._decode = decode_outcome
        self._bounds = bounds or Bounds()
        self._by_number: OrderedDict[int, ClientSession] = OrderedDict()
        """In the order of their last use."""
        self._view: SessionsView | None = None

    def __len__(self) -> int:
        return len(self._by_number)

    def open(self, index: int) -> Opened | SessionRefused:
        """Open the session of the entry at that index, in the place of the one longest unused where there are many."""
        if len(self._by_number) >= self._bounds.sessions:
            oldest, session = next(iter(self._by_number.items()))
            if session.used > index - self._bounds.recent:
                why = f"there are {len(self._by_number)} sessions, and all of them are in use"
                return SessionRefused("overloaded", why, "close those that are over, or try again later", "no")
            self._drop(oldest)
        self._by_number[index] = ClientSession(index)
        return Opened(index)

    def close(self, number: int) -> Closed:
        """Forget that session."""
        if number in self._by_number:
            self._drop(number)
        return Closed()

    def clear(self) -> None:
        """Forget all sessions."""
        for number in list(self._by_number):
            self._drop(number)

    def apply(self, index: int, once: Once, carry_out: Callable[[], Any]) -> Any:
        """The result of that write: what `carry_out` gives where it is new, else what was remembered of it."""
        session = self._by_number.get(once.session)
        if session is None:
            why = "the session is not known: it was closed, or was the longest unused of too many"
            hint = "an earlier attempt may have been applied: see how things are, and open a new session"
            return SessionRefused("session_expired", why, hint, "unknown")
        self._use(once.session, session, index)
        self._acknowledge(session, once.acked)
        if once.seq <= session.floor(self._bounds.window):
            why = f"what the session remembers begins above number {session.floor(self._bounds.window)}"
            hint = "an earlier attempt may have been applied: see how things are, and use a higher number"
            return SessionRefused("seq_too_old", why, hint, "unknown")
        digest = blake2b(once.command, digest_size=_DIGEST_BYTES).digest()
        remembered = session.outcomes.get(once.seq)
        if remembered is not None:
            return self._replay(digest, remembered)
        result = carry_out()
        self._remember(session, once.seq, _HEAD.pack(digest, index) + self._encoded(result))
        return result

    def _use(self, number: int, session: ClientSession, index: int) -> None:
        if self._view is not None:
            self._view.before_change(number, session)
        session.used = index
        self._by_number.move_to_end(number)

    def _acknowledge(self, session: ClientSession, acked: int) -> None:
        if acked > session.acked:
            before = session.floor(self._bounds.window)
            session.acked = acked
            self._forget(session, before)

    def _replay(self, digest: bytes, remembered: bytes) -> Replayed | SessionRefused:
        first, index = _HEAD.unpack_from(remembered)
        if first != digest:
            why = "the session has used this number for another write"
            return SessionRefused("seq_reused", why, "give each write a number of its own", "no")
        outcome = remembered[_HEAD.size :]
        return Replayed(index, self._decode(outcome) if outcome else None)

    def _encoded(self, result: Any) -> bytes:
        return b"" if result is None else self._encode(result)

    def _remember(self, session: ClientSession, seq: int, outcome: bytes) -> None:
        session.outcomes[seq] = outcome
        self.bytes += _size(outcome)
        if seq > session.highest:
            before = session.floor(self._bounds.window)
            session.highest = seq
            self._forget(session, before)
        while self.bytes > self._bounds.bytes and len(self._by_number) > 1:
            self._drop(next(iter(self._by_number)))

    def _forget(self, session: ClientSession, before: int) -> None:
        """Forget what is not above the floor any more, which was `before`."""
        outcomes, floor = session.outcomes, session.floor(self._bounds.window)
        gone: Sequence[int] = range(before + 1, floor + 1)
        if len(gone) > len(outcomes):
            gone = [seq for seq in outcomes if seq <= floor]
        for seq in gone:
            if (outcome := outcomes.pop(seq, None)) is not None:
                self.bytes -= _size(outcome)

    def _drop(self, number: int) -> None:
        session = self._by_number.pop(number)
        if self._view is not None:
            self._view.before_change(number, session)
        self.bytes -= sum(map(_size, session.outcomes.values()))

    # Snapshots

    def lines(self) -> Iterator[bytes]:
        """The line of each session in a snapshot taken now, with its newline."""
        return starmap(_line, self._by_number.items())

    def freeze(self) -> SessionsView:
        """A view of all sessions as they are now. Raises ValueError while another is open."""
        if self._view is not None:
            raise ValueError("there is a view of the sessions already")
        self._view = SessionsView(self._by_number, self._thaw)
        return self._view

    def _thaw(self) -> None:
        self._view = None

    def load(self, lines: Sequence[bytes]) -> None:
        """Add sessions from their lines in a snapshot. Raises ValueError."""
        for line in decode_sessions(lines):
            session = ClientSession(line.used, line.highest, line.acked)
            for one in line.outcomes:
                outcome = bytes(one.outcome)
                head = _HEAD.pack(bytes.fromhex(one.digest), one.index)
                session.outcomes[one.seq] = packed = head + (b"" if outcome == _SIMPLY_WRITTEN else outcome)
                self.bytes += _size(packed)
            self._by_number[line.session] = session


class SessionsView:
    """Copy-on-write: a session that is used before the view has given it is copied first."""

    def __init__(self, live: OrderedDict[int, ClientSession], on_close: Callable[[], None]) -> None:
        self.count = len(live)
        """How many sessions there were at that moment."""
        self._live = live
        self._numbers = iter(list(live))
        self._left = set(live)
        """Those that are not given yet, and were not put aside."""
        self._aside: dict[int, ClientSession] = {}
        self._on_close = on_close

    def before_change(self, number: int, session: ClientSession) -> None:
        """The session is about to change, or to go."""
        if number in self._left:
            self._left.remove(number)
            self._aside[number] = session.copy()

    def slices(self, most_lines: int, enough_bytes: int) -> Iterator[tuple[bytes, int]]:
        """Yield lines and how many they are, as `MachineView.slices` does."""
        lines: list[bytes] = []
        size = 0
        for number in self._numbers:
            line = _line(number, self._taken(number))
            lines.append(line)
            size += len(line)
            if len(lines) >= most_lines or size >= enough_bytes:
                yield b"".join(lines), len(lines)
                lines, size = [], 0
        if lines:
            yield b"".join(lines), len(lines)

    def _taken(self, number: int) -> ClientSession:
        session = self._aside.pop(number, None)
        if session is None:
            self._left.remove(number)
            session = self._live[number]
        return session

    def close(self) -> None:
        """Let the sessions go on without copies."""
        self._left.clear()
        self._aside.clear()
        self._on_close()


def _size(outcome: bytes) -> int:
    return len(outcome) - _HEAD.size + OUTCOME_OVERHEAD


def _line(number: int, session: ClientSession) -> bytes:
    outcomes = [_outcome_line(seq, outcome) for seq, outcome in session.outcomes.items()]
    return encode_session(SessionLine(number, session.used, session.highest, session.acked, outcomes))


def _outcome_line(seq: int, packed: bytes) -> OutcomeLine:
    digest, index = _HEAD.unpack_from(packed)
    outcome = packed[_HEAD.size :] or _SIMPLY_WRITTEN
    return OutcomeLine(seq, digest.hex(), index, msgspec.Raw(outcome))
