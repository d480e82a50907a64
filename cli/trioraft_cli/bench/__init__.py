"""`trioraft bench`: load on a cluster, what it answered, how long that took, and what was the limit."""
