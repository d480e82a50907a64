"""Programs that use the cluster for something, in simulations and against real nodes.

A user is told of connections, replies and events, and says what to ask next. How bytes travel is another's business, so
the same users run on every kind of connection. Each knows at the end what must be so, and compares it with the log.
"""
