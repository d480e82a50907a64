"""The lines that a load sends, made of parts prepared before it begins. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from random import Random
from typing import Final

import msgspec

from trioraft.wire.codec import encode
from trioraft_cli.bench.kinds import GET, PUT

STAMP_DIGITS: Final = 20
"""How many digits begin a value that says when it was sent, in nanoseconds."""
_MIXED: Final = 10_000
"""After how many requests a mixed load repeats the order of its puts and gets."""


class Wishes(msgspec.Struct, frozen=True):
    """What is asked for: keys, values, and how many of the requests are writes."""

    prefix: str
    keys: int
    value_size: int
    writes: float
    """The share of puts; the others are gets."""
    stale: bool = False
    """Whether the gets are stale."""
    stamped: bool = False
    """Whether each value begins with the time at which it was sent."""


class Requests:
    """An endless row of requests: each key once, in random order, and then again."""

    def __init__(self, wishes: Wishes, seed: int) -> None:
        random = Random(seed)
        order = list(range(wishes.keys))
        random.shuffle(order)
        self._order = [b"%09d" % number for number in order]
        self._at = 0
        prefix = encode(wishes.prefix)[:-1]
        value = b"x" * (wishes.value_size - STAMP_DIGITS * wishes.stamped) + b'"}\n'
        self._stamped = wishes.stamped
        self._end_of_stamped = value
        self._ends = {
            PUT: (b'{"op":"put","key":' + prefix, b'","value":"' + value),
            GET: (b'{"op":"get","key":' + prefix, b'","read":"stale"}\n' if wishes.stale else b'"}\n'),
        }
        self._only = PUT if wishes.writes >= 1 else GET if wishes.writes <= 0 else None
        self._runs = [] if self._only else _drawn_runs(random, wishes.writes)
        self._run = 0
        self._left = self._runs[0][1] if self._runs else 0

    def next(self, count: int, now: int) -> tuple[bytes, Sequence[tuple[str, int]]]:
        """The next `count` requests as bytes, and of which kinds they are: runs of one kind, in order.

        `now` goes into values that say when they were sent.
        """
        if self._stamped:
            return self._stamped_lines(count, now), ((PUT, count),)
        if self._only is not None:
            return self._lines(self._only, count), ((self._only, count),)
        kinds = []
        parts = []
        while count:
            kind, length = self._runs[self._run][0], min(count, self._left)
            kinds.append((kind, length))
            parts.append(self._lines(kind, length))
            count -= length
            self._left -= length
            if not self._left:
                self._run = (self._run + 1) % len(self._runs)
                self._left = self._runs[self._run][1]
        return b"".join(parts), kinds

    def _lines(self, kind: str, count: int) -> bytes:
        head, tail = self._ends[kind]
        if count == 1:
            return b"%b%b%b" % (head, self._keys(1)[0], tail)
        return b"%b%b%b" % (head, (tail + head).join(self._keys(count)), tail)

    def _stamped_lines(self, count: int, now: int) -> bytes:
        stamped = b'","value":"%0*d%b' % (STAMP_DIGITS, now, self._end_of_stamped)
        return b"".join([self._ends[PUT][0] + key + stamped for key in self._keys(count)])

    def _keys(self, count: int) -> list[bytes]:
        keys = self._order[self._at : self._at + count]
        self._at += len(keys)
        while len(keys) < count:
            self._at = min(count - len(keys), len(self._order))
            keys += self._order[: self._at]
        return keys


def _drawn_runs(random: Random, writes: float) -> list[tuple[str, int]]:
    """Put as many puts and gets as the share says into random order, and join equal neighbours."""
    puts = min(max(1, round(writes * _MIXED)), _MIXED - 1)
    kinds = [PUT] * puts + [GET] * (_MIXED - puts)
    random.shuffle(kinds)
    return [(kind, len(list(run))) for kind, run in groupby(kinds)]
