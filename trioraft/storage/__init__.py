"""The files of a node: its folder's identity, its log and its snapshots, as lines of JSON.

    lock                    held by the running process
    node.json               which node, which folder, how often started, and the cluster's formation
    log-00000001.jsonl      the log's segments, in the order of their numbers
    snapshot-00…-00….jsonl  the state up to the entry of that index and term (`trioraft.storage.snapshots`)

The log only ever grows at its end, a batch at a time. A batch is a mark line and the entries that follow it. The mark
carries the hard state, and vouches that everything before it was synced: a batch is synced before the next is written.
So damage before an intact mark is damage to synced data, and stops the node. Damage after the last mark lies in a
batch that may never have been synced: it is cut, and the node says so.

An entry whose index is not new replaces the older entry and all that followed it: to truncate is to append.
"""
