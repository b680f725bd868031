"""What should be: pure functions from what was observed to what has to be done."""
