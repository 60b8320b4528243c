"""The kinds of panel there are, each in one style: what a board says is what differs.

A panel may be empty for good reason. `empty` is what it shows then, and its description says why.
"""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import bargauge, heatmap, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitoring.grafana.build.style import (
    SOURCE,
    Limits,
    Link,
    Panel,
    Query,
    colour,
    legend_below,
    named,
    target,
    thresholds,
    without_value,
    wording,
)


def at_a_glance(
    title: str,
    expr: str,
    limits: Limits | None,
    *,
    about: str,
    empty: str,
    unit: str = "short",
    decimals: int | None = None,
    words: dict[str, str] | None = None,
    link: Link | None = None,
    span: int = 4,
) -> Panel:
    """Return one figure as of now on green or red ground.

    Args:
        words: what to write instead of a value: `{"1": "up"}`.
    """
    panel = (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .height(4)
        .span(span)
        .unit(unit)
        .no_value(empty)
        .with_target(target(Query(expr, title), instant=True))
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.VALUE)
        .color_mode(
            common.BigValueColorMode.BACKGROUND if limits else common.BigValueColorMode.NONE
        )
        .thresholds(thresholds(limits))
        .color_scheme(colour(dashboard.FieldColorModeId.THRESHOLDS))
    )
    nothing = without_value(empty)
    panel.mappings([wording(words), nothing] if words else [nothing])
    if decimals is not None:
        panel.decimals(decimals)
    if link is not None:
        panel.data_links([link])
    return panel


def lines(
    title: str,
    queries: Query | Sequence[Query],
    *,
    about: str,
    empty: str,
    unit: str = "short",
    limit: float | None = None,
    low: bool = False,
    top: float | None = None,
    stacked: bool = False,
    bars: bool = False,
    link: Link | Sequence[Link] = (),
    span: int = 8,
    height: int = 8,
) -> Panel:
    """Return curves over time, from zero up.

    Args:
        limit: a dashed line where it gets bad (`low`: below it).
        top: the end of the axis, where there is one.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .height(height)
        .span(span)
        .unit(unit)
        .min(0)
        .no_value(empty)
        .line_width(1)
        .fill_opacity(60 if bars else 25 if stacked else 8)
        .show_points(common.VisibilityMode.AUTO)
        .legend(legend_below())
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
        .color_scheme(colour(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .targets([target(query, name=name) for name, query in named(queries)])
        .data_links([link] if isinstance(link, Link) else list(link))
    )
    if bars:
        panel.draw_style(common.GraphDrawStyle.BARS)
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if top is not None:
        panel.max(top)
    if limit is not None:
        panel.thresholds(thresholds(Limits(limit, low=low)))
        style = common_builders.GraphThresholdsStyleConfig()
        panel.thresholds_style(style.mode(common.GraphThresholdsStyleMode.DASHED))
    return panel


def states(
    title: str,
    query: Query,
    *,
    words: dict[str, str],
    limits: Limits,
    about: str,
    empty: str,
    span: int = 12,
    height: int = 8,
) -> Panel:
    """Return a bar a series, coloured by what it was when."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .height(height)
        .span(span)
        .no_value(empty)
        .merge_values(True)
        .show_value(common.VisibilityMode.AUTO)
        .row_height(0.8)
        .fill_opacity(75)
        .mappings([wording(words)])
        .thresholds(thresholds(limits))
        .color_scheme(colour(dashboard.FieldColorModeId.THRESHOLDS))
        .legend(common_builders.VizLegendOptions().show_legend(False))
        .with_target(target(query))
    )


def bars(
    title: str,
    query: Query,
    limits: Limits,
    *,
    about: str,
    empty: str,
    unit: str = "short",
    top: float | None = None,
    span: int = 12,
    height: int = 8,
) -> Panel:
    """Return a bar a series as of now, the longest first where the expression sorts."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .height(height)
        .span(span)
        .unit(unit)
        .min(0)
        .no_value(empty)
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(thresholds(limits))
        .color_scheme(colour(dashboard.FieldColorModeId.THRESHOLDS))
        .with_target(target(query, instant=True))
    )
    return panel if top is None else panel.max(top)


def spread(
    title: str, expr: str, *, about: str, empty: str, unit: str, span: int = 8, height: int = 8
) -> Panel:
    """Return a histogram's buckets over time; `expr` is a sum of them by `le`."""
    axis = heatmap.YAxisConfig().unit(unit)
    scale = heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME)
    return (
        heatmap.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .height(height)
        .span(span)
        .no_value(empty)
        .calculate(False)
        .color(scale.scheme("Oranges").steps(64))
        .y_axis(axis)
        .cell_gap(1)
        .with_target(target(Query(expr, "{{le}}")).format(PromQueryFormat.HEATMAP))
    )
