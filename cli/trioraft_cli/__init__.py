"""The command line of trioraft."""
