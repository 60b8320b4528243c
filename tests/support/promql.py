"""Expressions of PromQL, held against what there is: metrics, their labels, recorded series."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import promql_parser as promql
import yaml

from services.monitoring.metric_catalogue import every

ROOT = Path(__file__).parents[2]
RULES = ROOT / "monitoring" / "prometheus" / "rules"
# What Prometheus puts on whatever it scrapes.
SCRAPED = frozenset({"job", "instance"})
_PARTS: dict[str, dict[str, set[str]]] = {
    "histogram": {"_bucket": {"le"}, "_sum": set(), "_count": set()},
    "summary": {"_sum": set(), "_count": set()},
}
# Prometheus' own; alerts have the labels of what they are about.
_OF_ALERTS = {"alertname", "severity", "model", "version", "queue", "service"}
_OWN = {
    "up": SCRAPED,
    "ALERTS": SCRAPED | _OF_ALERTS | {"alertstate"},
    "ALERTS_FOR_STATE": SCRAPED | _OF_ALERTS,
}


@cache
def known() -> Mapping[str, frozenset[str]]:
    """Return the labels of every series that there can be, by its name."""
    found = dict(_OWN)
    for metric in every():
        labels = SCRAPED | set(metric.labels)
        for ending, extra in _PARTS.get(metric.type, {"": set()}).items():
            found[metric.name + ending] = labels | extra
    for file in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                if "record" in rule:
                    found[rule["record"]] = recorded(rule)
    return found


def recorded(rule: Mapping[str, object]) -> frozenset[str]:
    """Return the labels of a recorded series: the outermost `by` of its expression has them."""
    names = re.split(r"[:_]", str(rule["record"]).split(":")[0])
    extra = rule.get("labels") or {}
    assert isinstance(extra, dict)
    return frozenset({*names, *extra})


def selectors(expression: str) -> list[promql.VectorSelector]:
    """Return what an expression asks for.

    Raises:
        ValueError: it is no PromQL.
    """
    found: list[promql.VectorSelector] = []

    def look(one: promql.Expr) -> None:
        if isinstance(one, promql.VectorSelector):
            found.append(one)

    promql.walk(promql.parse(expression), look)
    return found


def strange(expression: str, there: Mapping[str, frozenset[str]] | None = None) -> list[str]:
    """Return what is wrong with an expression: metrics and labels that nothing defines."""
    there = known() if there is None else there
    wrong = []
    for one in selectors(expression):
        name = one.name or next(m.value for m in one.matchers.matchers if m.name == "__name__")
        if name not in there:
            wrong.append(f"{name}: no such metric")
            continue
        asked = {matcher.name for matcher in one.matchers.matchers} - {"__name__"}
        wrong += [f"{name}: no label {label}" for label in sorted(asked - there[name])]
    return wrong + _groups(promql.parse(expression), there)


def _groups(top: promql.Expr, there: Mapping[str, frozenset[str]]) -> list[str]:
    """Return labels that an expression groups or matches by, and that nothing below it has."""
    wrong: list[str] = []

    def look(one: promql.Expr) -> None:
        wanted: set[str] = set()
        if isinstance(one, promql.AggregateExpr) and one.modifier is not None:
            wanted = set(one.modifier.labels)
        elif isinstance(one, promql.BinaryExpr) and one.modifier is not None:
            matching = one.modifier.matching
            wanted = set() if matching is None else set(matching.labels)
        text = one.prettify()
        has = set(re.findall(r'label_replace\(.*?"(\w+)"', text, re.DOTALL))
        for selector in selectors(text):
            has |= there.get(selector.name or "", frozenset())
        wrong.extend(f"grouped by {label}, which nothing has" for label in sorted(wanted - has))

    promql.walk(top, look)
    return wrong
