"""What the numbers say: summaries of the metrics (and, later, drift and live quality)."""
