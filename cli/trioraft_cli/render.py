"""Replies as a person reads them: tables on a terminal in colour, and plain when piped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from trioraft.wire.codec import decode
from trioraft_cli import colour
from trioraft_cli.escapes import ascii_json, safe, safe_json
from trioraft_cli.form import as_table
from trioraft_cli.pretty import pretty
from trioraft_cli.streams import in_utf8
from trioraft_cli.values import unquoted
from trioraft_cli.words import line_of, quote

if TYPE_CHECKING:
    from trioraft.client import Push, Reply


WIDEST: Final = 60
"""The most characters that a column is padded to; longer cells stick out."""


class ScanItem(msgspec.Struct):
    """A row of a scan."""

    key: str
    rev: int
    created: int
    version: int
    value: msgspec.Raw = msgspec.Raw(b"")


class LogRow(msgspec.Struct):
    """A row of show_log."""

    index: int
    term: int
    command: msgspec.Raw
    committed: bool
    applied: bool


def on_terminal() -> bool:
    """Whether a person sees standard output."""
    return sys.stdout.isatty()


def show_json(value: bytes) -> None:
    """Print JSON as it was sent when piped in UTF-8; on a terminal, or in another encoding, with escapes."""
    text = value.decode()
    if on_terminal():
        text = safe_json(text)
    elif not in_utf8(sys.stdout):
        text = ascii_json(text)
    print(text)


def show_value(value: bytes) -> None:
    """Print a value: laid out for a person, in colours on a terminal; for programs as it was sent."""
    if not as_table():
        show_json(value)
        return
    import shutil

    text = pretty(safe_json(value.decode()), shutil.get_terminal_size().columns)
    print(colour.painted_json(text) if colour.wanted(sys.stdout) else text)


def show_raw(value: bytes) -> None:
    """Print a value, and of a string its text: in UTF-8 when piped, whatever the locale, with escapes on a terminal."""
    text = unquoted(value)
    if text is None:
        show_value(value)
    elif on_terminal():
        print(safe(text, keep="\n\t"))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode() + b"\n")


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, or plainly a row a line; the columns of numbers are those whose name ends in '#'."""
    names = [name.removesuffix("#") for name in columns]
    safe_rows = [[safe(cell) for cell in row] for row in rows]
    if not as_table():
        _show_plain([names, *safe_rows])
        return
    from rich.table import Table

    from trioraft_cli.cells import Cell

    table = Table(title=title or None, title_justify="left", header_style="bold cyan", box=None, pad_edge=False)
    for name in columns:
        table.add_column(name.removesuffix("#"), justify="right" if name.endswith("#") else "left", overflow="fold")
    for row in safe_rows:
        table.add_row(*(Cell(cell, _style(name, cell)) for name, cell in zip(names, row, strict=True)))
    colour.console(sys.stdout).print(table)


def _show_plain(rows: Sequence[Sequence[str]]) -> None:
    """Print padded columns. A cell of unusual length sticks out, so that it does not widen every row."""
    widths = [min(WIDEST, max(map(len, column))) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(" "))


def _style(name: str, cell: str) -> str:
    if name != "ROLE":
        return ""
    if cell == "leader":
        return "bold green"
    return "red" if cell.startswith(("no answer", "no leader")) else ""


def scan_rows(reply: Reply) -> list[ScanItem]:
    """The rows of a scan's reply."""
    return decode(reply.raw("items"), list[ScanItem])


def log_rows(reply: Reply) -> list[LogRow]:
    """The rows of show_log's reply."""
    return decode(reply.raw("entries"), list[LogRow])


def show_scan(reply: Reply, *, keys_only: bool) -> None:
    """Print a scan as a table, or its keys alone, one a line, which is the key itself wherever that is possible."""
    rows = scan_rows(reply)
    encoding = sys.stdout.encoding
    if keys_only:
        for row in rows:
            print(line_of(row.key, encoding))
        return
    table = [[quote(row.key, encoding), safe_json(bytes(row.value).decode()), str(row.rev)] for row in rows]
    show("", ["KEY", "VALUE", "REV#"], table)


def event_line(push: Push) -> str:
    """An event in a line: its revision, what happened, the key, and the value that it has now."""
    parts = [str(push["rev"]), push.event, quote(push["key"], sys.stdout.encoding)]
    if push.event == "put":
        parts.append(safe_json(push.raw("value").decode()))
    elif push.raw("by") == b'"lease"':
        parts.append("(with its lease)")
    return "  ".join(parts)


def show_log(reply: Reply) -> None:
    """Print entries as a table, the newest last."""
    table = []
    for row in log_rows(reply):
        state = "applied" if row.applied else "committed" if row.committed else "appended"
        command = safe_json(bytes(row.command).decode())
        table.append([str(row.index), str(row.term), state, "no-op" if command == "null" else command])
    show("", ["INDEX#", "TERM#", "STATE", "COMMAND"], table)
