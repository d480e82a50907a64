"""The prompt's completion: what the tree of commands says of the text before the cursor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from itertools import islice
from typing import Final

import msgspec
from click.shell_completion import CompletionItem, ShellComplete
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from trioraft.background import in_background
from trioraft_cli.candidates import MOST
from trioraft_cli.lines import Prompt
from trioraft_cli.typed import awaits_value, before_cursor
from trioraft_cli.words import quote

COMPLETION_SECONDS: Final = 0.5
"""How long completions are waited for."""


class Offer(msgspec.Struct, frozen=True):
    """A completion of the word before the cursor."""

    text: str
    """The word as it is typed."""
    start: int
    """Where it begins, counted from the cursor: 0 or less."""
    help: str


def offers(prompt: Prompt, text: str) -> list[Offer]:
    """The completions of the text before the cursor. A node may be asked, and waited for."""
    cursor = before_cursor(prompt.root, text)
    if cursor is None:
        return []
    complete = ShellComplete(prompt.root, {"obj": prompt.connection}, "", "")
    found = complete.get_completions(list(cursor.words), cursor.incomplete)
    if not found and not cursor.incomplete and not awaits_value(prompt.root, cursor.words):
        found = complete.get_completions(list(cursor.words), "-")
    return [Offer(text, -len(cursor.typed), item.help or "") for item in found for text in _typed(item)]


def _typed(item: CompletionItem[str]) -> Iterable[str]:
    """The completion as it is typed at the prompt: names that exist may need quotes. Of a file: the files."""
    if item.type == "plain":
        return [quote(item.value) if item.word else item.value]
    return map(quote, _files(item.value, folders_alone=item.type == "dir"))


def _files(begins: str, *, folders_alone: bool) -> list[str]:
    """The files whose paths begin so, some of them; a folder has a `/` at its end."""
    folder, slash, name = begins.rpartition("/")
    with suppress(OSError, ValueError), os.scandir(folder + slash or ".") as entries:
        fitting = (entry for entry in entries if entry.name.startswith(name) and _is_shown(entry, name))
        found = (f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}" for entry in fitting)
        return sorted(islice((path for path in found if path.endswith("/") or not folders_alone), MOST))
    return []


def _is_shown(entry: os.DirEntry[str], begins: str) -> bool:
    """Whether the name is text, and no hidden one that nobody asks for."""
    return entry.name.isprintable() and (begins.startswith(".") or not entry.name.startswith("."))


class ClusterCompleter(Completer):
    """Completes what a person types into a prompt.

    It uses no executor thread of the prompt's loop: the loop would wait for it before it carries out a command.
    """

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """The completions of the text before the cursor, waited for."""
        found = offers(self._prompt, document.current_line_before_cursor)
        return [Completion(one.text, start_position=one.start, display_meta=one.help) for one in found]

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """The completions of the text before the cursor; none where they take too long."""
        asked = in_background(lambda: self.get_completions(document, complete_event))
        try:
            found = await asyncio.wait_for(asyncio.wrap_future(asked), COMPLETION_SECONDS)
        except Exception:  # no completion is worth a delay, or the prompt
            return
        for completion in found:
            yield completion
