"""What every user has in common."""

from __future__ import annotations

from typing import Any, Final

from trioraft.testing.answers import Asked
from trioraft.testing.belongings import Fields
from trioraft.testing.store_model import StoreModel
from trioraft.testing.streams import Push, Stream

USED: Final = "any/"
"""The prefix of the keys of users. The judge of single keys leaves them out, and pipelines do not write them."""

Next = list[Fields] | None
"""What to ask next on the connection; None to leave it, and to try another node."""


class User:
    """A user that asks for nothing."""

    def __init__(self) -> None:
        self.finishing = False
        """Whether it is to bring to an end what it has begun, and to begin nothing more."""

    @property
    def done(self) -> bool:
        """Whether it has brought everything to an end."""
        raise NotImplementedError

    def connected(self) -> Next:
        """What to ask first on a new connection."""
        raise NotImplementedError

    def answered(self, asked: Asked, reply: dict[str, Any]) -> Next:
        """Take a reply."""
        raise NotImplementedError

    def told(self, stream: Stream | None, push: Push) -> Next:
        """Take an event; `stream` is what it belongs to, None where it is about the whole connection."""
        raise AssertionError(f"an event that nobody has asked for: {stream} {push}")

    def idle(self) -> Next:
        """What to ask because some time has passed: about a tenth of a second."""
        return []

    def verify(self, model: StoreModel) -> None:
        """Compare what it was told with the log, which `model` has applied. Raises AssertionError."""
        raise NotImplementedError
