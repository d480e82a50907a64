"""The prompt's connection to the cluster: its calls run in a thread of their own, so that Ctrl-C ends the wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from trioraft.addresses import Address
from trioraft.background import in_background
from trioraft.client import Client, Line, NoNode, Reply
from trioraft_cli.asking import Asker
from trioraft_cli.deadlines import TimeIsUp
from trioraft_cli.going_on import GoingOn
from trioraft_cli.streams import say

NO_NODE_HINT: Final = (
    "start the nodes; if they are elsewhere, leave this prompt and say where: 'trioraft shell --servers FILE'"
)

T = TypeVar("T")


class Connection(Asker):
    """A client whose calls Ctrl-C can break off, and what goes on between them."""

    def __init__(
        self,
        addresses: Sequence[Address],
        hint: str = NO_NODE_HINT,
        down: Callable[[], Mapping[Address, str]] = dict,
    ) -> None:
        """`hint` says what to do where no node can be reached, and `down` which are known to be killed or paused."""
        super().__init__(addresses)
        self.down = down
        self.carry_out: Callable[[str], int | None] = lambda line: None  # noqa: ARG005
        """Carries out a line of the prompt, once there is one; its exit code, None where it ends the prompt."""
        self.going_on: GoingOn = GoingOn(addresses)
        self._hint = hint
        self._client = Client(addresses)
        self._node: Address | None = None
        self.leader: int | None = None
        """The leader that this prompt has told of last."""
        self.timing = False
        """Whether each command tells how long it took."""

    @property
    def node(self) -> Address | None:
        """The node that answered last."""
        return self._node

    def ask(self, op: str, fields: dict[str, Any], *, once: bool = False) -> Reply:
        """Ask and wait, as `with_client` does."""
        reply = super().ask(op, fields, once=once)
        if op == "transfer_leadership":
            self.leader = reply["leader"]  # which the command says
        return reply

    def settle(self, op: str, seconds: float | None, **fields: Any) -> Line:
        """Ask what may have to wait, on a connection of its own, which Ctrl-C gives up."""
        with self._hinting():
            return super().settle(op, seconds, **fields)

    def with_client(self, work: Callable[[Client], T]) -> T:
        """What `work` makes of the client of this prompt; Ctrl-C gives up both. Raises ClientError."""
        client = self._as_told(self._client)
        try:
            with self._hinting():
                return in_background(lambda: work(client)).result()
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

    def close(self) -> None:
        """Close it, with what goes on; what is under way is not waited for."""
        self.going_on.close()
        self._client.abandon()

    @contextmanager
    def _hinting(self) -> Iterator[None]:
        """A context in which a failure to reach any node says what to do."""
        try:
            yield
        except NoNode as error:
            error.hint = self._hint
            raise
