"""Benchmarks of trioraft, part by part and as a whole: `python -m benchmarks --help`."""
