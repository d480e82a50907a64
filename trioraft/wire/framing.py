"""Bytes from a client, cut into lines."""

from __future__ import annotations

from typing import Final

_RETURN: Final = ord("\r")


class LineTooLong(ValueError):
    """A line exceeds the limit; `lines` are the complete lines before it."""

    def __init__(self, limit: int, lines: list[bytes]) -> None:
        super().__init__(f"a line is longer than {limit} bytes")
        self.lines = lines


class LineBuffer:
    """Cuts incoming bytes into lines, which end with LF or CR LF. Blank lines are dropped."""

    def __init__(self, limit: int) -> None:
        """`limit` is the most bytes that a line may have, without its end."""
        self.limit = limit
        self.pending = 0
        """How many bytes are held of a line that has not ended."""
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the lines that they complete. Raises LineTooLong; nothing may be fed after it."""
        if not self._parts and data.find(b"\n") == len(data) - 1 <= self.limit and _RETURN not in data:
            line = data[:-1]  # exactly one whole line: most requests come like this
            return [line] if line.strip() else []
        pieces = data.split(b"\n")
        rest = pieces.pop()
        if not pieces:
            self._keep(rest, [])
            return []
        plain = len(data) <= self.limit and _RETURN not in data
        if self._parts:
            pieces[0] = b"".join([*self._parts, pieces[0]])
            plain = plain and len(pieces[0]) <= self.limit and _RETURN not in pieces[0]
            self._parts = []
            self.pending = 0
        lines: list[bytes] = []
        if plain:
            lines = list(filter(bytes.strip, pieces))
            if rest:
                self._keep(rest, lines)
            return lines
        for piece in pieces:
            line = piece[:-1] if piece[-1:] == b"\r" else piece
            if len(line) > self.limit:
                raise LineTooLong(self.limit, lines)
            if line and not line.isspace():
                lines.append(line)
        self._keep(rest, lines)
        return lines

    def finish(self) -> bytes:
        """Return what stands after the last line end, once the input has ended; empty where that is blank."""
        line = b"".join(self._parts)
        self._parts = []
        self.pending = 0
        line = line.removesuffix(b"\r")
        return b"" if line.isspace() else line

    def _keep(self, rest: bytes, lines: list[bytes]) -> None:
        if rest:
            self._parts.append(rest)
            self.pending += len(rest)
            if self.pending > self.limit + 1:  # one more, for a carriage return
                raise LineTooLong(self.limit, lines)
