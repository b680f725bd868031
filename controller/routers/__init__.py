"""One file per way of moving work."""
