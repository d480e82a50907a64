"""Bytes to meanings and back: lines, entries, requests, replies, peers' messages. Nothing else uses the JSON codec."""
