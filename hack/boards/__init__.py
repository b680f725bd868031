"""The dashboards for Grafana, made with its foundation SDK; `hack/gen-boards` writes them as JSON."""
