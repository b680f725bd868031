"""The statistics. Imports nothing of ours."""
