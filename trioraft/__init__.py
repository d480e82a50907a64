"""trioraft: a replicated JSON key-value store, Raft consensus in Python on Trio."""

__version__ = "0.1.0"
