"""Timings, run by hand: `python -m benchmarks.segmentation`."""
