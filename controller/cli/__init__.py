"""The command line; `main.py` registers the commands."""
