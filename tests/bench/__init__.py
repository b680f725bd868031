"""Benchmarks: one module each, run by `hack/bench NAME`. Nothing here is collected by pytest."""
