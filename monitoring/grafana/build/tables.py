"""Tables: labels, and beside them values of several expressions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import dashboard

from monitoring.grafana.build.style import (
    SOURCE,
    Limits,
    Link,
    Panel,
    Query,
    letter,
    target,
    thresholds,
)


@dataclass(frozen=True)
class Column:
    """A column of a table: an expression with one value a row, what it is called, its unit."""

    name: str
    expr: str
    unit: str = "short"
    limits: Limits | None = None
    decimals: int | None = None


def rows(
    title: str,
    labels: Sequence[str],
    columns: Sequence[Column],
    *,
    about: str,
    empty: str,
    link: dict[str, Link] | None = None,
    span: int = 24,
    height: int = 8,
) -> Panel:
    """Return a table as of now: the labels, then the values that belong to them.

    Args:
        link: by label, where a click on it leads.
    """
    hidden = {"Time": True} | {f"Time {number + 1}": True for number in range(len(columns))}
    names = {_value(number, columns): column.name for number, column in enumerate(columns)}
    order = {label: place for place, label in enumerate([*labels, *names])}
    options = {"excludeByName": hidden, "renameByName": names, "indexByName": order}
    panel = (
        table.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .height(height)
        .span(span)
        .no_value(empty)
        .filterable(True)
        .targets(
            [
                target(Query(column.expr), name=letter(number), instant=True, as_table=True)
                for number, column in enumerate(columns)
            ]
        )
        .transformations(
            [
                dashboard.DataTransformerConfig(id_val="merge", options={}),
                dashboard.DataTransformerConfig(id_val="organize", options=options),
            ]
        )
    )
    for column in columns:
        panel.override_by_name(column.name, _properties(column))
    for label, leads in (link or {}).items():
        panel.override_by_name(label, [_property("links", [leads.build()])])
    return panel


def _value(number: int, columns: Sequence[Column]) -> str:
    """Return what Grafana calls the values of a query in a merged table."""
    return f"Value #{letter(number)}" if len(columns) > 1 else "Value"


def _properties(column: Column) -> list[dashboard.DynamicConfigValue]:
    made = [_property("unit", column.unit)]
    if column.decimals is not None:
        made.append(_property("decimals", column.decimals))
    if column.limits is not None:
        made.append(_property("thresholds", thresholds(column.limits).build()))
        made.append(_property("custom.cellOptions", {"type": "color-text"}))
    return made


def _property(name: str, value: Any) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)
