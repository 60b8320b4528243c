"""What all panels have in common: colours, queries, limits, legends."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus as prometheus_builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = Builder[dashboard.Panel]
Link = builders.DashboardLink
GREEN, AMBER, RED, BLUE, GREY = "green", "orange", "red", "blue", "#808080"
SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
_LEGEND_ROWS = 6


@dataclass(frozen=True)
class Query:
    """An expression, and what its series are called (`{{label}}` is filled in by Grafana)."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Limits:
    """From where on a value is amber and red; `low`: it is bad when it is small."""

    red: float
    amber: float | None = None
    low: bool = False

    def steps(self) -> list[dashboard.Threshold]:
        """Return them as Grafana wants them: a colour from each value on, the first from below."""
        middle = [] if self.amber is None else [(self.amber, AMBER)]
        if self.low:
            # A colour holds up to the next value: good is what is at least the highest of them.
            values = [self.red, *(value for value, _ in middle)]
            colours = [RED, *(AMBER for _ in middle), GREEN]
            return [step(None, RED), *map(step, values, colours[1:])]
        return [step(None, GREEN), *(step(*one) for one in middle), step(self.red, RED)]


def step(value: float | None, colour: str) -> dashboard.Threshold:
    """Return a colour from a value on (None: from below)."""
    return dashboard.Threshold(value=value, color=colour)


def target(
    query: Query, *, name: str = "A", instant: bool = False, as_table: bool = False
) -> prometheus_builders.Dataquery:
    """Return a query as of now (`instant`), or over the range shown."""
    made = prometheus_builders.Dataquery().expr(query.expr).ref_id(name).datasource(SOURCE)
    if query.legend:
        made.legend_format(query.legend)
    made.format(PromQueryFormat.TABLE if as_table else PromQueryFormat.TIME_SERIES)
    return made.instant() if instant else made.range()


def named(queries: Query | Sequence[Query]) -> list[tuple[str, Query]]:
    """Return the queries with the letters that they go by."""
    listed = [queries] if isinstance(queries, Query) else list(queries)
    return [(letter(number), query) for number, query in enumerate(listed)]


def letter(number: int) -> str:
    """Return what Grafana calls the n-th query of a panel."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number]


def thresholds(limits: Limits | None) -> builders.ThresholdsConfig:
    """Return colours by value; one neutral colour without limits."""
    steps = limits.steps() if limits else [step(None, BLUE)]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def colour(mode: dashboard.FieldColorModeId) -> builders.FieldColor:
    """Return how a panel finds its colours."""
    return builders.FieldColor().mode(mode)


def legend_below() -> common_builders.VizLegendOptions:
    """Return a table below the panel, the largest first."""
    return (
        common_builders.VizLegendOptions()
        .show_legend(True)
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "max"])
        .sort_by("Max")
        .sort_desc(True)
    )


def wording(words: dict[str, str]) -> dashboard.ValueMap:
    """Return what to write instead of values."""
    options = {
        value: dashboard.ValueMappingResult(text=text, index=place)
        for place, (value, text) in enumerate(words.items())
    }
    return dashboard.ValueMap(options=options)


def without_value(text: str) -> dashboard.SpecialValueMap:
    """Return what to write where there is no value, on neutral ground: else it would be red."""
    result = dashboard.ValueMappingResult(text=text, color=GREY, index=99)
    options = dashboard.DashboardSpecialValueMapOptions(
        match=dashboard.SpecialValueMatch.NULL_AND_NAN, result=result
    )
    return dashboard.SpecialValueMap(options=options)
