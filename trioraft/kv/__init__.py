"""The state machine: commands, what comes of them, and the store. Pure: no clock, no randomness, no I/O."""
