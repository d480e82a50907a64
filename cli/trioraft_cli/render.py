"""Replies as a person reads them: tables on a terminal in colour, and plain when piped."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from trioraft.wire.codec import decode
from trioraft_cli.values import safe

if TYPE_CHECKING:
    from trioraft.client import Reply


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


def out(text: str) -> None:
    """Print data: exactly as it is when piped, and harmless on a terminal."""
    print(safe(text) if on_terminal() else text)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the columns of numbers are those whose name ends in '#'."""
    if not on_terminal() or "NO_COLOR" in os.environ:
        _show_plain([name.removesuffix("#") for name in columns], rows)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", header_style="bold cyan", box=None, pad_edge=False)
    for name in columns:
        table.add_column(name.removesuffix("#"), justify="right" if name.endswith("#") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(safe(cell), style=_style(cell)) for cell in row))
    Console().print(table)


def _show_plain(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    cells = [list(names), *[[safe(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _style(cell: str) -> str:
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
    """A scan as a table, keys alone as a list."""
    rows = scan_rows(reply)
    if keys_only:
        for row in rows:
            out(row.key)
        return
    show("", ["KEY", "VALUE", "REV#"], [[row.key, bytes(row.value).decode(), str(row.rev)] for row in rows])


def show_log(reply: Reply) -> None:
    """Entries as a table, the newest last."""
    table = []
    for row in log_rows(reply):
        state = "applied" if row.applied else "committed" if row.committed else "appended"
        command = bytes(row.command).decode()
        table.append([str(row.index), str(row.term), state, "no-op" if command == "null" else command])
    show("", ["INDEX#", "TERM#", "STATE", "COMMAND"], table)
