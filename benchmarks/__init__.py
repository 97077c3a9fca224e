"""Reproducible measurements of the whole system beside others: `python -m benchmarks`."""
