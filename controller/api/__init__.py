"""What a release is: spec in, status out, conditions. Standard library only; no clock, no I/O."""
