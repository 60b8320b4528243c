"""Where a click leads: MLflow's pages, other boards (variables and time are kept), runbooks."""

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

# Boards by uid: their title.
BOARDS = {
    "slipway-service": "Service",
    "slipway-models": "Models",
    "slipway-jobs": "Jobs",
    "slipway-drift-quality": "Drift and quality",
    "slipway-records": "Records and dependencies",
}
_KEPT = "${__url_time_range}&${datasource:queryparam}&${instance:queryparam}&${mlflow:queryparam}"


def _link(title: str, url: str, *, new: bool) -> DashboardLink:
    return DashboardLink(title).type(DashboardLinkType.LINK).url(url).target_blank(new)


def version_page() -> DashboardLink:
    """Return the way from a series with `model` and `version` to the version in MLflow."""
    labels = "${__field.labels.model}/versions/${__field.labels.version}"
    return _link("Version in MLflow", f"${{mlflow}}/#/models/{labels}", new=True)


def version_of_row() -> DashboardLink:
    """Return the same from a row of a table."""
    labels = "${__data.fields.model}/versions/${__data.fields.version}"
    return _link("Version in MLflow", f"${{mlflow}}/#/models/{labels}", new=True)


def model_of_row() -> DashboardLink:
    """Return the way from a row of a table to all versions of its model in MLflow."""
    return _link("Model in MLflow", "${mlflow}/#/models/${__data.fields.model}", new=True)


def run_of_row() -> DashboardLink:
    """Return the way from a row with `run_id` to the run that trained the version."""
    return _link("Training run in MLflow", "${mlflow}/#/runs/${__data.fields.run_id}", new=True)


def serving_runs() -> DashboardLink:
    """Return the way to the runs and traces of what was predicted."""
    search = "experiments?experimentSearchFilter=slipway-predictions"
    return _link("Predictions in MLflow (runs, traces)", f"${{mlflow}}/#/{search}", new=True)


def board(uid: str) -> DashboardLink:
    """Return the way from a series with `model` to another board, where that model is chosen."""
    return _link(BOARDS[uid], f"/d/{uid}?{_KEPT}&var-model=${{__field.labels.model}}", new=False)
