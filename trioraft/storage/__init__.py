"""What a node keeps on disk: its folder's identity and its log, as lines of JSON.

    lock                    held by the running process
    node.json               which node, which folder, how often started, and the cluster's formation
    log-00000001.jsonl      the log's segments, in the order of their numbers

The log only ever grows at its end. What is written at a time is a batch: a mark line, which carries the hard
state and vouches that everything before it was synced, and the entries that follow it. A batch is synced
before the next is written. So damage before any intact mark is damage to something that was synced, and
stops the node; damage after the last one lies in a batch that may never have been, and is cut, loudly.

An entry whose index is not new replaces the one before it and all that follows: to truncate is to append.
"""
