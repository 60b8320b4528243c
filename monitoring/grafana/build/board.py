"""A whole board: its rows of panels on the grid, variables, links and annotations."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from monitoring.grafana.build import links
from monitoring.grafana.build.style import BLUE, RED, SOURCE, Panel

WIDTH = 24
TAG = "slipway"
_DATASOURCE = "slipway-prometheus"
_MLFLOW = "http://localhost:5000"
# By name of a variable: its label, and the series whose label of that name it lists.
_LISTED = {
    "instance": ("Instance", 'up{job=~"slipway|slipway-worker"}'),
    "model": ("Model", 'model_loaded_info{instance=~"$instance"}'),
    "version": ("Version", 'model_loaded_info{instance=~"$instance", model=~"$model"}'),
}
_SWAPS = 'model_swaps_total{model=~"$model", instance=~"$instance"}'
# What Grafana reads of an annotation and the SDK has no word for.
EXTRA = {
    "Versions swapped": {
        "titleFormat": "{{model}}: {{result}}",
        "textFormat": "Production has another version.",
        "step": "60s",
    },
    "Alerts": {
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}} {{model}} {{queue}}",
        "step": "60s",
    },
}


@dataclass(frozen=True)
class Row:
    """A line with a title, and the panels below it; each line of them fills the width."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Board:
    """What one page shows.

    Attributes:
        uid: of `links.BOARDS`, which has its title.
        about: its description.
        chosen: the variables that its panels ask for; the others are kept, but not shown.
    """

    uid: str
    about: str
    chosen: Sequence[str]
    rows: Sequence[Row]

    def build(self) -> dashboard.Dashboard:
        """Return it as the SDK's object.

        Raises:
            ValueError: a line of panels does not fill the width.
        """
        made = (
            builders.Dashboard(links.BOARDS[self.uid])
            .uid(self.uid)
            .description(self.about)
            .tags([TAG])
            .timezone("browser")
            .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
            .time("now-3h", "now")
            .refresh("30s")
            .readonly()
            .variables(list(self._variables()))
            .annotations([_swaps(), _alerts()])
            .links(list(self._links()))
            .build()
        )
        made.panels = list(self._placed())
        return made

    def _placed(self) -> Iterable[dashboard.Panel | dashboard.RowPanel]:
        number, y = 1, 0
        for row in self.rows:
            place = dashboard.GridPos(h=1, w=WIDTH, x=0, y=y)
            # A panel's `id` is what a link to it names.
            yield dashboard.RowPanel(title=row.title, id_val=number, grid_pos=place)
            number, y = number + 1, y + 1
            for line in _lines([panel.build() for panel in row.panels], row.title):
                x, height = 0, max(_place(panel).h for panel in line)
                for panel in line:
                    at = _place(panel)
                    panel.grid_pos = dashboard.GridPos(h=height, w=at.w, x=x, y=y)
                    panel.id_val = number
                    number, x = number + 1, x + at.w
                    yield panel
                y += height

    def _variables(self) -> Iterable[Any]:
        option = dashboard.VariableOption(text="Prometheus", value=_DATASOURCE)
        source = builders.DatasourceVariable("datasource").label("Data source")
        yield source.type("prometheus").current(option)
        for name, (label, series) in _LISTED.items():
            everything = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
            variable = (
                builders.QueryVariable(name)
                .label(label)
                .datasource(SOURCE)
                .query(f"label_values({series}, {name})")
                .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
                .sort(dashboard.VariableSort.NATURAL_ASC)
                .multi(True)
                .include_all(True)
                .all_value(".*")
                .current(everything)
            )
            if name not in self.chosen:
                variable.hide(dashboard.VariableHide.HIDE_VARIABLE)
            yield variable
        address = dashboard.VariableOption(text=_MLFLOW, value=_MLFLOW)
        yield (
            builders.TextBoxVariable("mlflow")
            .label("MLflow's address")
            .description("Where this browser reaches MLflow: links lead there.")
            .default_value(_MLFLOW)
            .current(address)
        )

    def _links(self) -> Iterable[builders.DashboardLink]:
        for uid, title in links.BOARDS.items():
            if uid != self.uid:
                link = builders.DashboardLink(title).type(dashboard.DashboardLinkType.LINK)
                yield link.url(f"/d/{uid}").include_vars(True).keep_time(True).icon("dashboard")
        yield links.serving_runs().icon("external link")


def document(board: Board) -> dict[str, Any]:
    """Return the board's JSON values: the SDK's, and what Grafana reads beyond them."""
    made: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(board.build()))
    for annotation in made["annotations"]["list"]:
        annotation.update(EXTRA[annotation["name"]])
    return made


def _lines(panels: Sequence[dashboard.Panel], title: str) -> Iterable[list[dashboard.Panel]]:
    """Yield the panels line by line."""
    line: list[dashboard.Panel] = []
    for panel in panels:
        line.append(panel)
        width = sum(_place(one).w for one in line)
        if width == WIDTH:
            yield line
            line = []
        elif width > WIDTH:
            raise ValueError(f"{title}: {panel.title} does not fit on its line")
    if line:
        raise ValueError(f"{title}: the last line is not full")


def _place(panel: dashboard.Panel) -> dashboard.GridPos:
    assert panel.grid_pos is not None
    return panel.grid_pos


def _swaps() -> builders.AnnotationQuery:
    # A counter's first value is no increase: that it is new says as much.
    expr = (
        f"sum by (model, result) (increase({_SWAPS}[2m])) > 0"
        f" or sum by (model, result) ({_SWAPS} unless {_SWAPS} offset 2m) > 0"
    )
    return _annotation("Versions swapped", expr, BLUE)


def _alerts() -> builders.AnnotationQuery:
    return _annotation("Alerts", 'ALERTS{alertstate="firing", severity=~"critical|warning"}', RED)


def _annotation(name: str, expr: str, colour: str) -> builders.AnnotationQuery:
    made = builders.AnnotationQuery().name(name).datasource(SOURCE).enable(True)
    return made.hide(False).icon_color(colour).expr(expr)
