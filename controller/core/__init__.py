"""What should happen: pure functions over values, with `now` as an argument."""
