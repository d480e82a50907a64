"""How quick trioraft is, part by part and as a whole: `python -m benchmarks --help`."""
