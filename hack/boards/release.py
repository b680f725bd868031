"""One release."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from hack.boards import flux
from hack.boards.panels import WHOLE, board, graph, rows, states, variable


def build() -> Dashboard:
    made = board(
        "pointsman-release",
        "Pointsman: a release",
        "What the operator saw and decided: weight, both versions' rates, the evidence against its boundary.",
    )
    return (
        made.with_variable(variable("cluster", flux.tag_values("cluster"), all_of_them=True))
        .with_variable(variable("namespace", flux.tag_values("namespace"), all_of_them=False))
        .with_variable(
            variable("release", flux.tag_values("release", 'r.namespace == "${namespace}"'), all_of_them=False)
        )
        .with_panel(rows("Where it stands", flux.STANDS, span=WHOLE).height(5))
        .with_panel(states("Phase", flux.PHASE))
        .with_panel(graph("Weight", flux.WEIGHT, unit="percent", steps=True))
        .with_panel(
            graph(
                "Share of the work, meant and seen",
                flux.SEEN,
                unit="percent",
                description="Of requests, or of a queue's messages: what the looks counted.",
            )
        )
        .with_panel(graph("Bad units of both versions", flux.RATES, unit="percent"))
        .with_panel(
            graph(
                "Evidence against its boundary",
                flux.EVIDENCE,
                description="Bad units of the new version since the first look, and the number that rolls it back.",
            )
        )
        .with_panel(
            rows(
                "Latency: units slower than each threshold",
                flux.THRESHOLDS,
                description="Of all looks in the time shown.",
            )
        )
        .with_panel(rows("Steps, verdicts, what people asked for", flux.ACTIONS))
    )
