"""A terminal's screen as an SVG: text as text, in whatever font for terminals the reader has. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

SIZE: Final = 14
"""Of the font, in pixels."""
WIDTH: Final = 8.4
"""Of a character. Each text is told its length, so that it fits whatever the font."""
HEIGHT: Final = 19
"""Of a line."""
MARGIN: Final = 16
GROUND: Final = "#0d1117"
TEXT: Final = "#e6edf3"
COLOURS: Final = ("#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4")
"""Those of a terminal, from black to white, to be read on GROUND."""
FONTS: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_WORDS: Final = re.compile(r"\S+(?: \S+)*")
"""Words with a blank between them: columns of a table are placed each."""
_SGR: Final = re.compile(r"\x1b\[([0-9;]*)m")


class Style(NamedTuple):
    """How a text looks: its colour and that of its ground, None where they are the usual ones."""

    colour: str | None = None
    ground: str | None = None
    bold: bool = False
    dim: bool = False

    def after(self, codes: Sequence[int]) -> Style:
        """The style after these codes of a terminal (SGR); those that a picture needs are known."""
        style = self
        left = iter(codes)
        for code in left:
            if code == 0:
                style = Style()
            elif code in (1, 2):
                style = style._replace(bold=style.bold or code == 1, dim=style.dim or code == 2)
            elif code == 22:
                style = style._replace(bold=False, dim=False)
            elif code in (38, 48):
                colour = _indexed(left)
                style = style._replace(colour=colour) if code == 38 else style._replace(ground=colour)
            elif code in (39, 49):
                style = style._replace(colour=None) if code == 39 else style._replace(ground=None)
            elif code % 10 < 8 and code // 10 in (3, 9):
                style = style._replace(colour=GROUND if code == 30 else COLOURS[code % 10])
            elif code % 10 < 8 and code // 10 in (4, 10):
                style = style._replace(ground=COLOURS[code % 10])
        return style


def _indexed(left: Iterator[int]) -> str | None:
    """The colour that the next codes name: one of 256 by its number, or three parts."""
    if next(left, 0) == 2:
        return "#" + "".join(f"{next(left, 0):02x}" for _ in range(3))
    number = next(left, 0)
    if number < 16:
        return COLOURS[number % 8]
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    parts = ((number - 16) // 36, (number - 16) // 6 % 6, (number - 16) % 6)
    return "#" + "".join(f"{55 + 40 * part if part else 0:02x}" for part in parts)


def spans(lines: Sequence[str]) -> list[list[tuple[str, Style]]]:
    """The lines of a terminal, taken apart into texts of one style. A style goes on over the end of a line."""
    style = Style()
    found = []
    for line in lines:
        parts = _SGR.split(line)
        row = [(parts[0], style)]
        for codes, text in zip(parts[1::2], parts[2::2], strict=True):
            style = style.after([int(code or 0) for code in codes.split(";")])
            row.append((text, style))
        found.append([one for one in row if one[0]])
    return found


def drawn(lines: Sequence[str], title: str) -> str:
    """The SVG of these lines of a terminal; `title` is what is read to those who do not see it."""
    rows = spans(lines)
    columns = max((sum(len(text) for text, _ in row) for row in rows), default=0)
    width, height = round(columns * WIDTH + 2 * MARGIN), len(rows) * HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="{FONTS}" font-size="{SIZE}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{GROUND}"/>',
    ]
    for place, row in enumerate(rows):
        column = 0
        for text, style in row:
            parts += _part(text, style, column, MARGIN + place * HEIGHT)
            column += len(text)
    return "\n".join([*parts, "</svg>", ""])


def _part(text: str, style: Style, column: int, top: int) -> Iterator[str]:
    if style.ground is not None:
        left, wide = _number(MARGIN + column * WIDTH), _number(len(text) * WIDTH)
        yield f'<rect x="{left}" y="{top}" width="{wide}" height="{HEIGHT}" fill="{style.ground}"/>'
    weight = ' font-weight="bold"' if style.bold else ""
    faint = ' opacity="0.6"' if style.dim else ""
    for word in _WORDS.finditer(text):
        left, wide = _number(MARGIN + (column + word.start()) * WIDTH), _number(len(word[0]) * WIDTH)
        yield (
            f'<text x="{left}" y="{top + SIZE}" textLength="{wide}" fill="{style.colour or TEXT}"{weight}{faint}>'
            f"{escape(word[0])}</text>"
        )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
