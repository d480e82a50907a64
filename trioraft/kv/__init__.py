"""The state machine: commands, their results, and the store. Pure: no clock, no randomness, no I/O."""
