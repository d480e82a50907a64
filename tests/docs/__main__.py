"""Write the parts of the docs that come from the source: `python -m tests.docs`, after a change of the source.

With `--picture` it draws the README's picture anew, from a session that happens now.
"""

from __future__ import annotations

import sys

from tests.docs import operations, picture, rooms, tour

if __name__ == "__main__":
    if sys.argv[1:] == ["--picture"]:
        picture.main()
    else:
        operations.PAGE.write_text(operations.updated(operations.PAGE.read_text()))
        rooms.PAGE.write_text(tour.mended(rooms.updated(rooms.PAGE.read_text())))
