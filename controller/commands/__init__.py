"""What the commands of `pointsman` do; `cli.py` registers them."""
