"""The kinds of load, and of what is counted. Pure."""

from __future__ import annotations

from typing import Final

PUT: Final = "put"
GET: Final = "get"
MIXED: Final = "mixed"
WATCH: Final = "watch"
EVENT: Final = "event"
"""What a watcher is sent."""
WORKLOADS: Final = (PUT, GET, MIXED, WATCH)
