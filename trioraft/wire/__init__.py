"""Bytes and meanings: lines, entries, requests and replies, and what peers say. The one user of the JSON codec."""
