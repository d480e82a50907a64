"""What `check` knows of a cluster: the nodes' own words, and why others said nothing. Pure."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from trioraft.addresses import Address
from trioraft_cli.membership import Members

Kind = Literal[
    "refused", "no_answer", "no_way", "unresolved", "silent", "hung_up", "not_a_node", "overloaded", "failing"
]
"""Why an address gave no answer:

- `refused`: nobody listens there;
- `no_answer`: not even the connection was answered;
- `no_way`: this machine has no way there;
- `unresolved`: its name does not resolve;
- `silent`: the connection is taken, and nothing is answered;
- `hung_up`: it is taken, and closed without a word;
- `not_a_node`: what answers speaks something else;
- `overloaded`: a node answers that has no place for another client;
- `failing`: a node answers with an error.
"""

Place = Literal["shell", "prompt", "demo"]
"""Where commands are typed: in a shell, at the prompt, or at the prompt of a demo, which has nodes of its own."""


class Member(msgspec.Struct, frozen=True):
    """A member, as a node knows it."""

    id: int
    address: str
    role: str
    folder: str = ""
    """Empty until the newcomer has shown itself."""
    promote: bool = False

    @property
    def label(self) -> str:
        """How it is called in a sentence."""
        return f"node {self.id} at {self.address}"


class Trouble(msgspec.Struct, frozen=True):
    """What keeps the node that tells it and another apart."""

    node: int
    way: str
    reason: str
    message: str
    hint: str = ""


class Status(msgspec.Struct, frozen=True):
    """A node's answer to `status`. Older nodes leave out what has a default."""

    node: int
    role: str
    term: int
    leader: int | None
    commit_index: int
    last_applied: int
    last_index: int
    members: list[Member]
    supported_level: int = 1
    cluster: str | None = None
    folder: str = ""
    servers: list[str] = []
    troubles: list[Trouble] = []
    waiting_for: list[str] | None = None


class Metrics(msgspec.Struct, frozen=True):
    """What is of use here in a node's answer to `metrics`; nothing where it knows no such operation."""

    time: float | None = None
    disk_free_bytes: int | None = None
    disk_bytes: int | None = None
    data_dir: str | None = None
    max_request_bytes: int | None = None


class Fault(msgspec.Struct, frozen=True):
    """A fault that is switched on at a node."""

    kind: str
    node: int | None = None
    """The other end of the link; None for a fault of the disk."""
    way: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """What one node said."""

    address: Address
    version: str
    status: Status
    members: Members | None = None
    metrics: Metrics = Metrics()
    faults: list[Fault] = []
    clock: float | None = None
    """Its clock, in seconds, less the time that this process counts: of use beside those of others alone."""
    last_term: int = 0
    """The term of its last entry; 0 where nobody asked, or none is in memory."""


class Silence(msgspec.Struct, frozen=True):
    """Why an address gave no answer."""

    kind: Kind
    words: str


class Source(msgspec.Struct, frozen=True):
    """Where the cluster is, as it was said, and how commands find it again."""

    listed: list[Address | None]
    """The addresses that were given; None where a servers.txt has a '-'."""
    file: str | None = None
    """The servers.txt that has the list, so that positions in it are ids; None where addresses alone were given."""
    options: str = ""
    """The options by which a command finds the same cluster, with a blank before them."""
    typed_at: Place = "shell"
    """Where the check was typed, and so the commands that it advises."""


class Evidence(msgspec.Struct, frozen=True):
    """Everything that was heard, by address."""

    source: Source
    answers: dict[Address, Answer]
    silences: dict[Address, Silence]
    before: dict[Address, Status] = {}
    """What those that answered said a second before; empty where one look was enough."""


SECOND_LOOK_SECONDS: Final = 1.2
"""How long after the first look the second one begins: longer than an election timeout."""
