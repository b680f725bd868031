"""The queries of the dashboards, in Flux.

A graph's rows are `_time`, `_value` and `series`; a table's are as they are shown. `pointsman board` draws the same.
"""

FIELDS_AS_COLUMNS = 'import "influxdata/influxdb/schema"\n'
ONE_RELEASE = 'r.namespace == "${namespace}" and r.release == "${release}"'
CLUSTERS = "r.cluster =~ /^${cluster:regex}$/"
COUNTS = ("canary_bad", "canary_total", "stable_bad", "stable_total")
WINDOW = "every: v.windowPeriod"
MOVING = ("Pending", "Progressing", "Promoting", "Baking", "RollingBack")
WAITING = ("Waiting", "Paused")
ROLLED_BACK = ("RolledBack", "Invalid")


def points(measurement: str, *conditions: str) -> str:
    """All points of the range shown for which every condition holds."""
    all_of = " and ".join((f'r._measurement == "{measurement}"', *conditions))
    return (
        "from(bucket: v.defaultBucket)\n"
        "  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)\n"
        f"  |> filter(fn: (r) => {all_of})\n"
    )


def fields(*names: str) -> str:
    return "(" + " or ".join(f'r._field == "{name}"' for name in names) + ")"


def windows(function: str) -> str:
    return f"  |> aggregateWindow({WINDOW}, fn: {function}, createEmpty: false)\n"


def graph(series: str, value: str = "r._value") -> str:
    """The end of a graph's query: one line for each `series`."""
    return (
        f"  |> map(fn: (r) => ({{_time: r._time, _value: float(v: {value}), series: {series}}}))\n"
        '  |> group(columns: ["series"])\n'
        '  |> sort(columns: ["_time"])\n'
    )


def keys(column: str) -> str:
    return f'"{column}"'


def by(*columns: str) -> str:
    return f"  |> group(columns: [{', '.join(map(keys, columns))}])\n"


def table(*columns: str, sort: tuple[str, ...], descending: bool = False) -> str:
    """The end of a table's query."""
    kept, sorted_by = (", ".join(map(keys, names)) for names in (columns, sort))
    order = ", desc: true" if descending else ""
    return f"  |> keep(columns: [{kept}])\n  |> group()\n  |> sort(columns: [{sorted_by}]{order})\n"


def columns_of(query: str) -> list[str]:
    """Of a table, in the order in which people read them: Flux has them by their names."""
    kept = query[query.rindex("|> keep(columns: [") :]
    return [name.strip('" ') for name in kept[kept.index("[") + 1 : kept.index("]")].split(",")]


def tag_values(tag: str, *conditions: str) -> str:
    """For a variable of a dashboard."""
    predicate = " and ".join(('r._measurement == "pointsman.release"', *conditions))
    return (
        f"{FIELDS_AS_COLUMNS}"
        f'schema.tagValues(bucket: v.defaultBucket, tag: "{tag}", predicate: (r) => {predicate}, start: -30d)'
    )


LAST = "  |> last()\n  |> schema.fieldsAsCols()\n"
"""A row for each Release: all fields of a point have one time. (`last` of columns panics in InfluxDB 2.7.12.)"""


# one release

WEIGHT = (
    points("pointsman.release", ONE_RELEASE, CLUSTERS, fields("weight"))
    + by("release")
    + windows("last")
    + graph('"meant for the new version"')
)
PHASE = (
    points("pointsman.release", ONE_RELEASE, CLUSTERS, fields("phase"))
    + by("release")
    + "  |> map(fn: (r) => ({_time: r._time, _value: r._value, series: r.release}))\n"
    + by("series")
    + '  |> sort(columns: ["_time"])\n'
)
STANDS = (
    FIELDS_AS_COLUMNS
    + points("pointsman.release", ONE_RELEASE, CLUSTERS)
    + LAST
    + table("phase", "reason", "step", "steps", "weight", "stable", "canary", "message", sort=("phase",))
)


def _counts_of_looks(*conditions: str) -> str:
    """A row for each window and metric, with the four counts."""
    return (
        points("pointsman.look", ONE_RELEASE, CLUSTERS, fields(*COUNTS), *conditions)
        + by("metric", "_field")
        + windows("sum")
        + '  |> pivot(rowKey: ["_time", "metric"], columnKey: ["_field"], valueColumn: "_value")\n'
    )


SEEN = (
    "seen = "
    + _counts_of_looks()
    + "  |> filter(fn: (r) => r.canary_total + r.stable_total > 0)\n"
    + graph(
        '"seen by " + r.metric',
        "100.0 * float(v: r.canary_total) / float(v: r.canary_total + r.stable_total)",
    )
    + "meant = "
    + points("pointsman.look", ONE_RELEASE, CLUSTERS, fields("share"))
    + by("release")
    + windows("last")
    + graph('"meant"')
    + "union(tables: [meant, seen])\n"
    + by("series")
    + '  |> sort(columns: ["_time"])\n'
)


def _rate(version: str, name: str) -> str:
    return f"{version} = counts\n  |> filter(fn: (r) => r.{version}_total > 0)\n" + graph(
        f'r.metric + ", {name}"', f"100.0 * float(v: r.{version}_bad) / float(v: r.{version}_total)"
    )


