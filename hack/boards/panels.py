"""Panels and dashboards, as the foundation SDK builds them; InfluxDB's queries, which it has no builder for."""

from __future__ import annotations

from typing import Any, TypeVar

from grafana_foundation_sdk.builders import dashboard, statetimeline, table, timeseries
from grafana_foundation_sdk.cog import builder as cog
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

from hack.boards import flux

SOURCE = "${datasource}"
_TYPE = "influxdb"
HALF, WHOLE = 12, 24
_HEIGHT = 8


P = TypeVar("P", timeseries.Panel, statetimeline.Panel, table.Panel)


class FluxQuery(variants.Dataquery):
    def __init__(self, query: str, ref_id: str = "A") -> None:
        self.query = query
        self.ref_id = ref_id

    def to_json(self) -> dict[str, Any]:
        return {"refId": self.ref_id, "datasource": {"type": _TYPE, "uid": SOURCE}, "query": self.query}


class Flux(cog.Builder[FluxQuery]):
    def __init__(self, query: str) -> None:
        self._query = query

    def build(self) -> FluxQuery:
        return FluxQuery(self._query)


def source() -> models.DataSourceRef:
    return models.DataSourceRef(type_val=_TYPE, uid=SOURCE)


def graph(
    title: str, query: str, *, unit: str = "short", description: str = "", steps: bool = False, span: int = HALF
) -> timeseries.Panel:
    """`steps`: a value holds until the next one."""
    panel = timeseries.Panel().display_name("${__field.labels.series}").unit(unit).min(0).fill_opacity(8)
    panel = panel.line_width(2).show_points(common.VisibilityMode.AUTO)
    if steps:
        panel = panel.line_interpolation(common.LineInterpolation.STEP_AFTER)
    return _finished(panel, title, query, description, span)


def states(title: str, query: str, *, description: str = "", span: int = WHOLE) -> statetimeline.Panel:
    panel = statetimeline.Panel().display_name("${__field.labels.series}").merge_values(True)  # noqa: FBT003 - as it is
    return _finished(panel, title, query, description, span).height(4)


def rows(title: str, query: str, *, description: str = "", span: int = HALF) -> table.Panel:
    order = {column: index for index, column in enumerate(flux.columns_of(query))}
    organized = models.DataTransformerConfig(id_val="organize", options={"indexByName": order})
    return _finished(table.Panel().with_transformation(organized), title, query, description, span)


def _finished(panel: P, title: str, query: str, description: str, span: int) -> P:
    panel = panel.title(title).datasource(source()).span(span).height(_HEIGHT).with_target(Flux(query))
    return panel.description(description) if description else panel


def variable(name: str, query: str, *, all_of_them: bool) -> dashboard.QueryVariable:
    """`all_of_them`: several may be chosen, and are at first."""
    found = dashboard.QueryVariable(name).label(name).datasource(source()).query(query)
    found = found.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
    if all_of_them:
        found = (
            found.multi(multi=True)
            .include_all(include_all=True)
            .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
        )
    return found


def board(uid: str, title: str, description: str) -> dashboard.Dashboard:
    made = dashboard.Dashboard(title).uid(uid).description(description).tags(["pointsman"]).refresh("10s")
    made = made.time("now-1h", "now").timezone(common.TimeZoneBrowser).editable()
    sources = dashboard.DatasourceVariable("datasource").label("InfluxDB").type(_TYPE)
    return made.with_variable(sources)
