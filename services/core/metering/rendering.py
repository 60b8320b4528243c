"""Prometheus' text format, several times as fast as the client library writes it.

What stands before a value is the same at each scrape; the library puts it together anew, which is
most of what a scrape costs.
"""

from collections.abc import Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

# Series, of which there may be that many versions of models; beyond, all is built anew.
_MOST = 100_000
# Python and Go write numbers below this alike.
_PLAIN = 1e6
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Renderer:
    """Remembers what stands before each value. One for each registry; any thread may use it."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}

    def text(self, families: Iterable[Metric]) -> bytes:
        """Return counters, gauges, histograms and summaries as text."""
        known = self._before
        if len(known) > _MOST:
            known = self._before = {}
        lines: list[str] = []
        for family in families:
            lines.append(_head(family))
            for sample in family.samples:
                key = (sample.name, tuple(sample.labels.items()))
                before = known.get(key)
                if before is None:
                    before = known[key] = _before(*key)
                value = float(sample.value)
                number = repr(value) if value < _PLAIN else floatToGoString(value)  # type: ignore[no-untyped-call]
                lines.append(f"{before}{number}\n")
        return "".join(lines).encode()


def _head(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    text = family.documentation.translate(_HELP_ESCAPES)
    return f"# HELP {name} {text}\n# TYPE {name} {family.type}\n"


def _before(name: str, labels: Iterable[tuple[str, str]]) -> str:
    inside = ",".join(f'{label}="{value.translate(_ESCAPES)}"' for label, value in sorted(labels))
    return f"{name}{{{inside}}} " if inside else f"{name} "
