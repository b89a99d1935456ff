"""Benchmarks: check the answer, then time it."""
