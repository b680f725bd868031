"""The ways of notifying people, one file each."""
