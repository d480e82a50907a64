"""Counts in words. Pure."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """The number and the noun as they go together: 1 key, 2 keys."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def snapshot_taken(keys: int, index: int, size: int) -> str:
    """What a snapshot holds, and how many bytes it has, in a line."""
    return f"{counted(keys, 'key')} up to entry {index}, {counted(size, 'byte')}"


def seconds(milliseconds: int) -> str:
    """A time in seconds, to a tenth."""
    return f"{milliseconds / 1000:.1f} s"
