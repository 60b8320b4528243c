"""Expressions about predictions, for the board Models."""

from monitoring.grafana.build import links

MODEL = 'model=~"$model", instance=~"$instance"'
VERSION = f'version=~"$version", {MODEL}'
NAMED = "{{model}} {{version}}"
QUIET = "No predictions of what is chosen above."
LINK = (links.version_page(), links.board("slipway-drift-quality"))


def rate(metric: str, *by: str, where: str = VERSION, window: str = "$__rate_interval") -> str:
    """Return how fast a counter grows, by labels."""
    return f"sum by ({', '.join(by)}) (rate({metric}{{{where}}}[{window}]))"


def quantile(
    quantile: float, metric: str, *by: str, where: str = VERSION, window: str = "$__rate_interval"
) -> str:
    """Return a quantile of a histogram, by labels."""
    counted = rate(f"{metric}_bucket", "le", *by, where=where, window=window)
    # A histogram that nothing was put in has NaN, which is not >= 0.
    return f"histogram_quantile({quantile}, {counted}) >= 0"


def mean(metric: str, *by: str, where: str = VERSION, window: str = "$__rate_interval") -> str:
    """Return the mean of a histogram's values, by labels."""
    total = rate(f"{metric}_sum", *by, where=where, window=window)
    count = rate(f"{metric}_count", *by, where=where, window=window)
    return f"{total} / ({count} > 0)"


INFERENCE = f'phase="inference", {VERSION}'
PAIR = ("model", "version")
