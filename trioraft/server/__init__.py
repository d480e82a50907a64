"""A node: the core, the log and the store, among sockets and clocks."""

from trioraft.server.config import NodeOptions, StartError
from trioraft.server.node import run_node

__all__ = ["NodeOptions", "StartError", "run_node"]
