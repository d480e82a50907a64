"""The prompt's connection to the cluster: its calls run in a thread of their own, so that Ctrl-C ends the wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from trioraft.addresses import Address
from trioraft.background import in_background
from trioraft.client import Client, Line, NoNode, Reply
from trioraft_cli.asking import Asker, reply_of
from trioraft_cli.deadlines import TimeIsUp
from trioraft_cli.going_on import GoingOn
from trioraft_cli.membership import Members, ask_members
from trioraft_cli.streams import say

NO_NODE_HINT: Final = (
    "start the nodes; if they are elsewhere, leave this prompt and say where: 'trioraft shell --servers FILE'"
)

T = TypeVar("T")


class Connection(Asker):
    """A client whose calls Ctrl-C can break off, and what goes on between them."""

    def __init__(self, addresses: Sequence[Address], hint: str = NO_NODE_HINT) -> None:
        """`hint` says what to do where no node can be reached."""
        super().__init__(addresses)
        self.going_on = GoingOn(addresses)
        self._hint = hint
        self._client = Client(addresses)
        self._node: Address | None = None

    @property
    def node(self) -> Address | None:
        """The node that answered last."""
        return self._node

    def ask(self, op: str, fields: dict[str, Any], *, once: bool = False) -> Reply:
        """Ask and wait; Ctrl-C gives up the wait and the connection, and the next call has a new one."""
        return self.with_client(lambda client: reply_of(client, op, fields, once=once))

    def settle(self, op: str, seconds: float | None, **fields: Any) -> Line:
        """Ask what may have to wait, on a connection of its own, which Ctrl-C gives up."""
        try:
            return super().settle(op, seconds, **fields)
        except NoNode as error:
            error.hint = self._hint
            raise

    def members(self) -> Members:
        """The members, as the leader sees them."""
        return self.with_client(ask_members)

    def close(self) -> None:
        """Close it, with what goes on; what is under way is not waited for."""
        self.going_on.close()
        self._client.abandon()

    def with_client(self, work: Callable[[Client], T]) -> T:
        """What `work` makes of the client of this prompt; Ctrl-C gives up both. Raises ClientError."""
        client = self._as_told(self._client)
        future = in_background(lambda: work(client))
        try:
            return future.result()
        except NoNode as error:
            error.hint = self._hint
            raise
        except (KeyboardInterrupt, TimeIsUp):
            client.abandon()
            self._client = Client(self.addresses)
            raise
        finally:
            before, now = self._node, client.address
            if now is not None:
                self._node = now
                if before not in (None, now):
                    say(f"{before} does not answer, now asking {now}")
