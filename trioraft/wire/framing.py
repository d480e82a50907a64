"""Bytes to lines."""

from __future__ import annotations

from typing import Final

_RETURN: Final = ord("\r")


class LineTooLong(ValueError):
    """A line exceeds the limit; `lines` are those that were complete before it."""

    def __init__(self, limit: int, lines: list[bytes]) -> None:
        super().__init__(f"a line is longer than {limit} bytes")
        self.lines = lines


class LineBuffer:
    """Cuts what comes in into lines, ended by a newline or by carriage return and newline; blank ones are dropped."""

    def __init__(self, limit: int) -> None:
        """`limit` is how many bytes a line may have, without its end."""
        self.limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> int:
        """Bytes held of a line that has not ended."""
        return self._size

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, give the lines that they complete. Raises LineTooLong; nothing may be fed after it."""
        if not self._parts and data.find(b"\n") == len(data) - 1 <= self.limit and _RETURN not in data:
            line = data[:-1]  # one line, and all of it: so most requests come
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
            self._size = 0
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
        """The last line, if it did not end before the input did."""
        line = b"".join(self._parts)
        self._parts = []
        self._size = 0
        line = line.removesuffix(b"\r")
        return b"" if line.isspace() else line

    def _keep(self, rest: bytes, lines: list[bytes]) -> None:
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
            if self._size > self.limit + 1:  # one for a carriage return
                raise LineTooLong(self.limit, lines)
