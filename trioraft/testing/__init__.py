"""For tests, ours and others': disks and networks in memory, on which whole nodes run in virtual time."""
