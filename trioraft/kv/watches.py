"""Who wants to be told of which keys: found by the key and by its prefixes, however many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from trioraft.kv.interests import Condition, Interest, PrefixInterest

T = TypeVar("T")


class Watches(Generic[T]):
    """An index of those who have an interest."""

    def __init__(self) -> None:
        self._by_key: dict[str, dict[T, None]] = {}
        self._by_prefix: dict[str, dict[T, None]] = {}
        self._by_condition: dict[str, dict[T, Condition]] = {}
        self._lengths: list[int] = []
        """The lengths of the prefixes, in order, each once."""

    def __bool__(self) -> bool:
        return bool(self._by_key or self._by_prefix or self._by_condition)

    def add(self, interest: Interest, who: T) -> None:
        """Note an interest, one for each `who`."""
        if isinstance(interest, Condition):
            self._by_condition.setdefault(interest.key, {})[who] = interest
        elif isinstance(interest, PrefixInterest):
            if interest.prefix not in self._by_prefix:
                self._by_prefix[interest.prefix] = {}
                self._measure()
            self._by_prefix[interest.prefix][who] = None
        else:
            self._by_key.setdefault(interest.key, {})[who] = None

    def remove(self, interest: Interest, who: T) -> None:
        """Forget an interest; one that is not known is forgotten already."""
        if isinstance(interest, Condition):
            _remove(self._by_condition, interest.key, who)
        elif isinstance(interest, PrefixInterest):
            if _remove(self._by_prefix, interest.prefix, who):
                self._measure()
        else:
            _remove(self._by_key, interest.key, who)

    def _measure(self) -> None:
        self._lengths = sorted(set(map(len, self._by_prefix)))

    def first(self, keys: Sequence[str], begin: int, end: int) -> int:
        """The first place of these keys, from `begin` up to `end`, that anybody may want; `end` where there is none."""
        by_key, by_prefix, by_condition, lengths = self._by_key, self._by_prefix, self._by_condition, self._lengths
        for place in range(begin, end):
            key = keys[place]
            if key in by_key or key in by_condition:
                return place
            for length in lengths:
                if key[:length] in by_prefix:
                    return place
        return end

    def of_key(self, key: str) -> list[T]:
        """Those who want each change of that key alone."""
        return list(self._by_key.get(key, ()))

    def of_prefixes(self, key: str) -> Iterator[tuple[str, list[T]]]:
        """Yield each prefix of the key that is of interest, with those who want it."""
        for prefix in self.prefixes(key):
            yield prefix, list(self._by_prefix[prefix])

    def prefixes(self, key: str) -> Iterator[str]:
        """Yield the prefixes of the key that are of interest."""
        for length in self._lengths:
            if length > len(key):
                return
            if (prefix := key[:length]) in self._by_prefix:
                yield prefix

    def of_condition(self, key: str) -> list[tuple[T, Condition]]:
        """Those who wait for a state of that key."""
        return list(self._by_condition.get(key, {}).items())


def _remove(those: dict[str, dict[T, None]] | dict[str, dict[T, Condition]], text: str, who: T) -> bool:
    """Remove one; whether it was the last under that text."""
    some = those.get(text)
    if some is None:
        return False
    some.pop(who, None)
    if some:
        return False
    del those[text]
    return True
