"""The node as a process: a replica among sockets, threads, clocks and signals."""

from trioraft.server.config import NodeOptions, StartError
from trioraft.server.node import run_node

__all__ = ["NodeOptions", "StartError", "run_node"]
