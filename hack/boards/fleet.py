"""All releases."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from hack.boards import flux
from hack.boards.panels import WHOLE, board, graph, rows, variable


def build() -> Dashboard:
    made = board("pointsman-fleet", "Pointsman: the fleet", "Which Releases move, wait, and were rolled back.")
    return (
        made.with_variable(variable("cluster", flux.tag_values("cluster"), all_of_them=True))
        .with_variable(variable("namespace", flux.tag_values("namespace"), all_of_them=True))
        .with_panel(rows("Releases in each phase", flux.PHASES))
        .with_panel(graph("What happened", flux.EVENTS_OVER_TIME))
        .with_panel(rows("Moving", flux.standing(flux.MOVING), span=WHOLE))
        .with_panel(rows("Waiting for something, or for somebody", flux.standing(flux.WAITING), span=WHOLE))
        .with_panel(rows("Rolled back, or refused", flux.standing(flux.ROLLED_BACK), span=WHOLE))
        .with_panel(rows("Steps, verdicts, what people asked for", flux.ALL_EVENTS, span=WHOLE))
    )
