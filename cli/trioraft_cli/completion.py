"""The prompt's completion: what `commands` says of the text before the cursor, and keys, which a node is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from trioraft.addresses import Address
from trioraft.background import in_background
from trioraft.client import Client, ClientError
from trioraft.wire.codec import DecodeError
from trioraft_cli import render
from trioraft_cli.commands import complete_command, key_to_complete
from trioraft_cli.words import quote

COMPLETION_SECONDS: Final = 0.5
"""How long keys are waited for."""
COMPLETIONS: Final = 100
"""How many keys are asked for."""


class ClusterCompleter(Completer):
    """Completes commands, and keys that exist.

    It uses no executor thread of the prompt's loop: the loop would wait for it before it carries out a command.
    """

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._client = Client(addresses, timeout=COMPLETION_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """The commands alone: keys are those of a node, which has to be waited for."""
        text = document.current_line_before_cursor
        return [Completion(name, start_position=-len(text.lstrip())) for name in complete_command(text)]

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """The completions of the text before the cursor."""
        for completion in self.get_completions(document, complete_event):
            yield completion
        found = key_to_complete(document.current_line_before_cursor)
        if found is None:
            return
        prefix, typed = found
        for key in await self._keys(prefix):
            yield Completion(quote(key), start_position=-typed)

    async def _keys(self, prefix: str) -> list[str]:
        fields = {"op": "scan", "prefix": prefix, "keys_only": True, "limit": COMPLETIONS, "read": "stale"}
        client = self._client
        asked = in_background(lambda: client.pipeline([fields])[0])
        try:
            reply = await asyncio.wait_for(asyncio.wrap_future(asked), COMPLETION_SECONDS)
            return [row.key for row in render.scan_rows(reply)] if reply.ok else []
        except (ClientError, TimeoutError, DecodeError):
            return []  # no key is worth a delay, or a message in the middle of the typing
        finally:
            if not asked.done():
                client.abandon()
                self._client = Client(self._addresses, timeout=COMPLETION_SECONDS)
