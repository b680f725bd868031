"""The steps of a rollout, one file each."""
