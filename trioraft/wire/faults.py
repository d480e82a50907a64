"""The faults of a node as they are asked for."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from trioraft.wire.table import Milliseconds, Node, Request

FaultKind = Literal["cut", "slow", "drop", "disk"]
Way = Literal["to", "from"]
"""A direction, as a node sees it: what it sends to a peer, and what it gets from it."""

_FIELD_OF_KIND: Final[dict[FaultKind | None, str]] = {"slow": "ms", "drop": "percent"}
"""The field that says how bad a fault is."""


class FaultRequest(Request, kw_only=True, gc=False):
    """The fields of a request that sets or heals faults of a node, or shows them."""

    kind: FaultKind | None = None
    nodes: Annotated[list[Node], msgspec.Meta(max_length=1000)] | None = None
    """The peers to which the links are."""
    way: Literal["to", "from", "both"] | None = None
    ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] | None = None
    """How much later everything arrives."""
    percent: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    """How much of what is sent is lost."""
    for_ms: Milliseconds | None = None
    """After how long it ends by itself."""
    heal: bool = False

    def __post_init__(self) -> None:
        """Check that the fields fit each other. Raises ValueError, which the decoder turns into its own error."""
        needed = None if self.heal else _FIELD_OF_KIND.get(self.kind)
        for kind, name in _FIELD_OF_KIND.items():
            given = getattr(self, name) is not None
            if given and name != needed:
                raise ValueError(f"'{name}' is for faults of the kind {kind}")
            if name == needed and not given:
                raise ValueError(f"a fault of the kind {kind} has '{name}'")
        if self.for_ms is not None and (self.heal or self.kind is None):
            raise ValueError("'for_ms' is for a fault that is set")
        links = self.nodes is not None or self.way is not None
        if links and (self.kind == "disk" or (self.kind is None and not self.heal)):
            raise ValueError("'nodes' and 'way' are for faults of links: 'kind' cut, slow or drop, or 'heal'")
        if not self.nodes and (self.nodes is not None or (not self.heal and self.kind not in (None, "disk"))):
            raise ValueError("a fault of links has 'nodes', one at least")

    @property
    def ways(self) -> tuple[Way, ...]:
        """The directions that it is about."""
        return ("to", "from") if self.way is None or self.way == "both" else (self.way,)
