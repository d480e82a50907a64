"""How an operation can fail. "Failed" and "unknown" are different answers."""

from __future__ import annotations

from trioraft.client.protocol import Push, Reply


class ClientError(Exception):
    """The operation did not succeed: what happened, and what to do."""

    applied: str | None = None
    """Whether a write was applied, where `message` does not say it: "no" or "unknown"."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadRequest(ClientError):
    """The request cannot be sent as it is; nothing was sent."""


class NoNode(ClientError):
    """No node could be reached; nothing was applied."""


class Unknown(ClientError):
    """The connection was lost after a write was sent: it may or may not take effect."""


class Refused(ClientError):
    """A node answered with an error, or ended with one what was to go on."""

    def __init__(self, reply: Reply | Push) -> None:
        error = reply.error
        super().__init__(error.message, error.hint)
        self.reply = reply
        self.code = error.code
        self.applied = error.applied
