"""What `check` does: it gathers evidence (`inquiry`), and judges it (`judge`), apart from each other."""
