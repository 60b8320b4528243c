"""Builds the dashboards' JSON; `python -m monitoring.grafana.build` writes it."""
