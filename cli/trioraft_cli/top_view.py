"""The picture that `top` draws: lines of text with styles, for a screen of any size. Pure, and in ASCII."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Final, TypeVar

from trioraft_cli.escapes import ascii_json, safe_json
from trioraft_cli.top_log import MOST_CELLS, Cell, LogTail, letter_of, ruler, terms_in
from trioraft_cli.top_poll import Seen
from trioraft_cli.top_rows import Cluster, Row

Span = tuple[str, str]
"""A text and its style, as rich names styles; '' for none."""
Line = list[Span]
T = TypeVar("T")

COLOURS: Final = ("green", "yellow", "cyan", "magenta", "blue", "white")
"""Of terms, one after the other."""
LEAST_ADDRESS: Final = 8
"""The fewest characters of an address that are left on a narrow screen."""
MOST_TERMS: Final = 6
"""How many terms the line below the strips names."""
_BAD: Final = "bold red"
_DIM: Final = "dim"


def picture(
    cluster: Cluster, nodes: Sequence[Seen], width: int, height: int | None = None, foot: str = ""
) -> list[Line]:
    """The lines for a screen of that size; `nodes` are those of the cluster's rows; `foot` is the last line.

    Without a height there are as many lines as it takes.
    """
    room = 1_000_000 if height is None else height - bool(foot)
    strips = _strips(cluster, nodes, width)
    parts = [_head(cluster), _table(cluster.nodes, width), _remarks(cluster, width), strips[:-1], strips[-1:]]
    lines = _joined(parts, room)
    if height is not None and room - len(lines) > 3:
        lines += _newest(cluster, nodes, room - len(lines) - 1)
    lines = lines[:room]
    if foot and height is not None:
        lines += [[]] * (height - 1 - len(lines)) + [[(foot, _DIM)]]
    return [_cut(line, width) for line in lines]


def _joined(parts: Sequence[list[Line]], room: int) -> list[Line]:
    """The parts below each other, with blank lines between them as far as there is room for these."""
    there = [part for part in parts if part]
    blanks = room - sum(map(len, there))
    lines: list[Line] = []
    for place, part in enumerate(there):
        if place and place < len(there) - 1 and blanks > 0:
            lines.append([])
            blanks -= 1
        lines += part
    return lines


def _cut(line: Line, width: int) -> Line:
    cut: Line = []
    for text, style in line:
        if width > 0:
            cut.append((text[:width], style))
        width -= len(text)
    return cut


def _head(cluster: Cluster) -> list[Line]:
    answering = sum(row.failure is None and row.role is not None for row in cluster.nodes)
    all_answer = answering == len(cluster.nodes)
    line: Line = [(f"{answering} of {len(cluster.nodes)} answer", "" if all_answer else _BAD)]
    if cluster.leader is None:
        line.append(("   no leader", _BAD))
    else:
        line.append((f"   node {cluster.leader} leads", "bold green"))
    if cluster.term is not None:
        line.append((f"   term {cluster.term}", ""))
    if cluster.commits_per_second is not None:
        line.append((f"   {count(cluster.commits_per_second)} entries/s", ""))
    if cluster.can_lose is not None:
        line.append((f"   can lose {cluster.can_lose}", "" if cluster.can_lose else _BAD))
    return [line]


def _remarks(cluster: Cluster, width: int) -> list[Line]:
    return [[(line, _BAD)] for remark in cluster.remarks for line in wrap(remark, max(width, LEAST_ADDRESS))]


# The table

_COLUMNS: Final[dict[str, tuple[bool, Callable[[Row], str]]]] = {
    "NODE": (True, lambda row: "?" if row.node is None else str(row.node)),
    "ADDRESS": (False, lambda row: row.address),
    "ROLE": (False, lambda row: _role(row)),
    "TERM": (True, lambda row: _or_dash(row.term, str)),
    "COMMIT": (True, lambda row: _or_dash(row.commit_index, str)),
    "LAG": (True, lambda row: _or_dash(row.lag, count)),
    "HEARD": (True, lambda row: _or_dash(row.heard_ms, duration)),
    "SYNC": (True, lambda row: _or_dash(row.sync_ms, duration)),
    "REQ/S": (True, lambda row: _or_dash(row.requests_per_second, count)),
    "MEM": (True, lambda row: _or_dash(row.rss_bytes, size)),
}
"""Each column: whether it is of numbers, and its cell."""
_LEFT_OUT: Final = ("MEM", "REQ/S", "SYNC", "HEARD", "ADDRESS", "COMMIT")
"""The columns that a screen lacks which is too narrow for all, in this order."""


def _role(row: Row) -> str:
    if row.role == "follower" and not row.has_leader:
        return "no leader"
    return "pre-cand." if row.role == "pre-candidate" else row.role or "..."


def _table(rows: Sequence[Row], width: int) -> list[Line]:
    cells = {name: [name, *(cell(row) for row in rows)] for name, (_, cell) in _COLUMNS.items()}
    answers = [True, *(row.failure is None for row in rows)]
    widths = {
        name: max(
            len(text) for text, there in zip(column, answers, strict=True) if there or name in ("NODE", "ADDRESS")
        )
        for name, column in cells.items()
    }
    gap = _fit(widths, width)
    lines = [[(_padded([(name, name) for name in widths], widths, gap), "bold cyan")]]
    for place, row in enumerate(rows, 1):
        if row.failure is None:
            texts = [(name, cells[name][place]) for name in widths]
            lines.append([(_padded(texts, widths, gap), _style(row))])
        else:
            texts = [(name, cells[name][place]) for name in ("NODE", "ADDRESS") if name in widths]
            lines.append([(_padded(texts, widths, gap) + gap + _silence(row), _BAD)])
    return lines


def _fit(widths: dict[str, int], width: int) -> str:
    """Narrow the gaps, then the addresses, then leave out columns; the gap between columns."""
    for gap in ("  ", " "):
        if sum(widths.values()) + len(gap) * (len(widths) - 1) <= width:
            return gap
    for name in _LEFT_OUT:
        excess = sum(widths.values()) + len(widths) - 1 - width
        if excess > 0 and "ADDRESS" in widths:
            narrower = min(excess, max(0, widths["ADDRESS"] - LEAST_ADDRESS))
            widths["ADDRESS"] -= narrower
            excess -= narrower
        if excess > 0:
            del widths[name]
    return " "


def _padded(texts: Sequence[tuple[str, str]], widths: dict[str, int], gap: str) -> str:
    cells = []
    for name, text in texts:
        width = widths[name]
        if len(text) > width:
            text = "~" + text[len(text) - width + 1 :]
        cells.append(text.rjust(width) if _COLUMNS[name][0] else text.ljust(width))
    return gap.join(cells).rstrip()


def _silence(row: Row) -> str:
    lacks = f", lacks {row.lag}" if row.lag else ""
    return f"no answer for {duration(1000 * (row.silent_seconds or 0))}{lacks}: {row.failure}"


def _style(row: Row) -> str:
    if row.role == "leader":
        return "bold green" if row.has_leader else _BAD
    return "" if row.has_leader or row.role is None else "red"


# The logs


def _strips(cluster: Cluster, nodes: Sequence[Seen], width: int) -> list[Line]:
    """The ends of the logs, with a ruler above them; the last line says what the signs mean."""
    labels = [f"node {'?' if row.node is None else row.node}  " for row in cluster.nodes]
    label = max(map(len, labels), default=0)
    last = max((seen.log.last for seen in nodes), default=0)
    first = max(1, last - min(MOST_CELLS, width - label) + 1)
    if first > last:
        return []
    strips = [seen.log.cells(first, last) for seen in nodes]
    lines: list[Line] = [[("LOG".ljust(label), "bold cyan"), (ruler(first, last), _DIM)]]
    for text, row, strip in zip(labels, cluster.nodes, strips, strict=True):
        silent = row.failure is not None
        lines.append([(text.ljust(label), _BAD if silent else ""), *_spans(strip, silent)])
    return [*lines, _legend(strips)]


def _spans(strip: Sequence[Cell], silent: bool) -> Line:
    """A strip as texts of one style each; of a node that does not answer it is what was seen last."""
    spans: Line = []
    for cell in strip:
        style = _DIM if silent else _cell_style(cell)
        if spans and spans[-1][1] == style:
            spans[-1] = spans[-1][0] + cell.sign, style
        else:
            spans.append((cell.sign, style))
    return spans


def _cell_style(cell: Cell) -> str:
    colour = COLOURS[(cell.term - 1) % len(COLOURS)]
    if cell.state == "committed":
        return f"black on {colour}"
    if cell.state == "appended":
        return colour
    return _BAD if cell.state == "gone" else _DIM


def _legend(strips: Sequence[Sequence[Cell]]) -> Line:
    terms = terms_in(strips)
    spans: Line = []
    for term in terms[-MOST_TERMS:]:
        spans += [(letter_of(term).upper(), _cell_style(Cell("committed", term))), (f" term {term}  ", "")]
    states = {cell.state for strip in strips for cell in strip}
    said = [("committed", "capital: committed"), ("appended", "small: not yet"), ("gone", "!: truncated")]
    said += [("compacted", ".: in a snapshot"), ("unknown", "?: not known")]
    return [*spans, (", ".join(text for state, text in said if state in states), _DIM)]


def _newest(cluster: Cluster, nodes: Sequence[Seen], room: int) -> list[Line]:
    """The newest entries of the leader's log, or of the longest, the newest last."""
    leader = [seen.log for seen, row in zip(nodes, cluster.nodes, strict=True) if row.node == cluster.leader]
    logs = leader or [seen.log for seen in nodes]
    log = max(logs, key=lambda one: one.last, default=LogTail())
    indexes = sorted(log.commands)[-(room - 1) :]
    if not indexes:
        return []
    digits = len(str(indexes[-1]))
    lines: list[Line] = [[], [("NEWEST ENTRIES", "bold cyan")]]
    for index in indexes:
        [cell] = log.cells(index, index)
        lines.append(
            [(f"{index:>{digits}} ", _DIM), (cell.sign, _cell_style(cell)), (f" {_said(log.commands[index])}", "")]
        )
    return lines


