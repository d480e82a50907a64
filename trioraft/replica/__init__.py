"""What a node decides: everything but its connections, its clock and its threads."""
