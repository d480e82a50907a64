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


def duration(seconds: float) -> str:
    """A short time as a person reads it: in milliseconds, from one second on in seconds."""
    if seconds >= 1.0:
        return f"{seconds:.2f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds:.0f} ms"
