from __future__ import annotations

from ..helpers.in_virtual_time import cluster, own_log, unforeseen, virtual_time

__all__ = ["cluster", "own_log", "unforeseen", "virtual_time"]
