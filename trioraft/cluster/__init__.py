"""The beginnings: how a cluster forms, how nodes recognise each other, how a node starts, how a lost one is rebuilt."""
