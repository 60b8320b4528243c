"""Slipway and its peers behind one measure; `python -m benchmarks.serving` runs it."""
