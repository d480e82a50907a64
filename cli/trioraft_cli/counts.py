"""Counts in words. Pure."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """The number and the noun as they go together: 1 key, 2 keys."""
    return f"{number} {noun if number == 1 else f'{noun}s'}"


def snapshot_taken(keys: int, index: int, size: int) -> str:
    """What a snapshot holds, and how many bytes it has, in a line."""
    return f"{counted(keys, 'key')} up to entry {index}, {counted(size, 'byte')}"
