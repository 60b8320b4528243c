"""What is watched, and how: rules and runbooks for Prometheus, dashboards for Grafana."""