RATES = (
    "counts = "
    + _counts_of_looks("not exists r.threshold")
    + _rate("canary", "new")
    + _rate("stable", "stable")
    + "union(tables: [canary, stable])\n"
    + by("series")
    + '  |> sort(columns: ["_time"])\n'
)
EVIDENCE = (
    points("pointsman.look", ONE_RELEASE, CLUSTERS, fields("bad", "boundary"), "not exists r.threshold")
    + by("metric", "_field")
    + windows("last")
    + graph('r.metric + (if r._field == "bad" then ", bad on the new version" else ", boundary")')
)
THRESHOLDS = (
    "percent = (of, total) => if total > 0 then 100.0 * float(v: of) / float(v: total) else 0.0\n"
    + points("pointsman.look", ONE_RELEASE, CLUSTERS, fields(*COUNTS), "exists r.threshold")
    + by("metric", "threshold", "_field")
    + "  |> sum()\n"
    + '  |> pivot(rowKey: ["metric", "threshold"], columnKey: ["_field"], valueColumn: "_value")\n'
    + "  |> map(fn: (r) => ({metric: r.metric, slower_than_s: float(v: r.threshold),\n"
    + "    new_percent: percent(of: r.canary_bad, total: r.canary_total),\n"
    + "    stable_percent: percent(of: r.stable_bad, total: r.stable_total),\n"
    + "    new_units: r.canary_total, stable_units: r.stable_total}))\n"
    + table(
        "metric", "slower_than_s", "new_percent", "stable_percent", "new_units", "stable_units",
        sort=("metric", "slower_than_s"),
    )
)  # fmt: skip
_EVENT_COLUMNS = ("_time", "reason", "message")


def events(*conditions: str, columns: tuple[str, ...] = _EVENT_COLUMNS, most: int = 100) -> str:
    """Steps, verdicts, what people asked for; the latest first."""
    return (
        points("pointsman.event", *conditions, CLUSTERS, fields("message"))
        + '  |> rename(columns: {_value: "message"})\n'
        + table(*columns, sort=("_time",), descending=True)
        + f"  |> limit(n: {most})\n"
    )


ACTIONS = events(ONE_RELEASE)


# the fleet


def standing(phases: tuple[str, ...]) -> str:
    """The Releases whose last phase is one of these."""
    any_of = " or ".join(f'r.phase == "{phase}"' for phase in phases)
    return (
        FIELDS_AS_COLUMNS
        + points("pointsman.release", NAMESPACES, CLUSTERS)
        + LAST
        + f"  |> filter(fn: (r) => {any_of})\n"
        + table(
            "namespace", "release", "phase", "reason", "step", "steps", "weight", "message",
            sort=("namespace", "release"),
        )
    )  # fmt: skip


NAMESPACES = "r.namespace =~ /^${namespace:regex}$/"
PHASES = (
    points("pointsman.release", NAMESPACES, CLUSTERS, fields("phase"))
    + by("cluster", "namespace", "release")
    + "  |> last()\n"
    + "  |> map(fn: (r) => ({phase: r._value, releases: 1}))\n"
    + by("phase")
    + '  |> sum(column: "releases")\n'
    + table("phase", "releases", sort=("phase",))
)
EVENTS_OVER_TIME = (
    points("pointsman.event", NAMESPACES, CLUSTERS, fields("warning"))
    + by("reason")
    + windows("count")
    + graph("r.reason")
)
ALL_EVENTS = events(NAMESPACES, columns=("_time", "namespace", "release", "reason", "message"))


# the operator, as Telegraf or InfluxDB itself scrapes it: a measurement for each metric


def gauge(metric: str, series: str = '""', *, tag: str = "") -> str:
    """The highest of all processes: who stands by knows of no Release."""
    series = f"r.{tag}" if tag else series
    return points(metric, 'r._field == "gauge"') + by(*((tag,) if tag else ())) + windows("max") + graph(series)


def rate(metric: str, field: str, series: str = '""', *, tag: str = "") -> str:
    """Per second. A counter that begins again at 0, with another process, has no negative rate."""
    series = f"r.{tag}" if tag else series
    return (
        points(metric, f'r._field == "{field}"')
        + windows("last")
        + "  |> derivative(unit: 1s, nonNegative: true)\n"
        + by("_time", *((tag,) if tag else ()))
        + "  |> sum()\n"
        + graph(series)
    )


def lag_in(start: str, stop: str) -> str:
    """One number: within how many seconds 99 of 100 looks of this time were made."""
    return (
        f"from(bucket: v.defaultBucket)\n  |> range(start: {start}, stop: {stop})\n"
        '  |> filter(fn: (r) => r._measurement == "pointsman_look_lag_seconds" and r._field != "count" and '
        'r._field != "sum")\n'
        "  |> difference(nonNegative: true)\n"
        + by("_field")
        + "  |> sum()\n"
        + "  |> map(fn: (r) => ({le: float(v: r._field), _value: r._value}))\n"
        + by()
        + "  |> histogramQuantile(quantile: 0.99)\n"
        + "  |> map(fn: (r) => ({_time: now(), _value: r._value}))\n"
    )


LAG = (
    "buckets = "
    + points("pointsman_look_lag_seconds", 'r._field != "count"', 'r._field != "sum"')
    + windows("last")
    + "  |> difference(nonNegative: true)\n"
    + by("_time", "_field")
    + "  |> sum()\n"
    + "  |> map(fn: (r) => ({_time: r._time, le: float(v: r._field), _value: r._value}))\n"
    + by("_time")
    + "quantile = (q) => buckets\n"
    + "  |> histogramQuantile(quantile: q)\n"
    + '  |> map(fn: (r) => ({_time: r._time, _value: r._value, series: "p" + string(v: 100.0 * q)}))\n'
    + "union(tables: [quantile(q: 0.5), quantile(q: 0.99)])\n"
    + by("series")
    + '  |> sort(columns: ["_time"])\n'
)
