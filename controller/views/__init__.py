"""What people are told: used by the command line."""
