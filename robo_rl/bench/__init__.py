"""Benchmarks, one file each, with a frozen `Settings` and `run(settings)` that returns the result's JSON keys."""
