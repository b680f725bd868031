"""How it happens, and in which order: queue, observation, execution."""
