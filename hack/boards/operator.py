"""The operator's health, from its own metrics as Telegraf (`metric_version = 1`) or InfluxDB scrapes them."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from hack.boards import flux
from hack.boards.panels import board, graph


def build() -> Dashboard:
    made = board("pointsman-operator", "Pointsman: the operator", "Whether the operator works, and keeps up.")
    return (
        made.with_panel(
            graph(
                "Leader",
                flux.gauge("pointsman_leader", '"processes that lead"'),
                steps=True,
                description="1, or nobody moves, judges or takes back anything.",
            )
        )
        .with_panel(
            graph(
                "Looks behind",
                flux.LAG,
                unit="s",
                description="From when a look's counts were complete until it was made.",
            )
        )
        .with_panel(graph("Releases", flux.gauge("pointsman_releases", tag="phase"), steps=True))
        .with_panel(graph("Passes per second", flux.rate("pointsman_reconciles_total", "counter", tag="result")))
        .with_panel(graph("Requests that wait for a worker", flux.gauge("pointsman_queue_depth", tag="kind")))
        .with_panel(
            graph("Requests to the API server per second", flux.rate("pointsman_api_requests", "gauge", '"requests"'))
        )
        .with_panel(graph("Effects owed", flux.gauge("pointsman_effects_owed", '"owed"')))
        .with_panel(
            graph(
                "Decisions logged per second",
                flux.rate("pointsman_decision_log_entries_total", "counter", tag="fate"),
                description="Dropped: InfluxDB or Grafana did not take them, and the board of a release has gaps.",
            )
        )
        .with_panel(
            graph("Clock behind the API server's", flux.gauge("pointsman_clock_behind_seconds", '"behind"'), unit="s")
        )
        .with_panel(graph("Memory", flux.gauge("process_resident_memory_bytes", '"resident"'), unit="bytes"))
    )
