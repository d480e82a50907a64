"""Write the parts of the docs that come from the source: `python -m tests.docs`, after a change of the source."""

from __future__ import annotations

from tests.docs import operations, rooms, tour

if __name__ == "__main__":
    operations.PAGE.write_text(operations.updated(operations.PAGE.read_text()))
    rooms.PAGE.write_text(tour.mended(rooms.updated(rooms.PAGE.read_text())))
