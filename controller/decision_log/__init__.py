"""What the operator decides, written to where people look at it: InfluxDB for dashboards, annotations in Grafana."""
