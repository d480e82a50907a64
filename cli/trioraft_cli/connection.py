"""The prompt's connection to the cluster: its calls run in a thread of their own, so that Ctrl-C ends the wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from trioraft.addresses import Address
from trioraft.background import in_background
from trioraft.client import Client, NoNode, Reply
from trioraft_cli.membership import Members, ask_members
from trioraft_cli.streams import say

NO_NODE_HINT: Final = (
    "start the nodes; if they are elsewhere, leave this prompt and say where: 'trioraft shell --servers FILE'"
)

T = TypeVar("T")


class Connection:
    """A client whose calls Ctrl-C can break off."""

    def __init__(self, addresses: Sequence[Address], hint: str = NO_NODE_HINT) -> None:
        """`hint` says what to do where no node can be reached."""
        self._addresses = addresses
        self._hint = hint
        self._client = Client(addresses)
        self._node: Address | None = None

    @property
    def node(self) -> Address | None:
        """The node that answered last."""
        return self._node

    def call(self, op: str, **fields: Any) -> Reply:
        """Ask and wait; Ctrl-C gives up the wait and the connection, and the next call has a new one."""
        return self._wait(lambda client: client.call(op, **fields))

    def members(self) -> Members:
        """The members, as the leader sees them."""
        return self._wait(ask_members)

    def close(self) -> None:
        """Close it; what is under way is not waited for."""
        self._client.abandon()

    def _wait(self, work: Callable[[Client], T]) -> T:
        client = self._client
        future = in_background(lambda: work(client))
        try:
            return future.result()
        except NoNode as error:
            error.hint = self._hint
            raise
        except KeyboardInterrupt:
            client.abandon()
            self._client = Client(self._addresses)
            raise
        finally:
            before, now = self._node, client.address
            if now is not None:
                self._node = now
                if before not in (None, now):
                    say(f"{before} does not answer, now asking {now}")
