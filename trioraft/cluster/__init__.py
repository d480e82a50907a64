"""How a cluster comes to be, and how a node finds what it was."""