def _said(command: bytes) -> str:
    text = ascii_json(safe_json(command.decode(errors="replace")))
    return "no-op" if text == "null" else text


# Numbers


def _or_dash(value: T | None, text: Callable[[T], str]) -> str:
    return "-" if value is None else text(value)


def count(number: float) -> str:
    """A number in five characters at most, such as 57, 1203 or 12.3k."""
    for unit in ("", "k", "M", "G"):
        if number < (9999.5 if not unit else 999.5):
            return f"{number:.1f}{unit}" if unit and number < 99.95 else f"{number:.0f}{unit}"
        number /= 1000
    return f"{number:.0f}T"


def duration(milliseconds: float) -> str:
    """A time in seven characters at most, such as 350 us, 2.5 ms, 70 ms, 1.2 s, 15 min, 3 h."""
    if milliseconds < 0.9995:
        return f"{milliseconds * 1000:.0f} us" if milliseconds else "0 ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 119.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 119.5 * 60 else f"{seconds / 3600:.0f} h"


def size(number: float) -> str:
    """A number of bytes in four characters at most, such as 36M."""
    for unit in ("", "K", "M", "G"):
        if number < 999.5:
            return f"{number:.1f}{unit}" if unit and number < 9.95 else f"{number:.0f}{unit}"
        number /= 1024
    return f"{number:.0f}T"
