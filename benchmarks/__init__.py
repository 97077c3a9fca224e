"""Reproducible measurements of the whole system: `python -m benchmarks.jobs`."""
